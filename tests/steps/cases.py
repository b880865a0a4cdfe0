"""Small cases on grids of every kind, for the tests of the steps."""

from __future__ import annotations

import numpy as np
import torch

from monai_mriprep.steps import Volumes
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, Kind, Role
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of

TURNED = np.array([[0, 0, -1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
"""A change of axes, after which the array runs to anterior, inferior, left."""

GRIDS = {
    "straight": Grid((7, 12, 10), affine_of((3.0, 1.1, 0.9), 0, (11, -7, 3))),
    "oblique": Grid((9, 8, 11), affine_of((2.0, 1.3, 1.3), 14, (-61.37, -48.112, 23.04))),
    "permuted": Grid((6, 9, 13), TURNED @ affine_of((4.0, 0.8, 1.2), 8, (5, 6, -70))),
    "one slice": Grid((1, 14, 9), affine_of((6.5, 0.8, 0.8), 4)),
}

FLOATS = Role("probabilities", "", "prediction")


def volumes_on(grid: Grid, dtype: torch.dtype = torch.int16, channels: int = 1, seed: int = 0) -> Volumes:
    """An image in a frame of zeros, a label of the classes 0 to 3 with a few negative voxels, and the mask."""
    rng = np.random.default_rng(seed)
    frame = np.zeros((channels, *grid.shape), bool)
    inner = tuple(slice(n // 4, n - n // 5) for n in grid.shape)
    frame[:, inner[0], inner[1], inner[2]] = True
    image = torch.from_numpy(np.where(frame, rng.integers(1, 900, frame.shape), 0)).to(dtype)
    label = rng.integers(0, 4, (1, *grid.shape)).astype(np.int16)
    label[:, 0, 0, :3] = -1
    return Volumes({IMAGE: image, LABEL: torch.from_numpy(label), FOREGROUND: image != 0})


def unlike_foregrounds(volumes: Volumes) -> tuple[Volumes, dict[str, np.ndarray]]:
    """The volumes with negative voxels and a mask that is something else; and the voxels that each `over` means."""
    image = volumes.by_role[IMAGE]
    image = image - 300 * (image != 0)
    mask = image > 100
    changed = volumes.replaced({**volumes.by_role, IMAGE: image, FOREGROUND: mask})
    return changed, {"nonzero": (image != 0).numpy(), "positive": (image > 0).numpy(), "foreground": mask.numpy()}


def centres(grid: Grid) -> np.ndarray:
    """Where every voxel lies, in RAS+ mm; ``(3, D, H, W)``."""
    return np.moveaxis(np.moveaxis(np.indices(grid.shape), 0, -1) @ grid.affine[:3, :3].T + grid.origin, -1, 0)


def is_inside(grid: Grid, source: Grid) -> np.ndarray:
    """Which voxels of a grid lie between the outermost voxel centres of another; ``(D, H, W)``."""
    index = np.linalg.solve(source.affine[:3, :3], (centres(grid) - source.origin[:, None, None, None]).reshape(3, -1))
    last = np.subtract(source.shape, 1)[:, None]
    return ((index > -1e-9) & (index < last + 1e-9)).all(axis=0).reshape(grid.shape)


def role_of(kind: Kind) -> Role:
    """A role of this kind that no table has."""
    return Role(f"a {kind}", "", kind)
