"""Our kernel on a GPU against one CPU thread, transfers apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.resampling import make_volume
from benchmarks.serve import serve
from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling


def device() -> str | None:
    """The GPU's name, or None."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def compare(n: int, repeats: int) -> dict[str, Any]:
    """Seconds of each call, and the largest difference as a share of the input's range."""
    torch.set_num_threads(1)
    source = Grid((n, n, n), np.eye(4))
    plan = plan_resampling(source, target_grid(source, (0.84, 0.84, 0.84)))
    volume = torch.from_numpy(make_volume((n, n, n)))[None]
    on_gpu = volume.cuda()
    expected, found = apply_plan(volume, plan), apply_plan(on_gpu, plan).cpu()
    difference = float((expected - found).abs().max() / (volume.max() - volume.min()))
    return {
        "difference": difference,
        "cpu": [_seconds(lambda: apply_plan(volume, plan)) for _ in range(repeats)],
        "gpu": [_seconds(lambda: apply_plan(on_gpu, plan)) for _ in range(repeats)],
    }


def _seconds(call: Callable[[], torch.Tensor]) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    serve({"device": device, "compare": compare})
