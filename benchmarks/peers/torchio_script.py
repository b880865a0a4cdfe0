"""TorchIO: B-spline `Resample`, then `ZNormalization` over the non-zero voxels.

usage: python -m benchmarks.peers.torchio_script DATASET OUTPUT WORKERS
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
import torchio as tio

from benchmarks.peers.common import Task, read_target, read_task, write_pair


def is_foreground(values: torch.Tensor) -> torch.Tensor:
    return values != 0


def steps_to(target: Sequence[float]) -> tio.Compose:
    """To a spacing z, y, x."""
    return tio.Compose(
        [
            tio.Resample(tuple(target[::-1]), image_interpolation="bspline"),
            tio.ZNormalization(masking_method=is_foreground),
        ]
    )


def process(task: Task, image: Path) -> None:
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    target = read_target(task.dataset)
    result = steps_to(target.tolist())(
        tio.Subject(image=tio.ScalarImage(image), label=tio.LabelMap(task.label_of(image)))
    )
    voxels, label = (np.transpose(part.data.numpy(), (0, 3, 2, 1)) for part in (result.image, result.label))
    write_pair(task, image, voxels, label, target)


def main() -> None:
    task = read_task()
    with ProcessPoolExecutor(task.workers) as pool:
        list(pool.map(partial(process, task), task.images))


if __name__ == "__main__":
    main()
