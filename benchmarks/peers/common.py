"""What all peers' scripts need: the cases, the target spacing, the output format."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Task", "read_target", "read_task", "write_pair"]


@dataclass(frozen=True)
class Task:
    """What the command line asks for."""

    dataset: Path
    output: Path
    workers: int

    @property
    def images(self) -> list[Path]:
        """In order of name."""
        return sorted((self.dataset / "ImagesTr").glob("*.mha"))

    def label_of(self, image: Path) -> Path:
        """The partner of an image: the same name without the channel."""
        return self.dataset / "LabelsTr" / image.name.replace("_0000", "")


def read_task() -> Task:
    """From the command line; makes the output folders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("workers", type=int)
    options = parser.parse_args()
    for part in ("imagesTr", "labelsTr"):
        (options.output / part).mkdir(parents=True, exist_ok=True)
    return Task(**vars(options))


def read_target(dataset: Path) -> NDArray[np.float64]:
    """The median spacing, z y x."""
    text = pd.read_csv(dataset / "mri_statistics.csv")["median_spacing"][0]
    return np.array(text.strip("[]").split(), dtype=float)


def write_pair(task: Task, image: Path, voxels: NDArray[Any], label: NDArray[Any], target: NDArray[np.float64]) -> None:
    """Write ``(1, D, H, W)`` arrays as numpy's compressed archives."""
    label_name = task.label_of(image).stem
    image_array, label_array = voxels.astype(np.float32), label.clip(0).astype(np.int8)
    np.savez_compressed(task.output / "imagesTr" / f"{image.stem}.npz", image_array, spacing=target)
    np.savez_compressed(task.output / "labelsTr" / f"{label_name}.npz", label_array, spacing=target)
