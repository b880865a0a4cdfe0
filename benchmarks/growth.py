"""How memory and time of what looks at all cases grow with their number.

::

    python -m benchmarks.growth 1000 10000 100000

makes a dataset of so many tiny scans, and an output folder with a sealed record and files for each; every command then
runs in a process of its own. Memory is the highest of the process beyond what it had when all was imported; with
``--trace`` also what Python's allocator counts, and the lines that hold most of it at the end.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SHAPE, SPACING = (6, 10, 12), (3.0, 0.8, 0.8)
LINKS = 1000
"""Names of one file; file systems have a limit."""


def make(root: Path, cases: int, preset: str | None = None, seed: int = 0) -> None:
    """A dataset of so many cases in ``root/dataset``, and what a run of it leaves in ``root/output``."""
    from monai_mriprep import preprocess
    from monai_mriprep.recipe import Recipe

    names = [f"patient_{number:06}_0001_t2w" for number in range(cases)]
    dataset, output = root / "dataset", root / "output"
    _write_scans(dataset, names, np.random.default_rng(seed))
    _write_scans(root / "one", names[:1], np.random.default_rng(seed))
    preprocess(root / "one", output, Recipe(preset=preset) if preset else Recipe(target_spacing=SPACING), workers=0)
    _multiply(dataset, output, names, np.random.default_rng(seed))


def _write_scans(dataset: Path, names: list[str], rng: np.random.Generator) -> None:
    from monai_mriprep.formats.write import write_metaimage

    images, labels = dataset / "ImagesTr", dataset / "LabelsTr"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    label = np.zeros(SHAPE, np.int16)
    label[2:4, 3:7, 3:8], label[3, 4:6, 4:6] = 1, 2
    for number, name in enumerate(names):
        write_metaimage(images / f"{name}.mha", rng.integers(0, 900, SHAPE, np.int16), SPACING)
        if number % LINKS == 0:
            write_metaimage(labels / f"{name}.mha", label, SPACING)
        else:
            os.link(labels / f"{names[number - number % LINKS]}.mha", labels / f"{name}.mha")


def _multiply(dataset: Path, output: Path, names: list[str], rng: np.random.Generator) -> None:
    """From the folder of one case that of all: its files under their names, and a record for each."""
    from monai_mriprep.formats.sealed import seal, unseal

    manifest = output / "manifest.jsonl"
    opened, _, done = (unseal(line)[1] for line in manifest.read_text().splitlines())
    files = [Path(done["outputs"][role]["path"]) for role in done["outputs"]] + [Path(".report", f"{names[0]}.webp")]
    with manifest.open("w") as file:
        file.write(seal({**opened, "cases": len(names), "dataset_root": str(dataset)}) + "\n")
        for number, name in enumerate(names):
            for path in files if number else ():
                _link(output / path, output / path.with_name(f"{name}{path.suffix}"), number)
            file.write(seal({"event": "started", "case": name, "pid": 1, "time": done["time"]}) + "\n")
            file.write(seal(_record(done, name, dataset, output, rng)) + "\n")
    described = json.loads((output / "run.json").read_text())
    described["dataset_root"] = str(dataset.resolve())
    (output / "run.json").write_text(json.dumps(described))


def _link(first: Path, new: Path, number: int) -> None:
    """Files of the first case under another name; a new copy, with the same times, where one has too many names."""
    try:
        os.link(first, new)
    except OSError:
        import shutil

        shutil.copy2(first, new.with_suffix(".copy"))
        new.with_suffix(".copy").replace(first)
        os.link(first, new)


def _record(done: dict[str, Any], name: str, dataset: Path, output: Path, rng: np.random.Generator) -> dict[str, Any]:
    facts = json.loads(json.dumps(done).replace(done["case"], name))
    for role, folder in (("image", "ImagesTr"), ("label", "LabelsTr")):
        source = dataset / folder / f"{name}.mha"
        status = source.stat()
        facts["sources"][role] |= {"path": str(source), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    measured = facts["measures"]["image"][0]
    measured["thumbnail"] = base64.b64encode(rng.bytes(512)).decode()
    measured["percentiles"] = sorted((np.array(measured["percentiles"]) * rng.normal(1, 0.05)).tolist())
    measured["histogram"] = rng.integers(300, 9000, len(measured["histogram"])).tolist()
    return facts


def _verify(root: Path) -> Any:
    from monai_mriprep.verify.audit import verify_output

    return lambda: verify_output(root / "output")


def _check(root: Path, voxels: bool = False) -> Any:
    from monai_mriprep.run.check import check_dataset

    return lambda: check_dataset(root / "dataset", voxels=voxels)


def _voxels(root: Path) -> Any:
    return _check(root, voxels=True)


def _stats(root: Path) -> Any:
    from monai_mriprep.dataset.survey import survey_dataset
    from monai_mriprep.recipe import Recipe

    def stats() -> Any:
        survey = survey_dataset(root / "dataset", Recipe())
        return survey, survey.statistics

    return stats


def _report(root: Path) -> Any:
    from monai_mriprep.report.html.write import write_report

    return lambda: write_report(root / "output")


def _index(root: Path) -> Any:
    from monai_mriprep.store.manifest import read_index
    from monai_mriprep.store.store import open_store

    def read() -> Any:
        with open_store(root / "output") as store:
            return read_index(store.root)

    return read


def _plan(root: Path) -> Any:
    from monai_mriprep.recipe import Recipe
    from monai_mriprep.run.plan import plan_run

    recipe = Recipe(**json.loads((root / "output" / "run.json").read_text())["recipe"])
    return lambda: plan_run(root / "dataset", root / "output", recipe)


def _run(root: Path) -> Any:
    from monai_mriprep.run.engines import ThisMachine
    from monai_mriprep.run.preprocess import execute
    from monai_mriprep.run.session import open_session

    plan = _plan(root)()

    def run() -> Any:
        with open_session(plan) as session:
            summary = execute(session, ThisMachine.limited(0))
        if summary.done or summary.failed:
            msg = f"{len(summary.done)} cases were done, not skipped"
            raise SystemExit(msg)
        return plan, session, summary

    return run


def _derived(root: Path) -> Any:
    from monai_mriprep.run.derived import write_derived
    from monai_mriprep.store.description import read_description
    from monai_mriprep.store.manifest import read_index
    from monai_mriprep.store.store import open_store

    with open_store(root / "output") as store:
        index = read_index(store.root)

    def write() -> Any:
        with open_store(root / "output") as store:
            index.root = store.root
            write_derived(store, index, index.cases(), read_description(store).fingerprint)

    return write


COMMANDS: dict[str, Callable[[Path], Callable[[], Any]]] = {
    "index": _index,
    "plan": _plan,
    "run, nothing to do": _run,
    "derived files": _derived,
    "stats": _stats,
    "check": _check,
    "check --voxels": _voxels,
    "verify": _verify,
    "report": _report,
}
"""What is measured; each returns what is done when the clock runs, all imported and prepared."""


def measure(command: str, root: Path, trace: bool) -> dict[str, Any]:
    """Carry a command out in this process."""
    work = COMMANDS[command](root)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory so far is forgotten
    if trace:
        tracemalloc.start(8)
    start, cpu = time.perf_counter(), time.process_time()
    kept = work()
    found = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    found["mib"] = _resident("VmHWM") - before
    if trace:
        held, peak = tracemalloc.get_traced_memory()
        found |= {"traced_mib": peak / 2**20, "held_mib": held / 2**20, "holders": list(_holders())}
    del kept
    return found


def _resident(what: str) -> float:
    """In MiB."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0]) / 1024


