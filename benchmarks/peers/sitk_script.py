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


def resample(volume: sitk.Image, target: NDArray[np.float64], interpolator: int, pixel_type: int) -> NDArray[Any]:
    """Keep the origin, cover the same extent; returns z y x."""
    spacing = target[::-1]
    size = np.rint(np.multiply(volume.GetSize(), volume.GetSpacing()) / spacing).astype(int)
    filter_ = sitk.ResampleImageFilter()
    filter_.SetInterpolator(interpolator)
    filter_.SetSize(size.tolist())
    filter_.SetOutputSpacing(spacing.tolist())
    filter_.SetOutputOrigin(volume.GetOrigin())
    filter_.SetOutputDirection(volume.GetDirection())
    filter_.SetOutputPixelType(pixel_type)
    return sitk.GetArrayFromImage(filter_.Execute(volume))


def process(task: Task, image: Path) -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    target = read_target(task.dataset)
    label = sitk.ReadImage(str(task.label_of(image)))
    voxels = resample(sitk.ReadImage(str(image)), target, sitk.sitkBSpline, sitk.sitkFloat32)
    classes = resample(label, target, sitk.sitkNearestNeighbor, label.GetPixelID())
    foreground = voxels[voxels != 0]
    voxels = (voxels - foreground.mean()) / foreground.std()
    write_pair(task, image, voxels[None], classes[None], target)


def main() -> None:
    task = read_task()
    with ProcessPoolExecutor(task.workers) as pool:
        list(pool.map(partial(process, task), task.images))


if __name__ == "__main__":
    main()
