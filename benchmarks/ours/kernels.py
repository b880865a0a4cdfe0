"""Our resampling kernel, and the floor under it: a plain copy of the output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.resampling import Resampling
from benchmarks.serve import serve
from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling


def cubic(
    volume: NDArray[Any], spacing: Sequence[float], target: Sequence[float], target_shape: Sequence[int]
) -> Callable[[], Sequence[int]]:
    """The whole call: target grid, plan (cached after the first call), product."""
    del target_shape
    source = Grid(volume.shape, np.diag([*spacing, 1.0]))
    tensor = torch.from_numpy(volume)[None]
    return lambda: apply_plan(tensor, plan_resampling(source, target_grid(source, tuple(target)))).shape[1:]


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
    resampling = Resampling({"cubic": cubic, "cubic_new_plan": cubic_new_plan, "copy": copy})
    serve({**resampling.commands(), "threads": set_threads})