def _holders(most: int = 12) -> Iterator[str]:
    for one in tracemalloc.take_snapshot().statistics("lineno")[:most]:
        place = "/".join(one.traceback[0].filename.split("/")[-3:])
        yield f"{one.size / 2**20:8.1f} MiB {one.count:9} {place}:{one.traceback[0].lineno}"


def in_a_process(command: str, root: Path, trace: bool) -> dict[str, Any]:
    """The same in a process of its own."""
    argv = [sys.executable, "-m", "benchmarks.growth", "--one", command, "--at", str(root), *["--trace"] * trace]
    text = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS))
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--preset")
    parser.add_argument("--at", type=Path, help="a folder that the datasets are left in, or are already")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.at, given.trace)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        for cases in given.cases:
            root = (given.at or Path(temporary)) / f"{cases}{given.preset or ''}"
            if not root.exists():
                make(root, cases, given.preset)
            for command in given.commands:
                found = in_a_process(command, root, given.trace)
                kib, ms = found["mib"] * 1024 / cases, found["cpu"] * 1000 / cases
                row = f"{cases:8} {command:20} {found['seconds']:8.2f} s {ms:8.3f} ms CPU/case {found['mib']:8.1f} MiB"
                print(f"{row} {kib:7.2f} KiB/case", flush=True)
                print("".join(f"    {line}\n" for line in found.get("holders", ())), end="", flush=True)


if __name__ == "__main__":
    main()
