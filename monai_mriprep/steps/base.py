"""What a step is: one stage of preprocessing that knows its grid, its way forward and its way back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from monai_mriprep.errors import MriprepWarning, ResamplingError
from monai_mriprep.recipe.extensions import NamedSettings
from monai_mriprep.types import IMAGE, Kind, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

__all__ = ["Box", "Params", "Step", "Volumes", "is_moving", "makes_parts", "moves_voxels"]

Params = Mapping[str, Any]
"""What a step has found in the voxels of one case: numbers, text, and lists and dictionaries of them, as JSON has.
Whatever else `Step.plan` returns comes to `Step.apply` and `Step.invert` as JSON gives it back: a tuple is a list."""

Box = tuple[range, range, range]
"""Indices along z, y, x, each range with the step 1; or with -1, which turns the axis of an array the other way."""


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

    def of_kind(self, kind: Kind) -> dict[Role, torch.Tensor]:
        """Those whose voxels are of this kind."""
        return {role: volume for role, volume in self.by_role.items() if role.kind == kind}

    @property
    def image(self) -> tuple[Role, torch.Tensor]:
        """The first image, ``(C, D, H, W)``, after its role.

        Raises
        ------
        ResamplingError
            If there is none.
        """
        images = self.of_kind(IMAGE.kind)
        if not images:
            msg = f"there is no image among {', '.join(role.name for role in self.by_role) or 'no volumes'}"
            raise ResamplingError(msg)
        return next(iter(images.items()))

    def name(self, role: Role) -> str:
        """What to call a volume in a message."""
        return self.files.get(role, role.name)

    def warn(self, role: Role, problem: str) -> None:
        """Warn of what needs review in a volume, by its name."""
        warnings.warn(f"{self.name(role)}: {problem}", MriprepWarning, 3)

    def replaced(self, by_role: Mapping[Role, torch.Tensor]) -> Volumes:
        """The same case with other volumes."""
        return replace(self, by_role=dict(by_role))


Invert = TypeVar("Invert", bound=Callable[..., Any])

_MOVING: set[Callable[..., Any]] = set()


def moves_voxels(invert: Invert) -> Invert:
    """Mark an `invert` of a step that computes no value of a prediction: it gives voxels another place, or 0.

    So it makes of class numbers what it makes of the scores that they come from, and `restore` hands it the class
    numbers, one volume for all channels. A class that overrides `invert` has the mark only if its own one has it.
    """
    _MOVING.add(invert)
    return invert


def is_moving(step: Step) -> bool:
    """Whether the way back of a step only moves the voxels of a prediction, or does nothing."""
    return type(step).invert in _MOVING


def makes_parts(step: Step) -> bool:
    """Whether `Step.apply_part` makes of a part what the step makes of a whole volume.

    A class that overrides `apply` or `carry_out` needs an `apply_part` of its own, or of a class below.
    """
    classes = type(step).__mro__
    at = next(index for index, one in enumerate(classes) if "apply_part" in vars(one))
    changed_since = any({"apply", "carry_out"} & vars(one).keys() for one in classes[:at])
    return classes[at] is not Step and not changed_since and not step.needs_whole


class Step(NamedSettings):
    """One stage of preprocessing; its settings are its fields, frozen and strict.

    A subclass has a `name`, and overrides what it changes: a step that only changes values leaves `grid` alone. No
    method writes into a volume. Arrays are ``(C, D, H, W)``, grids z y x. `apply` and `invert` meet every role that a
    case has, the bool mask of the foreground among them; ``role.kind`` says what the voxels are.
    """

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
        """Find what the step needs to know of a case, and refuse what it cannot do; no voxel is changed.

        Raises
        ------
        MriprepError
            If it cannot be carried out. Any other exception ends the case, too; its record then names the step, and
            holds the traceback.
        """
        return {}

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Carry the step out on one volume, which lies on `grid`."""
        return volume

    @moves_voxels
    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Put a volume that lies where `apply` left it back on `grid`.

        Integers are class numbers, and floats what a network predicts: both are moved, and keep their units. Only an
        image has changes of its values undone, too, such as z-scores.
        """
        return volume

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Apply the step to all volumes; one that adds or drops a volume overrides this."""
        return volumes.replaced(
            {role: self.apply(volume, role, grid, params) for role, volume in volumes.by_role.items()}
        )

    @property
    def needs_whole(self) -> bool:
        """Whether the settings ask for something of a whole volume, so that no part can be made alone."""
        return False

    def needed(self, box: Box, role: Role, grid: Grid, params: Params) -> Box:
        """Which voxels of `grid`, the grid before the step, those of a box of the grid after it are made of.

        A step that gives voxels another place, or makes one of several, overrides it.
        """
        return box

    def apply_part(
        self, part: torch.Tensor, given: Box, wanted: Box, role: Role, grid: Grid, params: Params
    ) -> torch.Tensor:
        """Carry the step out on a part of a volume: of an image, or of a label.

        Parameters
        ----------
        part
            ``(C, *lengths of given)``, the voxels of `given` in their order; not written to.
        given
            What `needed` has returned for `wanted`: a box of `grid`.
        wanted
            A box of the grid after the step.
        role, grid, params
            As in `apply`.

        Returns
        -------
        torch.Tensor
            ``(C, *lengths of wanted)``, the voxels that `apply` puts there.

        Raises
        ------
        ResamplingError
            If a part cannot be made alone: see `makes_parts`.
        """
        msg = f"the step {self.name!r} makes no parts of a volume: it needs a whole one, or has no `apply_part`"
        raise ResamplingError(msg)

    def working_bytes(self, grid: Grid) -> int:
        """Memory that the step takes on `grid`, beside the volumes before and after it."""
        return 0
