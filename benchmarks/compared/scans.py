"""The scans, what our recipes and the peers make of them, and how far that is from our default."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import ROOT
from monai_mriprep import Recipe, build_transforms
from monai_mriprep.formats.read import read_header
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling

__all__ = ["JOBS", "NAMES", "Job", "Scan", "Volume", "files_of", "of_peers", "ours"]


@dataclass(frozen=True)
class Job:
    """A scan, and the spacing that all bring it to, z y x in mm."""

    image: str
    label: str
    target: tuple[float, float, float]


JOBS = {
    "neck": Job("20004_0001_t2star", "20004_0001_seg", (2.5, 0.6, 0.6)),
    "abdomen": Job("20007_0001_mr", "20007_0001_seg", (1.5, 1.5, 1.5)),
    "fetus": Job("20001_0002_t2w", "20001_0002_seg", (1.0, 1.0, 1.0)),
}
"""Slices of 7.5 mm beside pixels of 0.5 mm; 23 organs on a coarse grid; an oblique stack with zeros around it."""

NAMES = {
    "default": "our default",
    "panther2025": "`panther2025`",
    "nnunet": "nnU-Net",
    "monai": "MONAI",
    "torchio": "TorchIO",
    "simpleitk": "SimpleITK",
}


@dataclass(frozen=True, eq=False)
class Volume:
    """Image and label ``(z, y, x)``, and where they lie."""

    image: NDArray[Any]
    label: NDArray[Any]
    grid: Grid


def ours(data: Path, job: Job, keys: Mapping[str, Any]) -> Volume:
    """By a recipe of ours."""
    recipe = Recipe.model_validate({"target_spacing": job.target, **keys})
    done = build_transforms(recipe)({role: str(path) for role, path in files_of(data, job).items()})
    image, label = (done[role].as_tensor()[0].numpy() for role in ("image", "label"))
    return Volume(image, label, Grid(image.shape, done["image"].affine.numpy()))


def of_peers(data: Path, python: Path, folder: Path) -> dict[str, dict[str, Volume]]:
    """By every peer: tool to scan to volume."""
    jobs = [
        {"case": name, "target": job.target, **{role: str(path) for role, path in files_of(data, job).items()}}
        for name, job in JOBS.items()
    ]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    command = [python, "-W", "ignore", "-m", "benchmarks.peers.arrays", folder / "jobs.json", folder]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    tools = [folder / tool for tool in NAMES if (folder / tool).is_dir()]
    return {tool.name: {name: _read(tool / f"{name}.npz") for name in JOBS} for tool in tools}


def files_of(data: Path, job: Job) -> dict[str, Path]:
    """Image and label, in the folder of real scans."""
    folder = data / "mixed"
    return {"image": folder / f"ImagesTr/{job.image}.mha", "label": folder / f"LabelsTr/{job.label}.mha"}


def _read(path: Path) -> Volume:
    with np.load(path) as file:
        return Volume(file["image"], file["label"], Grid(file["image"].shape, file["affine"]))


# --- Beside the scan --------------------------------------------------------------------------------------------------


class Scan:
    """A scan as stored, and what our default makes of it: on any grid, so that grids can be told from values."""

    def __init__(self, data: Path, job: Job) -> None:
        spacing = read_header(files_of(data, job)["image"]).grid.spacing
        self.stored = ours(data, job, {"intensity": "none", "target_spacing": spacing})
        self.default = ours(data, job, {})
        raw = self._on(self.default.grid, self.stored.image, 3)
        self._std = float(raw.std(dtype=np.float64) / self.default.image.std(dtype=np.float64))
        self._mean = float(raw.mean(dtype=np.float64) - self._std * self.default.image.mean(dtype=np.float64))

    def _on(self, grid: Grid, voxels: NDArray[Any], order: int) -> NDArray[Any]:
        return apply_plan(torch.from_numpy(voxels)[None], plan_resampling(self.stored.grid, grid, order))[0].numpy()

    def image_apart(self, volume: Volume) -> float:
        """Root of the mean square difference from our default's spline and scaling at the same places, in SD."""
        expected = (self._on(volume.grid, self.stored.image, 3) - self._mean) / self._std
        return float(np.sqrt(np.mean((volume.image - expected) ** 2, dtype=np.float64)))

    def label_dice(self, volume: Volume) -> float:
        """Dice of classes with those that the nearest voxels of the scan's label have."""
        a, b = volume.label.clip(0), self._on(volume.grid, self.stored.label, 0)
        return float(2 * np.count_nonzero((a == b) & (a > 0)) / (np.count_nonzero(a) + np.count_nonzero(b)))

    def labels_off(self, volume: Volume) -> tuple[int, int]:
        """Voxels with another class than the nearest one; of these, how many lie between two voxels, within 1e-3."""
        off = np.argwhere(volume.label.clip(0) != self._on(volume.grid, self.stored.label, 0))
        matrix = np.linalg.solve(self.stored.grid.affine, volume.grid.affine)
        places = off @ matrix[:3, :3].T + matrix[:3, 3]
        return len(off), int((np.abs(places % 1 - 0.5) < 1e-3).any(axis=1).sum())

    def air(self, volume: Volume) -> float:
        """The mean where the nearest voxel of the scan is exactly zero."""
        return float(volume.image[self._on(volume.grid, self.stored.image, 0) == 0].mean(dtype=np.float64))

    @property
    def standardised(self) -> NDArray[Any]:
        """The scan as stored, scaled as by our default."""
        return (self.stored.image - self._mean) / self._std

    def numbers_interpolated(self, grid: Grid) -> NDArray[Any]:
        """The label's numbers interpolated linearly and rounded, as nobody should."""
        return np.rint(self._on(grid, self.stored.label, 1)).astype(int)

    def first_centre(self, volume: Volume) -> str:
        """How far the first voxel's centre lies from the scan's, along its axes z y x, mm."""
        away = self.stored.grid.direction.T @ (volume.grid.origin - self.stored.grid.origin)
        return " ".join(f"{mm + 0.0:.2f}" for mm in np.round(away, 2))
