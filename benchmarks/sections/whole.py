"""Whole runs, from disk to disk: two sizes of dataset, so that start-up and the cost of a case can be told apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measure import Bench, BenchmarkError, Usage, interleave, median, progress, timed_run
from benchmarks.table import Row

FEW, MANY = 6, 24
QUICK_FEW, QUICK_MANY = 2, 3


@dataclass(frozen=True)
class Peer:
    """A script, what it is called, and how many times less a case and a whole run must cost us."""

    label: str
    module: str
    bar_of_case: float
    bar_of_run: float


PEERS = {
    "monai": Peer("stock MONAI", "benchmarks.peers.stock_monai", 15, 8),
    "nnunet": Peer("nnU-Net preprocess", "benchmarks.peers.nnunet_preprocess", 8, 5),
    "torchio": Peer("TorchIO", "benchmarks.peers.torchio_script", 8, 5),
    "simpleitk": Peer("SimpleITK script", "benchmarks.peers.sitk_script", 6, 4),
}

Runs = Mapping[tuple[str, int], list[Usage]]


def measure(bench: Bench) -> list[Row]:
    """Marginal cost of a case, whole runs, and the memory of one process."""
    few, many = (QUICK_FEW, QUICK_MANY) if bench.quick else (FEW, MANY)
    names = ["ours", *(PEERS if bench.peers is not None else ())]
    if bench.peers is not None:
        for cases in (few, many):
            _prepare_nnunet(bench, bench.peers, cases)
    runs = interleave({(n, c): partial(_run, bench, n, c) for c in (few, many) for n in names}, bench.repeats)
    return [row for name in names[1:] or [""] for row in _rows(runs, name, few, many)]


def _prepare_nnunet(bench: Bench, python: Path, cases: int) -> None:
    """Lay out the dataset, extract the fingerprint, plan; once, and not timed."""
    folder = _output(bench, "nnunet", cases)
    shutil.rmtree(folder, ignore_errors=True)
    progress(f"whole: preparing nnU-Net for {cases} cases")
    argv = [str(python), "-m", PEERS["nnunet"].module, "prepare", str(bench.dataset(cases)), str(folder)]
    timed_run([*argv, str(bench.workers)], bench.logs / "nnunet-prepare.log")


def _run(bench: Bench, name: str, cases: int) -> Usage:
    """One run into an empty folder; a run that leaves out a case is no measurement."""
    dataset, output = bench.dataset(cases), _output(bench, name, cases)
    shutil.rmtree(output / "done" / "Dataset001_Bench" / "nnUNetPlans_3d_fullres", ignore_errors=True)
    if name != "nnunet":
        shutil.rmtree(output, ignore_errors=True)
    workers = str(bench.workers)
    if name == "ours":
        argv = [*bench.command, "run", str(dataset), str(output), "--workers", workers]
    else:
        steps = ["preprocess"] if name == "nnunet" else []
        argv = [str(bench.peers), "-m", PEERS[name].module, *steps, str(dataset), str(output), workers]
    progress(f"whole: {name}, {cases} cases")
    usage = timed_run(argv, bench.logs / f"whole-{name}.log")
    pattern = "done/*/nnUNetPlans_3d_fullres/*_seg.b2nd" if name == "nnunet" else "labelsTr/*.npz"
    found = len(list(output.glob(pattern)))
    if found != cases:
        msg = f"{name} has made {found} of {cases} cases"
        raise BenchmarkError(msg)
    return usage


def _output(bench: Bench, name: str, cases: int) -> Path:
    return bench.work / "whole" / f"{name}-{cases}"


def _rows(runs: Runs, name: str, few: int, many: int) -> list[Row]:
    """Our rows beside one peer's; alone, if there is none."""

    def case(of: str, value: Callable[[Usage], float]) -> list[float]:
        pairs = zip(runs[of, few], runs[of, many], strict=True)
        return [(value(long) - value(short)) / (many - few) for short, long in pairs]

    def run(of: str, value: Callable[[Usage], float]) -> list[float]:
        return [value(usage) for usage in runs[of, many]]

    peer = PEERS.get(name)
    wall, cpu, peak = (lambda u: u.wall), (lambda u: u.cpu), (lambda u: u.peak_mib)
    bar_of_case, bar_of_run = (peer.bar_of_case, peer.bar_of_run) if peer else (None, None)
    wanted = [
        ("one more case, wall", "s", case, wall, bar_of_case),
        ("one more case, CPU", "s", case, cpu, bar_of_case),
        (f"{many} cases, wall", "s", run, wall, bar_of_run),
        (f"{many} cases, CPU", "s", run, cpu, None),
        ("peak of one process", "MiB", run, peak, None),
    ]
    return [
        _row(what, unit, peer, samples("ours", value), samples(name, value) if peer else None, bar)
        for what, unit, samples, value, bar in wanted
    ]


def _row(
    what: str, unit: str, peer: Peer | None, ours: list[float], theirs: list[float] | None, bar: float | None
) -> Row:
    if peer is None or theirs is None:
        return Row("whole", what, median(ours), unit, samples={"ours": ours})
    samples = {"ours": ours, "theirs": theirs}
    return Row.faster("whole", what, median(ours), unit, peer.label, median(theirs), bar=bar, samples=samples)
