"""What one writes with SimpleITK alone: B-spline for the image, nearest neighbour for the label.

usage: python -m benchmarks.peers.sitk_script DATASET OUTPUT WORKERS
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from benchmarks.peers.common import Task, read_target, read_task, write_pair


def resample(volume: sitk.Image, target: NDArray[np.float64], interpolator: int, pixel_type: int) -> sitk.Image:
    """Keep the origin, cover the same extent; the target is z, y, x."""
    spacing = target[::-1]
    size = np.rint(np.multiply(volume.GetSize(), volume.GetSpacing()) / spacing).astype(int)
    filter_ = sitk.ResampleImageFilter()
    filter_.SetInterpolator(interpolator)
    filter_.SetSize(size.tolist())
    filter_.SetOutputSpacing(spacing.tolist())
    filter_.SetOutputOrigin(volume.GetOrigin())
    filter_.SetOutputDirection(volume.GetDirection())
    filter_.SetOutputPixelType(pixel_type)
    return filter_.Execute(volume)


def resample_pair(image: Path, label: Path, target: NDArray[np.float64]) -> tuple[sitk.Image, sitk.Image]:
    """Image by B-spline, as float32; label by nearest neighbour."""
    classes = sitk.ReadImage(str(label))
    voxels = resample(sitk.ReadImage(str(image)), target, sitk.sitkBSpline, sitk.sitkFloat32)
    return voxels, resample(classes, target, sitk.sitkNearestNeighbor, classes.GetPixelID())


def normalise(voxels: NDArray[Any]) -> NDArray[Any]:
    """Z-scores over what is not zero."""
    foreground = voxels[voxels != 0]
    return (voxels - foreground.mean()) / foreground.std()


def process(task: Task, image: Path) -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    target = read_target(task.dataset)
    pair = resample_pair(image, task.label_of(image), target)
    voxels, classes = (sitk.GetArrayFromImage(volume) for volume in pair)
    write_pair(task, image, normalise(voxels)[None], classes[None], target)


def main() -> None:
    task = read_task()
    with ProcessPoolExecutor(task.workers) as pool:
        list(pool.map(partial(process, task), task.images))


if __name__ == "__main__":
    main()
