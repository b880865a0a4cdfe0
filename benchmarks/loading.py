"""Samples per second from a DataLoader; shared by our side and the peers'. Runs in a measured process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai.data import DataLoader, Dataset

__all__ = ["Loading"]

Maker = Callable[[Path], Callable[[Any], Any]]
"""Makes the transforms for a dataset's folder; they take ``{"image": path, "label": path}``."""


class Loading:
    """Commands for `benchmarks.serve`.

    Parameters
    ----------
    makers
        By name.
    """

    def __init__(self, makers: dict[str, Maker]) -> None:
        self._makers = makers
        self._loaders: dict[str, DataLoader] = {}

    def commands(self) -> dict[str, Callable[..., Any]]:
        """By name."""
        return {"start": self.start, "epoch": self.epoch}

    def start(self, name: str, dataset: str, workers: int) -> int:
        """Start the workers, which stay, and go through all cases once; returns how many there are."""
        files = _files(Path(dataset))
        transforms = self._makers[name](Path(dataset))
        data = Dataset(files, transforms)
        self._loaders[name] = DataLoader(data, batch_size=1, num_workers=workers, persistent_workers=True)
        self.epoch(name)
        return len(files)

    def epoch(self, name: str) -> dict[str, float]:
        """Go through all cases; returns seconds, samples and their voxels."""
        samples, voxels = 0, 0
        start = time.perf_counter()
        for batch in self._loaders[name]:
            samples += len(batch["image"])
            voxels += batch["image"].numel()
        return {"seconds": time.perf_counter() - start, "samples": samples, "voxels": voxels}


def _files(root: Path) -> list[dict[str, str]]:
    images = sorted((root / "ImagesTr").glob("*.mha"))
    return [{"image": str(path), "label": str(root / "LabelsTr" / path.name.replace("_0000", ""))} for path in images]
