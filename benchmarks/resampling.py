"""Time and peak memory of resampling one volume; shared by our side and the peers'. Runs in a measured process."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Resampling", "Tool", "make_volume", "resident"]

Tool = Callable[[NDArray[Any], Sequence[float], Sequence[float], Sequence[int]], Callable[[], Sequence[int]]]
"""``tool(volume, spacing, target, target_shape)`` makes a volume ready, and returns what resamples it once.

That returns the shape of its result. Spacings and shapes are z y x.
"""


class Resampling:
    """Commands for `benchmarks.serve`.

    Parameters
    ----------
    tools
        By name.
    """

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = tools
        self._ready: dict[tuple[str, tuple[int, ...]], Callable[[], Sequence[int]]] = {}

    def commands(self) -> dict[str, Callable[..., Any]]:
        """By name."""
        return {"seconds": self.seconds, "peak": self.peak, "forget": self._ready.clear}

    def seconds(
        self, name: str, shape: list[int], spacing: list[float], target: list[float], target_shape: list[int]
    ) -> dict[str, Any]:
        """Time one call; the first on a shape is repeated, so that nothing but the work is timed."""
        key = (name, tuple(shape))
        if key not in self._ready:
            self._ready[key] = self._tools[name](make_volume(shape), spacing, target, target_shape)
            self._ready[key]()
        start = time.perf_counter()
        result = self._ready[key]()
        return {"seconds": time.perf_counter() - start, "voxels": int(np.prod(result))}

    def peak(
        self,
        name: str,
        shape: list[int],
        spacing: list[float],
        target: list[float],
        target_shape: list[int],
        dtype: str = "float32",
    ) -> dict[str, Any]:
        """Highest resident memory over what was resident before the input was made, in bytes, for one call."""
        small = (24, 24, 24)
        self._tools[name](make_volume(small, dtype), spacing, target, small)()
        gc.collect()
        before = resident("VmRSS")
        call = self._tools[name](make_volume(shape, dtype), spacing, target, target_shape)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is resident now
        result = call()
        voxels_in, voxels_out = int(np.prod(shape)), int(np.prod(result))
        return {"peak": resident("VmHWM") - before, "input": 4 * voxels_in, "output": 4 * voxels_out}


def make_volume(shape: Sequence[int], dtype: str = "float32") -> NDArray[Any]:
    """Noise about 200; made slice by slice, with nothing large beside it."""
    noise = np.random.default_rng(0).normal(200, 50, shape[1:])
    volume = np.empty(shape, dtype)
    for k, plane in enumerate(volume):
        plane[...] = np.roll(noise, (7 * k, 3 * k), (0, 1))
    return volume


def resident(name: str) -> int:
    """A line of the process's status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        msg = f"no {name} in /proc/self/status"
        raise OSError(msg)
    return int(found[1]) * 1024
