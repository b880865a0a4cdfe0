"""Whether this version is as quick as 0.1.0: whole runs, the kernel, and ``--help``.

Both are measured in turns, in pairs, each round starting with the other one. A ratio is the median of the pairs' own
ratios, so a machine that slows down for a while slows both halves of a pair. Everything has been done once before the
clock runs, and the kernel's processes keep the memory that they have touched.
Exit status: 0 if no ratio is over its bar, 1 if one is, 2 if something could not be measured.

usage, from the repository's root: .venv/bin/python -m benchmarks.against_release [--rounds 11] [--only kernel whole]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.measure import ROOT, Bench, BenchmarkError, Child, interleave, median, progress, start_child, timed_run
from benchmarks.release import RELEASE, Version, check_out, this_version
from benchmarks.sections.kernel import FINER, SHAPE, SPACING
from benchmarks.table import Row, as_text

BAR = 1.03
"""The most of the release's time that whole runs and the kernel may take."""

HELP_BAR = 1.05
"""The same for ``--help``, which takes so little that a processor's clock is seen in it."""

CASES = 24
CALLS = 5
"""Calls of the kernel for one measurement, which is their median."""

KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
"""glibc then gives nothing back, so that after one call no page is touched for the first time."""

Measures = Mapping[Version, Callable[[], float]]


def main() -> int:
    """See the module."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="mriprep-release-") as folder:
        try:
            rows = _measure(options, Path(folder))
        except BenchmarkError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    machine = describe_machine(0.5)
    print(f"{machine['cpu']}, {machine['cores']} cores; {machine['time']}; medians of {options.rounds} pairs")
    print(as_text(rows))
    return int(any(row.met is False for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", default=RELEASE, help=f"what to compare with; by default {RELEASE}, 0.1.0")
    parser.add_argument("--rounds", type=int, default=11, help="pairs that medians are taken of")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="what to measure")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything run? no measurement")
    parser.add_argument("--logs", type=Path, default=ROOT / "bench-out" / "logs", help="folder of what programs print")
    return parser.parse_args()


def _measure(options: argparse.Namespace, work: Path) -> list[Row]:
    python = Path(sys.executable)
    bench = Bench(python, None, (), work, options.logs.resolve(), work, options.rounds, options.quick)
    versions = this_version(), check_out(options.revision, work / "release")
    machine = describe_machine(2.0)
    if not machine["idle"]:
        progress("WARNING: the machine is not idle; the ratios mean little")
    return [row for name in options.only for row in SECTIONS[name](bench, versions)]


def _whole(bench: Bench, versions: Sequence[Version]) -> list[Row]:
    """From launch to exit, two workers, into an empty folder."""
    cases = 3 if bench.quick else CASES
    dataset = bench.dataset(cases)

    def run(version: Version) -> float:
        output = bench.work / "whole"
        shutil.rmtree(output, ignore_errors=True)
        argv = version.command("run", str(dataset), str(output), "--workers", str(bench.workers))
        usage = timed_run(argv, bench.logs / "release-whole.log", version.environment, version.root)
        found = len(list(output.glob("labelsTr/*.npz")))
        if found != cases:
            msg = f"{version.name} has made {found} of {cases} cases"
            raise BenchmarkError(msg)
        return usage.wall

    progress(f"whole: {cases} cases, {bench.repeats} pairs")
    return [_pairs(bench, f"{cases} cases, wall", "s", {version: partial(run, version) for version in versions}, BAR)]


def _kernel(bench: Bench, versions: Sequence[Version]) -> list[Row]:
    """Float32 in memory to float32 in memory, on one thread and on two."""
    shape = [n // 5 for n in SHAPE] if bench.quick else SHAPE
    case = "cubic", shape, SPACING, [s * FINER for s in SPACING], []
    rows = []
    with ExitStack() as stack:
        children = {version: stack.enter_context(_child(bench, version)) for version in versions}
        for threads in (1, 2):
            for child in children.values():
                child.ask("threads", threads)
            progress(f"kernel: {threads} threads, {bench.repeats} pairs")
            measures = {version: partial(_nanoseconds, child, case) for version, child in children.items()}
            rows.append(_pairs(bench, f"cubic, {threads} threads", "ns/voxel", measures, BAR))
    return rows


def _child(bench: Bench, version: Version) -> Any:
    environment = {**version.environment, **KEEP_MEMORY}
    return start_child(bench, bench.ours, "benchmarks.ours.kernels", environment, version.root)


def _nanoseconds(child: Child, case: tuple[Any, ...]) -> float:
    answers = [child.ask("seconds", *case) for _ in range(CALLS)]
    return median([1e9 * answer["seconds"] / answer["voxels"] for answer in answers])


def _help(bench: Bench, versions: Sequence[Version]) -> list[Row]:
    def show(version: Version) -> float:
        log = bench.logs / "release-help.log"
        return timed_run(version.command("--help"), log, version.environment, version.root).wall

    progress(f"--help, {bench.repeats} pairs")
    return [_pairs(bench, "--help", "s", {version: partial(show, version) for version in versions}, HELP_BAR)]


def _pairs(bench: Bench, what: str, unit: str, measures: Measures, bar: float) -> Row:
    """One warm-up each, then the pairs."""
    for once in measures.values():
        once()
    (ours, ours_values), (release, values) = interleave(measures, bench.repeats).items()
    ratio = median([one / other for one, other in zip(ours_values, values, strict=True)])
    samples = {ours.name: ours_values, release.name: values}
    row = Row("release", what, median(ours_values), unit, release.name, median(values), ratio, bar, False, samples)
    return replace(row, bar=None) if bench.quick else row


SECTIONS: dict[str, Callable[[Bench, Sequence[Version]], list[Row]]] = {
    "kernel": _kernel,
    "whole": _whole,
    "help": _help,
}

if __name__ == "__main__":
    sys.exit(main())
