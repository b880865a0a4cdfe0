"""What measuring and drawing cases for the report costs of their time.

Every case is preprocessed in this process, on one thread as in a worker, with and without it, in turns, each round
starting with the other one; all has been done once before the clock runs. A ratio is the median of the rounds' own.
Exit status: 0 if the ratio over all cases is at most the bar, 1 if not.

usage, from the repository's root: .venv/bin/python -m benchmarks.report_cost [--cases 12] [--rounds 7] [DATASET ...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from benchmarks.data import make_dataset
from benchmarks.machine import describe_machine
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.process import process_case
from monai_mriprep.store.store import make_store, open_store

BAR = 1.05
"""The most of a case's time without it."""


def rounds_of(dataset: Path, output: Path, count: int) -> list[dict[bool, list[float]]]:
    """Of each round the seconds of each case, with and without; the cases largest first."""
    plan = plan_run(dataset, output)
    make_store(output)
    with open_store(output) as store:
        store.prepare()
    jobs = {report: replace(plan.job, report=report) for report in (True, False)}
    for job in jobs.values():
        [_seconds(job, case) for case in plan.cases]
    return [
        {report: [_seconds(jobs[report], case) for case in plan.cases] for report in (bool(i % 2), not i % 2)}
        for i in range(count)
    ]


def _seconds(job: Job, case: Case) -> float:
    start = time.perf_counter()
    process_case(job, case)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", type=Path, help="by default one like pancreas MRI is made")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine, worst = describe_machine(0.5), 0.0
    print(f"{machine['cpu']}, {machine['cores']} cores, idle: {machine['idle']}; medians of {options.rounds} pairs")
    with tempfile.TemporaryDirectory(prefix="mriprep-report-") as folder:
        if not options.datasets:
            make_dataset(Path(folder) / "dataset", options.cases, scale=1.0)
        for dataset in options.datasets or [Path(folder) / "dataset"]:
            rounds = rounds_of(dataset, Path(folder) / f"out-{dataset.name}", options.rounds)
            ratio = median(sum(one[True]) / sum(one[False]) for one in rounds)
            one_case = 1000 * median(sum(one[True]) - sum(one[False]) for one in rounds) / len(rounds[0][True])
            seconds = median(sum(one[False]) for one in rounds) / len(rounds[0][False])
            print(f"{dataset.name}: {seconds:.3f} s a case without, {one_case:.1f} ms for the report: {ratio:.3f}")
            worst = max(worst, ratio)
    return int(worst > BAR)


if __name__ == "__main__":
    sys.exit(main())
