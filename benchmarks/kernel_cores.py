"""The resampling kernel beside torch's trilinear interpolation, over sizes and threads, in memory touched before.

Both sides get memory from a heap that keeps what is freed, so that neither waits for pages. Tools are measured in
turns, and the least time of each is taken: the processor's on one thread, the wall's on several. Beside them stand
nnU-Net's resampling by torch, where a Python that has nnU-Net is given; dense matrices of a resized identity, one for
each axis; a plain copy of the output; and how numpy's products of matrices gain from threads. Our calls are counted,
too: what they multiply, and what Python takes beside the products, which is when it holds its lock.

Exit status: 0 if all bars are met, 1 if one is not.

usage, from the repository's root: .venv/bin/python -m benchmarks.kernel_cores [--nnunet PYTHON] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch

from benchmarks.measure import progress
from benchmarks.ours.kernels import dense
from benchmarks.resampling import make_volume
from benchmarks.table import Row, as_text
from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling

SCAN, SPACING = (72, 260, 320), (3.0, 1.1875, 1.1875)
FINER = 0.84
"""Target spacing, as a share of the source's."""
SIZES = (96, 128, 192, 256, 400, 512)
DENSE_MOST = 128
"""Voxels of the largest cube for dense matrices, whose cost grows with the size."""
SECONDS = 1.5
"""For each tool and size, or four calls."""
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}

TRILINEAR_BAR, COPIES_BAR, SPREAD_BAR, SCALING_BAR = 1.0, 3.0, 1.4, 0.8

NUMPY_PRODUCT = """
import time, numpy
a = numpy.ones((2048, 2048), numpy.float32)
def seconds():
    start = time.perf_counter(); a @ a; return time.perf_counter() - start
print(min(seconds() for _ in range(12)))
"""
NNUNET = """
import json, sys, time, numpy, torch
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
shape, target, threads, rounds = json.loads(sys.argv[1])
volume = torch.from_numpy(numpy.random.default_rng(0).normal(200, 50, (1, *shape)).astype(numpy.float32))
torch.set_num_threads(threads)
def seconds():
    start = time.perf_counter()
    resample_torch_fornnunet(volume, target, [1, 1, 1], [0.84] * 3, num_threads=threads)
    return time.perf_counter() - start
print(min(seconds() for _ in range(rounds)))
"""

Call = Callable[[], object]


