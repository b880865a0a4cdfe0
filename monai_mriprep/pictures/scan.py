"""What a picture shows of a case: one image, and a label that may lie on a grid of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monai_mriprep.volume.geometry import same_grid_problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.volume.geometry import Grid

__all__ = ["Scan"]


@dataclass(frozen=True, eq=False)
class Scan:
    """An image and its label, at one stage of the work.

    Parameters
    ----------
    voxels
        ``(z, y, x)``, real and finite; of several channels one. Not written to, and read in three planes only.
    grid
        Where they lie.
    label
        ``(z, y, x)``, class numbers; what is 0 or less is no class. None of a scan that has no label.
    label_grid
        Where the label lies; by default on `grid`.
    title
        A few words above it.
    """

    voxels: NDArray[Any]
    grid: Grid
    label: NDArray[Any] | None = None
    label_grid: Grid | None = None
    title: str = ""

    @property
    def grid_of_label(self) -> Grid:
        """Where the label lies."""
        return self.label_grid or self.grid

    @property
    def is_mismatched(self) -> bool:
        """Whether there is a label, and it lies on another grid than the image."""
        return self.label is not None and same_grid_problem(self.grid, self.grid_of_label) is not None
