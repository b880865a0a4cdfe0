"""Raw datasets in nnU-Net's layout, planned by nnU-Net itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

__all__ = ["CAMPAIGN", "Planned", "body", "plan", "write_raw"]

CAMPAIGN = "MRIPREP_CAMPAIGN" in os.environ
"""Whether all cases are compared, or a few."""

NAME = "Dataset001_Small"
SPACINGS = ((3.0, 1.2, 1.1), (5.0, 0.9, 1.0), (2.2, 1.3, 1.3), (3.1, 1.0, 1.2), (2.0, 1.0, 0.9))
"""z y x, of the cases; one is so anisotropic that nnU-Net takes slices apart."""


def body(shape: tuple[int, ...], seed: int, hole: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A noisy ellipsoid in air that is exactly 0, with a hole in it, and a label of two classes; both int16."""
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-1, 1, size) for size in shape]
    distance = np.sqrt(sum(grid**2 for grid in np.meshgrid(*axes, indexing="ij")))
    image = np.where(distance < 0.8, 300 + 90 * axes[0][:, None, None] + rng.normal(0, 40, shape), 0).clip(0)
    label = np.select([distance < 0.2, distance < 0.45], [2, 1], 0)
    if hole:
        image[label == 2] = 0
    return image.astype(np.int16), label.astype(np.int16)


def write_raw(
    folder: Path, ending: str = ".mha", count: int = 5, channels: int = 1, labels: Mapping[str, Any] | None = None
) -> Path:
    """A dataset of so many cases; the last two are in ``imagesTs``, without labels."""
    raw = folder / "raw" / NAME
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (raw / part).mkdir(parents=True)
    for number, spacing in zip(range(count), SPACINGS, strict=False):
        shape = (16 + number, 40 - 2 * number, 36 + number)
        part = "Ts" if number >= count - 2 else "Tr"
        for channel in range(channels):
            image, label = body(shape, seed=10 * number + channel)
            name = f"case_{number}_{channel:04d}{ending}"
            write(raw / f"images{part}" / name, image, spacing)
        if part == "Tr":
            write(raw / "labelsTr" / f"case_{number}{ending}", label, spacing)
    facts = {
        "channel_names": {str(channel): f"MR{channel}" for channel in range(channels)},
        "labels": labels or {"background": 0, "organ": 1, "lesion": 2},
        "numTraining": count - 2,
        "file_ending": ending,
    }
    if any(isinstance(value, list) for value in facts["labels"].values()):
        facts["regions_class_order"] = [1, 2]
    (raw / "dataset.json").write_text(json.dumps(facts))
    return raw


def write(path: Path, array: np.ndarray, spacing: tuple[float, ...]) -> None:
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin((-31.5, 7.25, 1 / 3))
    SimpleITK.WriteImage(image, str(path), True)


@dataclass(frozen=True)
class Planned:
    """nnU-Net's three folders, and what stands in them of one dataset."""

    folder: Path

    @property
    def raw(self) -> Path:
        return self.folder / "raw" / NAME

    @property
    def done(self) -> Path:
        """Plans, and preprocessed data."""
        return self.folder / "done" / NAME

    @property
    def environment(self) -> dict[str, str]:
        names = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "done", "nnUNet_results": "results"}
        return {variable: str(self.folder / name) for variable, name in names.items()}

    @property
    def plans(self) -> dict[str, Any]:
        return json.loads((self.done / "nnUNetPlans.json").read_text())

    @property
    def dataset(self) -> dict[str, Any]:
        return json.loads((self.done / "dataset.json").read_text())

    def files(self, case: str) -> list[str]:
        """The channels of a case."""
        return sorted(map(str, self.raw.glob(f"images*/{case}_*")))

    def label(self, case: str) -> str:
        return str(self.raw / "labelsTr" / f"{case}{self.dataset['file_ending']}")


def plan(folder: Path) -> Planned:
    """Let nnU-Net measure and plan what `write_raw` has written."""
    planned = Planned(folder)
    for path in planned.environment.values():
        Path(path).mkdir(exist_ok=True)
    os.environ.update(planned.environment)
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments

    extract_fingerprints([1], num_processes=1, show_progress_bar=False)
    plan_experiments([1])
    return planned
