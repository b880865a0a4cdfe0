"""Small datasets with labels, written by SimpleITK; and what a candidate keeps of a label, by scipy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import SimpleITK
from scipy import ndimage

SPACING = (3.0, 1.0, 0.9)


def blobs(seed: int, shape: tuple[int, int, int] = (9, 22, 25), numbers: Sequence[int] = (1, 2)) -> np.ndarray:
    """An ellipsoid of each number, and single voxels of the first."""
    rng = np.random.default_rng(seed)
    label = np.where(rng.random(shape) < 0.002, numbers[0], 0)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    for number in numbers:
        distance = (places - np.array(shape) * rng.uniform(0.3, 0.7, 3)) / rng.uniform(0.1, 0.25, 3) / shape
        label[(distance**2).sum(axis=-1) < 1] = number
    return label.astype(np.int16)


def write_pair(root: Path, case: str, label: np.ndarray, spacing: Sequence[float] = SPACING, **where) -> None:
    """A case: noise, and this label; ``where`` holds the direction of both."""
    noise = np.random.default_rng(1).integers(1, 900, label.shape).astype(np.int16)
    for folder, voxels in (("ImagesTr", noise), ("LabelsTr", label)):
        image = SimpleITK.GetImageFromArray(voxels)
        image.SetSpacing([float(edge) for edge in spacing[::-1]])
        for name, value in where.items():
            getattr(image, f"Set{name}")(value)
        (root / folder).mkdir(parents=True, exist_ok=True)
        SimpleITK.WriteImage(image, str(root / folder / f"{case}.nii.gz"))


def write_blobs(root: Path, count: int = 3) -> Path:
    """Some cases, of spacings of their own; the last of several lacks class 2."""
    for number in range(count):
        label = blobs(number)
        if 0 < number == count - 1:
            label[label == 2] = 1
        write_pair(root, f"case_{number}", label, (3.0 + number / 4, 1.0, 0.9))
    return root


def labels_of(root: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Voxels and spacing of each label, z y x."""
    for path in sorted((root / "LabelsTr").iterdir()):
        image = SimpleITK.ReadImage(str(path))
        yield SimpleITK.GetArrayFromImage(image), np.array(image.GetSpacing()[::-1])


def plain_dice(label: np.ndarray, spacing: np.ndarray, target: Sequence[float]) -> dict[int, float]:
    """Dice of each class there and back on the default's grid: masks of scipy, the highest wins, of equals the first.

    A position that is less than 1e-4 voxels below a tie is rounded up on the way there.
    """
    axes = [_axis(n, s, t) for n, s, t in zip(label.shape, spacing, target, strict=True)]
    sizes, steps = zip(*axes, strict=True)
    there = ndimage.affine_transform(label, steps, 1e-4, sizes, order=0, mode="nearest")
    numbers = np.unique(label)
    best, back = np.full(label.shape, -1, np.float32), np.zeros(label.shape, np.int64)
    for number in numbers:
        mask, steps_back = (there == number).astype(float), 1 / np.array(steps)
        score = ndimage.affine_transform(mask, steps_back, 0, label.shape, np.float32, order=1, mode="nearest")
        back[score > best] = number
        best = np.maximum(score, best)
    return {int(number): _dice(back == number, label == number) for number in numbers if number}


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def _axis(n: int, spacing: float, target: float) -> tuple[int, float]:
    """Voxels, and the step from one to the next in those of the scan."""
    if abs(spacing - target) < min(1e-3, 1e-3 * spacing):
        return n, 1.0
    size = (n - 1) * spacing / target + 1
    whole = np.floor(size)
    return max(1, round(whole + 0.5 if abs(size - whole - 0.5) < 1e-4 else size)), target / spacing
