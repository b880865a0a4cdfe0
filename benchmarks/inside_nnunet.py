"""nnU-Net with its own code and with ours: preprocessing of a case, whole commands, the export of a prediction.

Stock and ours are measured in turns, each round starting with the other; values are medians. A case is measured in one
process on one thread, so that importing nnU-Net does not count; commands are measured from launch to exit. Exit status:
0 if all bars are met, 1 if one is not.

usage, from the repository's root: .venv-nnunet/bin/python -m benchmarks.inside_nnunet [--fill docs/performance.md]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import Clock, describe_machine, versions_in
from benchmarks.measure import ROOT, Usage, interleave, timed_run
from benchmarks.peers.nnunet_preprocess import DATASET_ID, NAME
from benchmarks.table import Row, as_markdown, as_text, fill_page

__all__ = ["command_rows", "export_ratio", "preprocess_ratio"]

BEGIN, END = "<!-- inside:begin (written by benchmarks.inside_nnunet --fill) -->", "<!-- inside:end -->"
SIDES = ("stock", "ours")
CASE_BAR, EXPORT_BAR = 6, 10
"""How many times less a case, and the export of 20 classes, must take."""


def prepare(folder: Path, cases: int, scale: float) -> None:
    """Cases of the size of pancreas MRI as nnU-Net's raw data, with its fingerprint and plans."""
    data = [sys.executable, "-m", "benchmarks.data", str(folder / "made"), "--cases", str(cases)]
    timed_run([*data, "--scale", str(scale), "--first", str(cases)], folder / "log")
    plan = ["prepare", str(folder / "made" / f"first-{cases}"), str(folder), "2"]
    timed_run([sys.executable, "-m", "benchmarks.peers.nnunet_preprocess", *plan], folder / "log")


def preprocess_ratio(folder: Path, rounds: int) -> Row:
    """CPU of one case, from files to files, beyond importing nnU-Net."""
    rounds_of = _child(folder, "cases", str(folder), str(rounds))
    stock, ours = (median(np.mean(values, axis=1)) for values in (rounds_of[side] for side in SIDES))
    what = f"one case of {len(rounds_of['ours'][0])}, CPU"
    return Row.faster("preprocess", what, ours, "s", "nnUNetv2_preprocess", stock, bar=CASE_BAR, samples=rounds_of)


def command_rows(folder: Path, cases: int, rounds: int) -> Iterator[Row]:
    """The whole commands, with two processes each, nnU-Net's import included."""
    runs = interleave({side: partial(_run_command, folder, side, cases) for side in SIDES}, rounds)
    for what, unit in (("wall", "s"), ("cpu", "s"), ("peak_mib", "MiB")):
        stock, ours = (median(getattr(usage, what) for usage in runs[side]) for side in SIDES)
        named = f"{cases} cases, {what.replace('cpu', 'CPU').replace('peak_mib', 'peak of one process')}"
        yield Row.faster("preprocess", named, ours, unit, "nnUNetv2_preprocess", stock)


def _run_command(folder: Path, side: str, cases: int) -> Usage:
    output = folder / "done" / NAME / "nnUNetPlans_3d_fullres"
    shutil.rmtree(output, ignore_errors=True)
    programs = Path(sys.executable).parent
    command = [str(programs / "nnUNetv2_preprocess")]
    if side == "ours":
        command = [str(programs / "monai-mriprep"), "nnunet", "preprocess"]
    names = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "done", "nnUNet_results": "results"}
    environment = {variable: str(folder / name) for variable, name in names.items()}
    wanted = ["-d", str(DATASET_ID), "-c", "3d_fullres", "-np", "2"]
    usage = timed_run([*command, *wanted], folder / "log", environment)
    found = len(list(output.glob("*_seg.b2nd")))
    if found != cases:
        sys.exit(f"{' '.join(command)} has made {found} of {cases} cases; see {folder / 'log'}")
    return usage


def export_ratio(folder: Path, classes: int, rounds: int) -> Iterator[Row]:
    """CPU and extra peak memory of an export, and how many voxels of the label maps differ."""
    runs = interleave(
        {side: partial(_child, folder, "export", side, str(classes), name=f"{side}-{classes}") for side in SIDES},
        rounds,
    )
    bar = EXPORT_BAR if classes == 20 else None
    for key, what, unit in (("cpu", "CPU", "s"), ("wall", "wall", "s"), ("mib", "extra peak memory", "MiB")):
        stock, ours = (median(run[key] for run in runs[side]) for side in SIDES)
        of_bar = None if key == "wall" else bar
        yield Row.faster("export", f"{classes} classes, {what}", ours, unit, "nnU-Net's export", stock, bar=of_bar)
    one, other = (np.load(folder / f"{side}-{classes}.npy") for side in SIDES)
    share = float(np.mean(one != other))
    yield Row.share("export", f"{classes} classes, other voxels", share, "of all", "allowed", 1e-4, bar=1)


def _child(folder: Path, what: str, *arguments: str, name: str = "result") -> Any:
    result = folder / f"{name}.json"
    timed_run(
        [sys.executable, "-m", "benchmarks.inside_measured", str(result), what, *arguments],
        folder / "log",
        {"OMP_NUM_THREADS": "1"} if what == "cases" else None,
    )
    return json.loads(result.read_text())


def main() -> int:
    options = _options()
    machine, clock = describe_machine(), Clock.read()
    with tempfile.TemporaryDirectory(prefix="mriprep-inside-") as temporary:
        rows = _measured(Path(temporary), options.cases, options.rounds, 0.3 if options.quick else 1.0)
    rows = [replace(row, bar=None) for row in rows] if options.quick else rows
    stolen = Clock.read().shares_since(clock)["stolen"]
    page = f"{_title(machine, options.rounds, stolen)}\n\n{as_markdown(rows)}\n"
    print(page, as_text(rows), sep="\n")
    if options.fill is not None and not options.quick:
        fill_page(options.fill, BEGIN, END, page)
    return int(any(row.met is False for row in rows))


def _title(machine: dict[str, Any], rounds: int, stolen: float) -> str:
    size = f"{machine['cores']} cores, {machine['memory_gib']} GiB, {'idle' if machine['idle'] else 'NOT IDLE'}"
    versions = ", ".join(f"{package} {number}" for package, number in versions_in(Path(sys.executable)).items())
    measured = f"{machine['time']}, medians of {rounds} rounds; the host took {stolen:.1%} of the cores away"
    return f"{machine['cpu']}, {size}; {measured}.\n\nEnvironment: {versions}."


def _measured(folder: Path, cases: int, rounds: int, scale: float) -> Sequence[Row]:
    prepare(folder, cases, scale)
    rows = [preprocess_ratio(folder, rounds), *command_rows(folder, cases, rounds)]
    return [*rows, *export_ratio(folder, 5, rounds), *export_ratio(folder, 20, rounds)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small cases: does everything run? No measurement")
    parser.add_argument("--fill", type=Path, help=f"put the table into this page of {ROOT.name}, between its marks")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
