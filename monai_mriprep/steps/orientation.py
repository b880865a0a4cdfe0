"""Turn the axes of every case alike, such as to RAS."""

from __future__ import annotations

from monai_mriprep.recipe.values import Codes
from monai_mriprep.steps.turned import Turned
from monai_mriprep.volume.axes import Turn, turn_to_codes
from monai_mriprep.volume.geometry import Grid

__all__ = ["Orientation"]


class Orientation(Turned):
    """Permute and flip the axes until they run nearest to those that the codes name; no value is computed.

    Parameters
    ----------
    codes
        Where the file's axes x, y, z run to: ``RAS`` gives arrays whose axes run to superior, anterior, right. As
        MONAI's `Orientationd` and nibabel; see `monai_mriprep.volume.axes.turn_to_codes`.
    """

    name = "orientation"
    codes: Codes

    def turn(self, grid: Grid) -> Turn:
        """To the codes."""
        return turn_to_codes(grid, self.codes)
