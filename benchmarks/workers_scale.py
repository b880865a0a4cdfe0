"""Two workers beside one: in MONAI's loader, on a Dask cluster of this machine, and numpy's own work beside them.

Each is measured in turns in a process of its own, each round starting with another one; values are medians. The clock
runs while cases are worked on: not while Python, torch or a cluster starts. numpy says what the machine can give: two
processes that each do the same products of matrices, or copy the same memory, as one did before. Six minutes at most.
Exit status: 0 if the bars are met, 1 if one is not.

usage, from the repository's root: .venv/bin/python -m benchmarks.workers_scale [--fill docs/scale.md]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.measure import ROOT, interleave, median, progress, timed_run
from benchmarks.table import Row, as_markdown, as_text, fill_page

BEGIN, END = "<!-- workers:begin (written by benchmarks.workers_scale --fill) -->", "<!-- workers:end -->"
MAKER = ROOT.parent / "shared" / "bench" / "make_dataset.py"
"""Makes the cases where it is there; else `benchmarks.data` makes cases of the same size."""
BAR = 1.8
KINDS = {"loader": "workers of MONAI's loader", "dask": "workers of a local Dask cluster"}
NUMPY = {"products": "processes, products of matrices in numpy", "copies": "processes, copies of memory in numpy"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def make_cases(folder: Path, cases: int, scale: float, times: int) -> None:
    """Cases in ``folder/made``, and each under several names in ``folder/dataset``."""
    made, dataset = folder / "made", folder / "dataset"
    maker = [str(MAKER)] if MAKER.exists() else ["-m", "benchmarks.data"]
    timed_run([sys.executable, *maker, str(made), "--cases", str(cases), "--scale", str(scale)], folder / "log")
    for path in made.rglob("*.*"):
        is_volume = path.suffix == ".mha"
        for number in range(times if is_volume else 1):
            place = dataset / path.relative_to(made).with_name(f"{number}{path.name}" if is_volume else path.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)


def run_cases(kind: str, folder: Path, workers: int) -> float:
    """Seconds of a run of all cases, in this process."""
    from monai_mriprep import preprocess

    output = folder / f"out-{kind}"
    shutil.rmtree(output, ignore_errors=True)
    if kind == "loader":
        return preprocess(folder / "dataset", output, workers=workers).seconds
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(_warm_up)
        return preprocess(folder / "dataset", output, client=client).seconds


def _warm_up() -> None:
    import monai_mriprep.run.cluster_worker
    import monai_mriprep.run.process  # noqa: F401


def run_numpy(kind: str, processes: int) -> float:
    """Seconds until each process has done the same work; they begin together."""
    context = multiprocessing.get_context("spawn")
    together, answers = context.Barrier(processes), context.Queue()
    started = [context.Process(target=_work, args=(kind, together, answers)) for _ in range(processes)]
    for process in started:
        process.start()
    seconds = max(answers.get(timeout=120) for _ in started)
    for process in started:
        process.join()
    return seconds


def _work(kind: str, together: Any, answers: Any) -> None:
    """Products of matrices, or copies of an array that no cache holds; some two seconds."""
    size = 768 if kind == "products" else 4096
    one = np.random.default_rng(0).standard_normal((size, size), np.float32)
    other = one.copy()
    repeats = 80 if kind == "products" else 120
    work = partial(np.matmul, one, one, other) if kind == "products" else partial(np.copyto, other, one)
    work()
    together.wait(60)
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    answers.put(time.perf_counter() - start)


def _in_a_child(what: str, kind: str, folder: Path, count: int) -> float:
    argv = [sys.executable, "-m", "benchmarks.workers_scale", "--one", what, kind, str(folder), str(count)]
    timed_run(argv, folder / "log", ONE_THREAD)
    return float(json.loads((folder / "answer.json").read_text()))


def rows_of(folder: Path, rounds: int) -> Iterator[Row]:
    """Everything, in turns."""
    measures = {(k, n): partial(_in_a_child, "cases", k, folder, n) for k in KINDS for n in (1, 2)}
    measures |= {(k, n): partial(_in_a_child, "numpy", k, folder, n) for k in NUMPY for n in (1, 2)}
    samples = interleave(measures, rounds)
    for kind, named in {**KINDS, **NUMPY}.items():
        one, two = (samples[kind, count] for count in (1, 2))
        once = median(one) * (2 if kind in NUMPY else 1)  # two processes do twice the work
        bar = BAR if kind in KINDS else None
        beside = "one does the work of both" if kind in NUMPY else "1 worker"
        yield Row.faster(
            "2 beside 1", f"2 {named}", median(two), "s", beside, once, bar=bar, samples={"1": one, "2": two}
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--times", type=int, default=5, help="names of each case")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fill", type=Path, help="put the table into this page, between its marks")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, kind, folder, count = options.one
        seconds = run_cases(kind, Path(folder), int(count)) if what == "cases" else run_numpy(kind, int(count))
        (Path(folder) / "answer.json").write_text(json.dumps(seconds))
        return 0
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="mriprep-workers-") as text:
        progress("workers: making cases")
        make_cases(Path(text), options.cases, options.scale, options.times)
        rows = list(rows_of(Path(text), options.rounds))
    idle = "idle" if machine["idle"] else "NOT IDLE"
    head = f"{machine['cpu']}, {machine['cores']} cores, {idle}; {options.cases * options.times} cases, medians of "
    head += f"{options.rounds}; {machine['time'][:10]}\n\n"
    print(head + as_text(rows))
    if options.fill is not None:
        fill_page(options.fill, BEGIN, END, head + as_markdown(rows) + "\n")
    return int(any(row.bar is not None and (row.ratio or 0) < row.bar for row in rows))


if __name__ == "__main__":
    sys.exit(main())
