"""Allocation of large arrays in huge pages, and the size of the processor's caches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

__all__ = ["as_float32", "cache_share", "empty_float32"]

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
"""Where Linux describes the caches of a processor."""


def empty_float32(shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """An uninitialized float32 tensor.

    On a CPU numpy allocates it, which asks Linux for huge pages; torch does not. The first access to 33 MB of small
    pages takes 35 ms in a virtual machine, half the time of resampling into them (measured).
    """
    if device.type != "cpu":
        return torch.empty(*shape, dtype=torch.float32, device=device)
    return torch.from_numpy(np.empty(tuple(shape), dtype=np.float32))


def as_float32(volume: torch.Tensor) -> torch.Tensor:
    """The volume itself where it is float32 already, else a converted copy."""
    if volume.dtype == torch.float32 or volume.requires_grad:
        return volume.to(torch.float32)
    return empty_float32(volume.shape, volume.device).copy_(volume)


def cache_share(caches: Path = CACHES) -> int:
    """A processor's share of its largest cache, in bytes; 0 where the system does not say.

    Parameters
    ----------
    caches
        A folder with a subfolder ``index0``, ``index1`` and so on for each cache. Each holds ``size`` (``32768K``) and
        ``shared_cpu_map``, a bit mask in hexadecimal digits of the processors that share the cache.
    """
    try:
        return max((_share(cache) for cache in caches.glob("index*")), default=0)
    except (OSError, ValueError):
        return 0


def _share(cache: Path) -> int:
    kibibytes = int((cache / "size").read_text().strip().removesuffix("K"))
    processors = int((cache / "shared_cpu_map").read_text().replace(",", ""), 16).bit_count()
    return 1024 * kibibytes // max(1, processors)
