"""How soon the command line answers, and how soon the first case is finished."""

from __future__ import annotations

import os
import shutil
import time
from functools import partial
from pathlib import Path

from benchmarks.measure import Bench, BenchmarkError, finish, interleave, launch, median, progress, timed_run
from benchmarks.table import Row

HELP_BAR, FIRST_CASE_BAR = 0.12, 2.0
POLL = 0.002
"""Seconds between looks into the output folder."""


def measure(bench: Bench) -> list[Row]:
    """Both beside the import of MONAI's transforms, in the same environment."""
    progress("start-up")
    load = [str(bench.ours), "-c", "import monai.transforms"]
    measures = {
        "import": partial(_wall, bench, load),
        "help": partial(_wall, bench, [*bench.command, "--help"]),
        "first": partial(_first_case, bench),
        "torch": partial(_wall, bench, [str(bench.ours), "-c", "import torch"]),
        "python": partial(_wall, bench, [str(bench.ours), "-c", "pass"]),
    }
    for once in ("import", "help"):
        measures[once]()  # byte code and disk cache
    samples = interleave(measures, bench.repeats if bench.quick else bench.repeats + 2)
    s = {name: median(values) for name, values in samples.items()}
    beside, first = "import monai.transforms", "launch to first finished case (mixed)"
    return [
        Row.share("start-up", "--help", s["help"], "s", beside, s["import"], bar=HELP_BAR, samples=samples),
        Row.share("start-up", first, s["first"], "s", beside, s["import"], bar=FIRST_CASE_BAR),
        Row.share("start-up", first, s["first"], "s", "import torch (floor)", s["torch"]),
        Row.share("start-up", "--help", s["help"], "s", "python -c pass (floor)", s["python"]),
    ]


def _wall(bench: Bench, argv: list[str]) -> float:
    return timed_run(argv, bench.logs / "startup.log").wall


def _first_case(bench: Bench) -> float:
    """From launch until a file appears in ``imagesTr``; the run is then left to finish."""
    output, log = bench.work / "startup", bench.logs / "first-case.log"
    if not bench.mixed.is_dir():
        msg = f"{bench.mixed}: no such dataset; name it with --mixed"
        raise BenchmarkError(msg)
    shutil.rmtree(output, ignore_errors=True)
    argv = [*bench.command, "run", str(bench.mixed), str(output), "--workers", str(bench.workers)]
    start, process = launch(argv, log)
    seconds = None
    while seconds is None and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if _any_file(output / "imagesTr"):
            seconds = time.perf_counter() - start
        else:
            time.sleep(POLL)
    finish(argv, log, start, process)
    if seconds is None:
        msg = "the run has ended before a finished case was seen"
        raise BenchmarkError(msg)
    return seconds


def _any_file(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
