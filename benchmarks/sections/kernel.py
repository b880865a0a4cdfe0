"""The resampling kernel alone, on one thread: beside the peers, over sizes, and what a call costs."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from benchmarks.measure import Bench, Child, interleave, median, progress, start_child
from benchmarks.table import Row

SHAPE, SPACING = [72, 260, 320], [3.0, 1.1875, 1.1875]
FINER = 0.84
"""Target spacing, as a share of the source's."""
PEERS: dict[str, tuple[str, float | None]] = {
    "monai": ("MONAI Spacing(mode=3)", 30.0),
    "nnunet": ("nnU-Net resize", 30.0),
    "simpleitk": ("SimpleITK B-spline", 27.0),
    "monai_bilinear": ("MONAI Spacing(bilinear)", 9.0),
    "trilinear": ("torch trilinear", None),
    "nnunet_torch": ("nnU-Net resample_torch_fornnunet", None),
}
"""How to name them, and how many times faster we must be; see `benchmarks.kernel_cores` for the last two."""
OURS = {"linear": "ours, order 1", "dense": "dense matrices, TotalSegmentator's way"}
"""What is measured by our side beside the spline."""
SIZES = (96, 128, 256, 400, 512)
SPREAD_BAR = 1.6
SMALL = 64
OVERHEAD_BAR_MS = 2.0
OURS_A_ROUND = 5
"""Our calls in each round: short ones need more samples."""

Samples = dict[str, Any]


def measure(bench: Bench) -> list[Row]:
    """All rows of the kernel."""
    with ExitStack() as stack:
        ours = stack.enter_context(start_child(bench, bench.ours, "benchmarks.ours.kernels"))
        ours.ask("threads", 1)
        rows = []
        if bench.peers is not None:
            peers = stack.enter_context(start_child(bench, bench.peers, "benchmarks.peers.kernels"))
            rows += _beside_peers(bench, ours, peers)
        rows += _all_cores(bench, ours)
        rows += _over_sizes(bench, ours)
    return rows


def _beside_peers(bench: Bench, ours: Child, peers: Child) -> list[Row]:
    shape = [max(16, n // 5) for n in SHAPE] if bench.quick else SHAPE
    case = shape, SPACING, [s * FINER for s in SPACING], _target_shape(shape)
    measures = {name: partial(_ask, peers, name, case) for name in PEERS}
    measures["ours"] = partial(_ask, ours, "cubic", case, OURS_A_ROUND)
    measures |= {name: partial(_ask, ours, name, case, OURS_A_ROUND) for name in ("copy", *OURS)}
    progress(f"kernel: {' x '.join(map(str, shape))}, {bench.repeats} rounds")
    samples = _flat(interleave(measures, bench.repeats))
    ours.ask("forget")
    value = median(samples["ours"])
    rows = [
        Row.faster(
            "kernel",
            "cubic, one thread",
            value,
            "ns/voxel",
            label,
            median(samples[name]),
            bar=bar,
            samples={"ours": samples["ours"], "theirs": samples[name]},
        )
        for name, (label, bar) in (PEERS | {name: (label, None) for name, label in OURS.items()}).items()
    ]
    copy = median(samples["copy"])
    floor = Row.share("kernel", "cubic, one thread", value, "ns/voxel", "plain copy of the output (floor)", copy)
    return [*rows, floor]


def _all_cores(bench: Bench, ours: Child) -> list[Row]:
    shape = [max(16, n // 5) for n in SHAPE] if bench.quick else SHAPE
    case = shape, SPACING, [s * FINER for s in SPACING], _target_shape(shape)

    def with_threads(count: int) -> list[float]:
        ours.ask("threads", count)
        return _ask(ours, "cubic", case, OURS_A_ROUND)

    cores = bench.workers
    samples = _flat(interleave({"one": partial(with_threads, 1), "all": partial(with_threads, cores)}, bench.repeats))
    ours.ask("threads", 1)
    ours.ask("forget")
    values = {name: median(values) for name, values in samples.items()}
    return [Row.faster("kernel", f"cubic, {cores} threads", values["all"], "ns/voxel", "one thread", values["one"])]


def _over_sizes(bench: Bench, ours: Child) -> list[Row]:
    sizes = (32, 48, 64) if bench.quick else SIZES
    small = 16 if bench.quick else SMALL
    costs: dict[int, list[float]] = {}
    for n in sizes:  # one size after the other: inputs of all sizes together would not fit into memory
        progress(f"kernel: {n} cubed")
        costs[n] = _flat(interleave({n: partial(_ask, ours, "cubic", _cube(n), 3)}, bench.repeats))[n]
        ours.ask("forget")
    cost = {n: median(values) for n, values in costs.items()}
    rows = [Row("kernel", f"cubic, {n} cubed", cost[n], "ns/voxel", samples={"ours": costs[n]}) for n in sizes]
    rows.append(_spread(cost))
    known = {"cubic": "known plan", "cubic_new_plan": "new plan"}
    for name, what in known.items():
        values = _flat(interleave({name: partial(_ask, ours, name, _cube(small), 5)}, bench.repeats))[name]
        rows.append(_overhead(small, what, median(values), min(cost.values())))
    return rows


def _spread(cost: dict[int, float]) -> Row:
    least, most = min(cost, key=cost.__getitem__), max(cost, key=cost.__getitem__)
    what = f"dearest size ({most} cubed)"
    beside = f"cheapest size ({least} cubed)"
    return Row.share("kernel", what, cost[most], "ns/voxel", beside, cost[least], bar=SPREAD_BAR)


def _overhead(n: int, what: str, cost: float, least: float) -> Row:
    """What a call takes beyond its voxels at the cheapest size's cost."""
    voxels = _voxels(_target_shape([n] * 3))
    milliseconds = (cost - least) * voxels / 1e6
    bar = OVERHEAD_BAR_MS if what == "known plan" else None
    name = f"call overhead at {n} cubed, {what}"
    return Row.share("kernel", name, milliseconds, "ms", "one millisecond", 1.0, bar=bar)


def _cube(n: int) -> tuple[list[int], list[float], list[float], list[int]]:
    return [n] * 3, [1.0] * 3, [FINER] * 3, _target_shape([n] * 3)


def _target_shape(shape: list[int]) -> list[int]:
    """MONAI's rule, so that all make the same number of voxels."""
    return [round((n - 1) / FINER + 1) for n in shape]


def _voxels(shape: list[int]) -> int:
    z, y, x = shape
    return z * y * x


def _ask(child: Child, name: str, case: tuple[list[Any], ...], count: int = 1) -> list[float]:
    """Nanoseconds for an output voxel, `count` times."""
    answers = [child.ask("seconds", name, *case) for _ in range(count)]
    return [1e9 * answer["seconds"] / answer["voxels"] for answer in answers]


def _flat(samples: dict[Any, list[list[float]]]) -> dict[Any, list[float]]:
    return {name: [value for values in rounds for value in values] for name, rounds in samples.items()}