def main() -> int:
    """See the module."""
    options = _options()
    if any(os.environ.get(name) != value for name, value in KEEP_MEMORY.items()):
        again = [sys.executable, "-m", "benchmarks.kernel_cores", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **KEEP_MEMORY})
    torch.set_num_threads(1)
    if options.quick:
        global SECONDS
        SECONDS = 0.05
    rows = [*_beside_others(options), *_over_sizes(options), *_over_threads(options)]
    print(as_text(rows))
    return int(any(row.met is False for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nnunet", metavar="PYTHON", help="a Python that can import nnunetv2")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything run? No measurement")
    return parser.parse_args()


@dataclass
class _Case:
    """A volume, and what it is resampled to."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
    volume: torch.Tensor = field(init=False)
    source: Grid = field(init=False)
    target: Grid = field(init=False)

    def __post_init__(self) -> None:
        self.volume = torch.from_numpy(make_volume(self.shape))[None]
        self.source = Grid(self.shape, np.diag([*self.spacing, 1.0]))
        self.target = target_grid(self.source, tuple(FINER * s for s in self.spacing))

    def ours(self, order: int) -> torch.Tensor:
        return apply_plan(self.volume, plan_resampling(self.source, self.target, order))

    def trilinear(self) -> torch.Tensor:
        return torch.nn.functional.interpolate(self.volume[None], self.target.shape, mode="trilinear")

    def tools(self) -> dict[str, Call]:
        output = np.ones(self.target.shape, np.float32)
        into = np.ones_like(output)
        return {
            "cubic": partial(self.ours, 3),
            "linear": partial(self.ours, 1),
            "trilinear": self.trilinear,
            "copy": partial(np.copyto, into, output),
        }


def _least(tools: Mapping[Any, Call], voxels: int, clock: Callable[[], float] = time.thread_time) -> dict[Any, float]:
    """Nanoseconds for an output voxel, in turns; by default of a processor, which others on the machine change less."""
    least = dict.fromkeys(tools, float("inf"))
    rounds, stop = 0, time.perf_counter() + SECONDS * len(tools)
    while rounds < 4 or time.perf_counter() < stop:
        for name, call in tools.items():
            start = clock()
            call()
            seconds = clock() - start
            least[name] = min(least[name], 1e9 * seconds / voxels) if rounds else least[name]
        rounds += 1
    return least


def _scan(options: argparse.Namespace) -> _Case:
    return _Case(tuple(max(16, n // 4) for n in SCAN) if options.quick else SCAN, SPACING)


def _beside_others(options: argparse.Namespace) -> Iterator[Row]:
    """One thread, a scan."""
    case = _scan(options)
    progress(f"{case.shape} to {case.target.shape}, one thread")
    voxels = prod(case.target.shape)
    least = _least(case.tools(), voxels)
    row = partial(Row.share, "one thread")
    unit = "ns/voxel"
    yield row("cubic", least["cubic"], unit, "torch trilinear", least["trilinear"], bar=TRILINEAR_BAR)
    yield row("linear", least["linear"], unit, "torch trilinear", least["trilinear"])
    yield row("cubic", least["cubic"], unit, "plain copy", least["copy"], bar=COPIES_BAR)
    yield row("linear", least["linear"], unit, "plain copy", least["copy"])
    if options.nnunet:
        theirs = _of_nnunet(options.nnunet, case, 1)
        yield row("cubic", least["cubic"], unit, "resample_torch_fornnunet", theirs)
    for order, name in ((3, "cubic"), (1, "linear")):
        counted = _counted(partial(case.ours, order))
        floor = 2e9 * counted.products / _flops() / voxels
        yield row(f"{name}, its products", least[name], unit, "the same at the speed of a large one", floor)
        python = 1e9 * counted.python / voxels
        yield row(f"{name}, Python with its lock, {counted.calls} calls", python, unit, "all of it", least[name])


def _over_sizes(options: argparse.Namespace) -> Iterator[Row]:
    """One thread, cubes."""
    costs = {}
    for n in (32, 48, 64) if options.quick else SIZES:
        progress(f"{n} cubed")
        case = _Case((n, n, n))
        least = costs[n] = _least(case.tools(), prod(case.target.shape))
        for name, bar in (("cubic", TRILINEAR_BAR), ("linear", None)):
            what = f"{name}, {n} cubed"
            yield Row.share("sizes", what, least[name], "ns/voxel", "torch trilinear", least["trilinear"], bar=bar)
        if n <= DENSE_MOST:
            tool = dense(case.volume[0].numpy(), case.spacing, (), case.target.shape)
            theirs = _least({"dense": tool}, prod(case.target.shape))["dense"]
            yield Row.faster("sizes", f"cubic, {n} cubed", least["cubic"], "ns/voxel", "dense matrices", theirs)
    for name in ("cubic", "linear"):
        least_n, most_n = (end(costs, key=lambda n: costs[n][name]) for end in (min, max))
        beside = f"cheapest size ({least_n} cubed)"
        values = costs[most_n][name], "ns/voxel", beside, costs[least_n][name]
        yield Row.share("sizes", f"{name}, dearest size ({most_n} cubed)", *values, bar=SPREAD_BAR)


def _over_threads(options: argparse.Namespace) -> Iterator[Row]:
    """How many times faster than one thread."""
    cores = len(os.sched_getaffinity(0))
    counts = sorted({1, cores, *(2**k for k in range(1, 8) if 2**k < cores)})
    cases = {"scan": _scan(options), "256 cubed": _Case((32 if options.quick else 256,) * 3)}
    numpy_seconds = {count: _of_numpy(count) for count in counts}
    for name, case in cases.items():
        progress(f"{name}, {', '.join(map(str, counts))} threads")
        tools = {
            (tool, count): _on(count, call) for count in counts for tool, call in case.tools().items() if tool != "copy"
        }
        least = _least(tools, prod(case.target.shape), time.perf_counter)
        torch.set_num_threads(1)
        for count in counts[1:]:
            by_numpy = numpy_seconds[1] / numpy_seconds[count]
            for tool in ("cubic", "linear", "trilinear"):
                gain = least[tool, 1] / least[tool, count]
                what, bar = f"{tool}, {name}, {count} threads", SCALING_BAR if tool == "cubic" else None
                value = f"{least[tool, count]:.3g} ns/voxel"
                yield Row(
                    "threads", f"{what}: {value}", gain, "times", "numpy's product", by_numpy, gain / by_numpy, bar
                )


def _on(count: int, call: Call) -> Call:
    def on_threads() -> None:
        torch.set_num_threads(count)
        call()

    return on_threads


def _of_numpy(threads: int) -> float:
    """Seconds of a large product of matrices."""
    variables = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return float(_printed([sys.executable, "-c", NUMPY_PRODUCT], variables))


def _of_nnunet(python: str, case: _Case, threads: int) -> float:
    """Nanoseconds for a voxel."""
    given = json.dumps([case.shape, case.target.shape, threads, 8])
    return 1e9 * float(_printed([python, "-W", "ignore", "-c", NNUNET, given], {})) / prod(case.target.shape)


def _printed(command: Sequence[str], variables: Mapping[str, str]) -> str:
    """The last line that a program prints."""
    done = subprocess.run(command, env={**os.environ, **variables}, check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout.splitlines()[-1]


def _flops() -> float:
    """Of a large product on one thread, a second."""
    a = torch.ones(1024, 1024)
    return 2 * 1024**3 / (_least({"product": lambda: a @ a}, 1)["product"] / 1e9)


@dataclass
class _Counted:
    """Calls of products, the multiplications in them, and the seconds of everything but them."""

    calls: int = 0
    products: int = 0
    python: float = float("inf")


def _counted(call: Call) -> _Counted:
    counted = _Counted()
    with _products_left_out(counted):
        call()
    for _ in range(5):
        with _products_left_out(_Counted()):
            start = time.thread_time()
            call()
            counted.python = min(counted.python, time.thread_time() - start)
    return counted


@contextmanager
def _products_left_out(counted: _Counted) -> Iterator[None]:
    def no_product(left: torch.Tensor, right: torch.Tensor, *, out: torch.Tensor) -> None:
        counted.calls += 1
        counted.products += out.numel() * left.shape[-1]

    kept = {name: getattr(torch, name) for name in ("mm", "bmm")}
    try:
        for name in kept:
            setattr(torch, name, no_product)
        yield
    finally:
        for name, function in kept.items():
            setattr(torch, name, function)


if __name__ == "__main__":
    sys.exit(main())
