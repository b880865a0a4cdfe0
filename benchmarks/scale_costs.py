"""What `benchmarks.scale` puts in: costs of a case and of looking at many, measured here, and a whole run beside it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Any

from benchmarks.growth import in_a_process, make
from benchmarks.machine import describe_machine
from benchmarks.measure import ROOT, progress, timed_run

__all__ = ["FILE", "Costs", "Measured", "measure_all", "read_costs"]

FILE = ROOT / "benchmarks" / "scale_costs.json"
ROUNDS = 3
"""Of each case; its median counts."""
TIMES = 6
"""Names that each case has in a whole run, so that there is enough to do."""
SMALL, LARGE = 1000, 4000
"""Cases of the folders whose difference tells the cost of one."""
GROWING = {"plan": "plan", "index": "index", "table": "derived files", "report": "report"}


@dataclass(frozen=True)
class Costs:
    """Of one case, in seconds and bytes, on one core of the machine that measured them.

    Parameters
    ----------
    case_seconds, case_spread
        Reading, preprocessing, writing: the mean, and the standard deviation as a share of it.
    read_bytes, written_bytes
        Files of a case.
    record_seconds, record_bytes
        Its two lines in the records.
    sync_seconds
        To sync a group of records with their folders, once.
    start_seconds
        From the launch of a process to its first case.
    plan_seconds, index_seconds, table_seconds, report_seconds
        What plan, the records, the tables at the end and the report take of time.
    plan_bytes, index_bytes, table_bytes, report_bytes
        And of memory.
    """

    case_seconds: float
    case_spread: float
    read_bytes: float
    written_bytes: float
    record_seconds: float
    record_bytes: float
    sync_seconds: float
    start_seconds: float
    plan_seconds: float
    index_seconds: float
    table_seconds: float
    report_seconds: float
    plan_bytes: float
    index_bytes: float
    table_bytes: float
    report_bytes: float


@dataclass(frozen=True)
class Measured:
    """Costs, the seconds of each case, runs of each so many times over (seconds by workers), and the machine."""

    costs: Costs
    cases: tuple[float, ...]
    runs: dict[int, float]
    machine: dict[str, Any]
    times: int = TIMES


def read_costs(file: Path = FILE) -> Measured:
    """What was measured before."""
    found = json.loads(file.read_text(encoding="utf-8"))
    costs = Costs(**{field.name: found["costs"][field.name] for field in fields(Costs)})
    runs = {int(workers): seconds for workers, seconds in found["runs"].items()}
    return Measured(costs, tuple(found["cases"]), runs, found["machine"], found["times"])


def measure_all(folder: Path, cases: int = 8, scale: float = 1.0) -> Measured:
    """Measure everything; some three minutes."""
    machine = describe_machine()
    progress("scale: cases")
    make_cases = ["-m", "benchmarks.data", str(folder / "data"), "--cases", str(cases), "--scale", str(scale)]
    timed_run([sys.executable, *make_cases], folder / "log")
    _multiply(folder)
    of_cases = _in_a_child("cases", folder)
    runs = {}
    for workers in (1, 2):
        progress(f"scale: a run with {workers} workers")
        runs[workers] = median(_in_a_child("run", folder, workers)["seconds"] for _ in range(3))
    grown = _growing(folder)
    costs = Costs(
        case_seconds=mean(of_cases["seconds"]),
        case_spread=pstdev(of_cases["seconds"]) / mean(of_cases["seconds"]),
        **{name: of_cases[name] for name in ("read_bytes", "written_bytes", "record_seconds", "record_bytes")},
        sync_seconds=of_cases["sync_seconds"],
        start_seconds=of_cases["start_seconds"],
        **grown,
    )
    measured = Measured(costs, tuple(of_cases["seconds"]), runs, machine)
    FILE.write_text(json.dumps(asdict(measured), indent=2) + "\n", encoding="utf-8")
    return measured


def _growing(folder: Path) -> dict[str, float]:
    """Seconds of CPU and bytes of memory that one more case takes."""
    found: dict[str, float] = {}
    for count in (SMALL, LARGE):
        progress(f"scale: {count} recorded cases")
        timed_run([sys.executable, "-m", "benchmarks.scale_costs", "make", str(folder), str(count)], folder / "log")
    for name, command in GROWING.items():
        less, more = (in_a_process(command, folder / str(count), trace=False) for count in (SMALL, LARGE))
        found[f"{name}_seconds"] = (more["cpu"] - less["cpu"]) / (LARGE - SMALL)
        found[f"{name}_bytes"] = max(0.0, more["mib"] - less["mib"]) * 2**20 / (LARGE - SMALL)
    return found


def _multiply(folder: Path) -> None:
    """Each case under several names, in ``often``."""
    for path in (folder / "data").rglob("*"):
        place = folder / "often" / path.relative_to(folder / "data")
        place.parent.mkdir(parents=True, exist_ok=True)
        for number in range(TIMES if path.suffix == ".mha" else path.is_file()):
            os.link(path, place.with_name(f"{number}{path.name}" if path.suffix == ".mha" else path.name))


def _in_a_child(what: str, folder: Path, *arguments: object) -> dict[str, Any]:
    """A measurement in a process of its own: it loads torch, which this one need not."""
    answer = folder / "answer.json"
    argv = [sys.executable, "-m", "benchmarks.scale_costs", what, str(folder), *map(str, arguments)]
    timed_run(argv, folder / "log", {"OMP_NUM_THREADS": "1"})
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def _cases(folder: Path) -> dict[str, Any]:
    """Each case in this process, on one thread, the second time; then its record, again and again."""
    start = time.perf_counter()
    import torch

    from monai_mriprep.run.plan import plan_run
    from monai_mriprep.run.process import process_case
    from monai_mriprep.store.recorder import GROUP_RECORDS, Recorder
    from monai_mriprep.store.store import make_store, open_store

    torch.set_num_threads(1)
    output = folder / "cases"
    plan = plan_run(folder / "data", output)
    make_store(output)
    with open_store(output) as store:
        store.prepare()
        process_case(plan.job, plan.cases[-1])
        started = time.perf_counter() - start
        rounds, results = [], []
        for _ in range(ROUNDS):
            rounds.append([])
            for case in plan.cases:
                begun = time.perf_counter()
                results.append(process_case(plan.job, case))
                rounds[-1].append(time.perf_counter() - begun)
        seconds = [median(of_case) for of_case in zip(*rounds, strict=True)]
        sources = [path for case in plan.cases for paths in case.sources.values() for path in paths]
        recorder = Recorder(store)
        lines, syncs = [], []
        for _ in range(5):
            begun = time.perf_counter()
            for _ in range(GROUP_RECORDS - 1):
                recorder._append({"event": "started", "case": results[0].case, "pid": 1})
                recorder._append(results[0].record())
            lines.append((time.perf_counter() - begun) / (GROUP_RECORDS - 1))
            begun = time.perf_counter()
            recorder._sync()
            syncs.append(time.perf_counter() - begun)
        records = (output / "manifest.jsonl").stat().st_size / (5 * (GROUP_RECORDS - 1))
    written = [path for name in ("imagesTr", "labelsTr", ".report") for path in (output / name).iterdir()]
    return {
        "seconds": seconds,
        "read_bytes": sum(path.stat().st_size for path in sources) / len(seconds),
        "written_bytes": sum(path.stat().st_size for path in written) / len(seconds),
        "record_seconds": median(lines),
        "record_bytes": records,
        "sync_seconds": median(syncs),
        "start_seconds": started - min(seconds),
    }


def _run(folder: Path, workers: int) -> dict[str, Any]:
    """All cases by a run, imports included."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    start = time.perf_counter()
    from monai_mriprep import preprocess

    preprocess(folder / "often", folder / "run", workers=workers)
    return {"seconds": time.perf_counter() - start}


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "make":
        make(folder / sys.argv[3], int(sys.argv[3]))
        return
    found = _cases(folder) if what == "cases" else _run(folder, int(sys.argv[3]))
    (folder / "answer.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
