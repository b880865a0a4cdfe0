"""Large arrays without the price of small pages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["as_float32", "empty_float32"]


def empty_float32(shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """An uninitialized float32 tensor.

    On a CPU numpy allocates it: it asks Linux for huge pages, and torch does not. First touching 33 MB of small pages
    costs 35 ms in a virtual machine, half the time of resampling into them (measured).
    """
    if device.type != "cpu":
        return torch.empty(*shape, dtype=torch.float32, device=device)
    return torch.from_numpy(np.empty(tuple(shape), dtype=np.float32))


def as_float32(volume: torch.Tensor) -> torch.Tensor:
    """The volume itself where it is float32 already, else a converted copy."""
    if volume.dtype == torch.float32 or volume.requires_grad:
        return volume.to(torch.float32)
    return empty_float32(volume.shape, volume.device).copy_(volume)
