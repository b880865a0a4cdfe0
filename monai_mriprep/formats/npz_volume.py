"""What a preprocessed file holds: the whole of it, a part, or what it tells without its voxels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from monai_mriprep.formats.comment import fitting_facts
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monai_mriprep.formats.blocks import Blocks
    from monai_mriprep.types import Shape

__all__ = ["NpzHead", "NpzPart", "NpzVolume"]


@dataclass(frozen=True)
class NpzVolume:
    """What an output file holds.

    Parameters
    ----------
    array
        ``(C, D, H, W)``; float32, int8 or int16.
    spacing
        The target spacing, z y x, mm, shape (3,), float64.
    affine
        4 x 4, voxel index z y x to RAS+ mm; None in a file that does not carry it.
    facts
        How it was made, as plain JSON: what stands beside the affine; empty in files up to 0.3.0 and outside of a run.
    """

    array: NDArray[Any]
    spacing: NDArray[np.float64]
    affine: NDArray[np.float64] | None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """Where it lies, z y x; without an affine along the axes of the world, at its origin."""
        return _grid(self.array.shape, self.spacing, self.affine)

    @property
    def affine_source(self) -> Literal["file", "spacing"]:
        """Whether the file states its affine, or the spacing stands for it."""
        return "spacing" if self.affine is None else "file"

    def with_facts(self, facts: Mapping[str, Any]) -> NpzVolume:
        """The same volume with these facts, as far as they fit into a comment; none without an affine."""
        return replace(self, facts={} if self.affine is None else fitting_facts(self.affine, facts))


@dataclass(frozen=True)
class NpzHead:
    """What an output file tells without its voxels.

    Parameters
    ----------
    shape, dtype
        Of the array, ``(C, D, H, W)``.
    spacing, affine, facts
        As in `NpzVolume`.
    blocks
        Its index; None in a file that has none.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing: NDArray[np.float64]
    affine: NDArray[np.float64] | None
    facts: Mapping[str, Any]
    blocks: Blocks | None

    @property
    def grid(self) -> Grid:
        """As in `NpzVolume`."""
        return _grid(self.shape, self.spacing, self.affine)


@dataclass(frozen=True, kw_only=True)
class NpzPart(NpzVolume):
    """A part of what an output file holds: a volume, whose affine starts at its own first voxel.

    Parameters
    ----------
    whole
        Where all of it lies.
    start
        The first voxel of the part there, z y x; below 0 where the part is padded.
    """

    whole: Grid
    start: Shape

    @property
    def grid(self) -> Grid:
        """Where the part lies, z y x."""
        z, y, x = self.array.shape[1:]
        affine = self.whole.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ np.asarray(self.start)
        return Grid((z, y, x), affine)

    def padded(self, start: Shape, size: Shape) -> NpzPart:
        """The part of this size from `start` on, with zeros around what there is of it.

        Parameters
        ----------
        start
            Not beyond the start of this part.
        size
            So large that this part lies in it.
        """
        if self.array.shape[1:] == size:
            return self
        before = [own - first for own, first in zip(self.start, start, strict=True)]
        lengths = zip(before, self.array.shape[1:], size, strict=True)
        widths = [(first, whole - first - length) for first, length, whole in lengths]
        larger = replace(self, array=np.pad(self.array, [(0, 0), *widths]), start=start)
        return larger if self.affine is None else replace(larger, affine=larger.grid.affine)


def _grid(shape: tuple[int, ...], spacing: NDArray[np.float64], affine: NDArray[np.float64] | None) -> Grid:
    _, z, y, x = shape
    return Grid((z, y, x), np.diag([*spacing, 1.0]) if affine is None else affine)
