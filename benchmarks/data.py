"""Make the benchmark's dataset: scans of the size and spacing of pancreas MRI.

A smooth, textured, noisy body lies on air that is exactly zero, with an organ and a lesion in it. int16, compressed
``.mha``, about 72 x 260 x 320 voxels of 3.0 x 1.19 x 1.19 mm; sizes and spacings vary from case to case. The target
spacing is 0.9 of the cases' median, as the median over a larger cohort could be.

usage: python -m benchmarks.data FOLDER --cases 24 --first 6
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from scipy import ndimage

SHAPE, SPACING = np.array([72, 260, 320]), np.array([3.0, 1.1875, 1.1875])
FINER = 0.9
"""The target spacing, as a share of the median spacing."""
BODY_RADII = (0.97, 0.72, 0.86)
"""Of half the field of view."""


def make_case(seed: int, scale: float) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.float64]]:
    """Image, label and spacing (z y x) of one case; equal seeds give equal cases."""
    rng = np.random.default_rng([20240607, seed])
    shape = np.maximum(12, (SHAPE * scale * rng.uniform(0.85, 1.15, 3)).astype(int))
    spacing = SPACING * rng.uniform(0.8, 1.25) * [rng.uniform(0.9, 1.1), 1, 1]
    radius = _radius(shape, (0, 0, 0), BODY_RADII)
    coarse = np.maximum(3, shape // 9)
    texture = ndimage.zoom(rng.standard_normal(coarse).astype(np.float32), shape / coarse, order=1)
    image = 320 + 110 * texture - 60 * radius + rng.normal(0, 24, shape).astype(np.float32)
    image = np.where(radius < 1, np.clip(image, 1, 4095), 0)
    label = np.zeros(shape, np.int16)
    centre = rng.uniform(-0.2, 0.2, 3)
    label[_radius(shape, centre, (0.3, 0.2, 0.4)) < 1] = 1
    label[_radius(shape, centre + rng.uniform(-0.1, 0.1, 3), (0.16, 0.1, 0.1)) < 1] = 2
    return image.astype(np.int16), label, spacing


def _radius(
    shape: NDArray[np.int_], centre: NDArray[np.float64] | tuple[float, ...], radii: tuple[float, ...]
) -> NDArray[np.float32]:
    """Distance from the centre in units of the radii; the field of view runs from -1 to 1."""
    axes = [((np.linspace(-1, 1, n) - c) / r).astype(np.float32) for n, c, r in zip(shape, centre, radii, strict=True)]
    z, y, x = np.ix_(*axes)
    return np.sqrt(z * z + y * y + x * x)


def make_dataset(folder: Path, cases: int, scale: float) -> None:
    """Write all cases and their statistics."""
    spacings = []
    for number in range(cases):
        image, label, spacing = make_case(number, scale)
        spacings.append(spacing)
        for part, array, name in (("ImagesTr", image, "_0000"), ("LabelsTr", label, "")):
            (folder / part).mkdir(parents=True, exist_ok=True)
            volume = sitk.GetImageFromArray(array)
            volume.SetSpacing(spacing[::-1].tolist())
            volume.SetOrigin((-170.0, -140.25, 30.5))
            sitk.WriteImage(volume, str(folder / part / f"{10001 + number}_0001{name}.mha"), True)
    rows = FINER * np.median(spacings, axis=0), FINER * np.percentile(spacings, 10, axis=0)
    cells = ["[" + " ".join(f"{value:.8g}" for value in row) + "]" for row in rows]
    (folder / "mri_statistics.csv").write_text("median_spacing,10th_percentile_spacing\n" + ",".join(cells) + "\n")


def link_first(folder: Path, count: int) -> None:
    """Make a dataset of the first cases, by hard links, with the statistics of all."""
    subset = folder / f"first-{count}"
    shutil.rmtree(subset, ignore_errors=True)
    for part in ("ImagesTr", "LabelsTr"):
        (subset / part).mkdir(parents=True, exist_ok=True)
        for path in sorted((folder / part).iterdir())[:count]:
            os.link(path, subset / part / path.name)
    os.link(folder / "mri_statistics.csv", subset / "mri_statistics.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--scale", type=float, default=1.0, help="of the size along each axis")
    parser.add_argument("--first", type=int, help="also make FOLDER/first-N with the first N cases")
    options = parser.parse_args()
    if not (options.folder / "mri_statistics.csv").exists():
        make_dataset(options.folder, options.cases, options.scale)
    if options.first:
        link_first(options.folder, options.first)


if __name__ == "__main__":
    main()
