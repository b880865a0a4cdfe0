"""Our resampling kernel, and the floor under it: a plain copy of the output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.resampling import Resampling
from benchmarks.serve import serve
from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling


def cubic(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """The whole call: target grid, plan (cached after the first call), product."""
    return of_order(3, volume, spacing, target, target_shape)


def of_order(
    order: int,
    volume: NDArray[Any],
    spacing: Sequence[float],
    target: Sequence[float],
    target_shape: Sequence[int],
) -> Callable[[], Sequence[int]]:
    """As `cubic`, of any order."""
    del target_shape
    source = Grid(volume.shape, np.diag([*spacing, 1.0]))
    tensor = torch.from_numpy(volume)[None]
    return lambda: apply_plan(tensor, plan_resampling(source, target_grid(source, tuple(target)), order)).shape[1:]


def dense(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """TotalSegmentator's way: a dense matrix for each axis, an identity that was resized by a spline."""
    del spacing, target
    tensor = torch.from_numpy(volume)
    z, y, x = (
        torch.from_numpy(ndimage.zoom(np.eye(n, dtype=np.float32), (m / n, 1), order=3, mode="nearest"))
        for n, m in zip(volume.shape, target_shape, strict=True)
    )
    return lambda: (z @ (y @ (tensor @ x.T)).flatten(1)).unflatten(1, (len(y), len(x))).shape


def cubic_new_plan(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """The same with another plan each time: a target that differs in the seventh digit."""
    del target_shape
    source = Grid(volume.shape, np.diag([*spacing, 1.0]))
    tensor = torch.from_numpy(volume)[None]
    factors = iter(1 + 1e-7 * np.arange(1, 10_000))

    def call() -> Sequence[int]:
        shifted = tuple(np.multiply(target, next(factors)).tolist())
        return apply_plan(tensor, plan_resampling(source, target_grid(source, shifted))).shape[1:]

    return call


def copy(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """Read and write the output's bytes once, into new memory."""
    del volume, spacing, target
    output = make_output(target_shape)
    return lambda: output.copy().shape


def make_output(shape: Sequence[int]) -> NDArray[np.float32]:
    return np.ones(shape, np.float32)


def set_threads(count: int) -> int:
    """Threads that torch may use in the calls to come; 0 means all cores."""
    torch.set_num_threads(count or torch.get_num_threads())
    return torch.get_num_threads()


if __name__ == "__main__":
    tools = {"cubic": cubic, "linear": partial(of_order, 1), "dense": dense}
    resampling = Resampling({**tools, "cubic_new_plan": cubic_new_plan, "copy": copy})
    serve({**resampling.commands(), "threads": set_threads})
