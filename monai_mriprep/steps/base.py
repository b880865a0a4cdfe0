"""What a step is: one stage of preprocessing that knows its grid, its way forward and its way back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from monai_mriprep.errors import MriprepWarning
from monai_mriprep.types import Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

__all__ = ["Params", "Step", "Volumes", "warn_of"]

Params = Mapping[str, Any]
"""What a step has found in the voxels of one case: plain values that JSON can hold."""


@dataclass(frozen=True)
class Volumes:
    """The volumes of one case, all on one grid.

    Parameters
    ----------
    by_role
        ``(C, D, H, W)`` tensors, the image first.
    files
        What to call each role in a message, such as its file.
    direction
        Unit vectors of the axes, one a column, in RAS+, with every digit that the image's file states; None where only
        the affine is known.
    """

    by_role: Mapping[Role, torch.Tensor]
    files: Mapping[Role, str] = field(default_factory=dict)
    direction: NDArray[np.float64] | None = None

    def of_kind(self, *kinds: str) -> dict[Role, torch.Tensor]:
        """Those whose voxels are of one of these kinds."""
        return {role: volume for role, volume in self.by_role.items() if role.kind in kinds}

    def name(self, role: Role) -> str:
        """What to call a volume in a message."""
        return self.files.get(role, role.name)

    def replaced(self, by_role: Mapping[Role, torch.Tensor]) -> Volumes:
        """The same case with other volumes."""
        return replace(self, by_role=dict(by_role))


class Step(BaseModel):
    """One stage of preprocessing; its settings are its fields, frozen and strict.

    A subclass overrides what it changes: a step that only changes values leaves `grid` alone. No method writes into a
    volume. Arrays are ``(C, D, H, W)``, grids z y x.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ClassVar[str]
    """In recipes and records."""
    follows: ClassVar[str] = "crop"
    """The step of ours after which one from outside comes: orientation, crop, resampling, normalization, label_cast."""
    depends_on_voxels: ClassVar[bool] = False
    """Whether the grid depends on what is in the voxels, so that `grid` gives planning an upper bound."""

    def grid(self, grid: Grid, params: Params | None = None) -> Grid:
        """Where volumes on `grid` lie afterwards.

        Parameters
        ----------
        grid
            Before the step.
        params
            From `plan`; None before a voxel has been read, which asks for an upper bound.
        """
        return grid

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Find what the step needs to know of a case, and refuse what it cannot do; no voxel is changed."""
        return {}

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Carry the step out on one volume, which lies on `grid`."""
        return volume

    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Put a volume that lies where `apply` left it back on `grid`.

        What is not an image keeps its values, but for their interpolation: integers stay what they are, floats are
        what a network predicts.
        """
        return volume

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Apply the step to all volumes; one that adds or drops a volume overrides this."""
        return volumes.replaced(
            {role: self.apply(volume, role, grid, params) for role, volume in volumes.by_role.items()}
        )

    def working_bytes(self, grid: Grid) -> int:
        """Memory that the step takes on `grid`, beside the volumes before and after it."""
        return 0


def warn_of(volumes: Volumes, role: Role, problem: str) -> None:
    """Warn of what needs review in one volume, by the name of its file."""
    warnings.warn(f"{volumes.name(role)}: {problem}", MriprepWarning, 3)
