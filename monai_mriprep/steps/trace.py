"""The way of one case through a list of steps, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from monai_mriprep import volume as compute
from monai_mriprep.errors import MriprepError, RecordError, ResamplingError
from monai_mriprep.steps.base import Params, Step, Volumes
from monai_mriprep.types import FOREGROUND, PREDICTION, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = [
    "AppliedStep",
    "Around",
    "Trace",
    "backward",
    "final_grid",
    "forward",
    "planned_grid",
    "require_shape",
    "undone",
]

PRESENT = Role("present", "", FOREGROUND.kind)
"""On the way back, the voxels that a padded or cropped volume still has."""


@dataclass(frozen=True)
class AppliedStep:
    """A step, what it found in the voxels of a case, and the grid that the case was on before it."""

    step: Step
    params: Params
    grid_in: Grid


@dataclass(frozen=True)
class Trace:
    """What was done to a case, in order; enough to undo it.

    Parameters
    ----------
    source
        The grid of the case before the first step.
    steps
        What was done.
    """

    source: Grid
    steps: tuple[AppliedStep, ...] = ()

    @cached_property
    def target(self) -> Grid:
        """The grid of the case after the last step."""
        if not self.steps:
            return self.source
        last = self.steps[-1]
        return last.step.grid(last.grid_in, last.params)

    def params(self, name: str) -> Params | None:
        """What the step of this name has found, or None if there was none."""
        return next((one.params for one in self.steps if one.step.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values that make the same trace again, bit for bit."""
        steps = [{**one.step.to_json(), "params": dict(one.params)} for one in self.steps]
        return {"source": self.source.to_json(), "steps": steps}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Trace:
        """The trace that `to_json` wrote.

        Raises
        ------
        RecordError
            If it is not whole, names a step that is not registered here, or one of them raises anything.
        """
        try:
            source = Grid.from_json(facts["source"])
            grid, applied = source, []
            if not isinstance(facts["steps"], list):
                msg = f"its steps are no list, but {facts['steps']!r}"
                raise TypeError(msg)
            for one in facts["steps"]:
                step = Step.from_json({key: value for key, value in one.items() if key != "params"})
                params = dict(one["params"])
                applied.append(AppliedStep(step, params, grid))
                grid = step.grid(grid, params)
        except MriprepError as error:
            msg = f"what was done to the case cannot be undone: {error}"
            raise RecordError(msg) from error
        except Exception as error:  # the border: a step from outside may raise anything
            msg = f"what was done to the case cannot be read from its trace ({error!r}); preprocess it again"
            raise RecordError(msg) from error
        return cls(source, tuple(applied))


def final_grid(steps: Iterable[Step], grid: Grid) -> Grid:
    """Where a case on `grid` will lie after the steps; an upper bound where one depends on the voxels.

    Raises
    ------
    MriprepError
        As `planned_grid`.
    """
    for step in steps:
        grid = planned_grid(step, grid)
    return grid


def planned_grid(step: Step, grid: Grid) -> Grid:
    """Where a case on `grid` will lie after one step, as far as that can be told without its voxels.

    Raises
    ------
    MriprepError
        If the step refuses the grid, raises anything else, or returns something else; so that only this case fails.
    """
    try:
        after = step.grid(grid)
        if not isinstance(after, Grid):
            msg = f"returned {after!r}, which is no Grid"
            raise TypeError(msg)
    except MriprepError:
        raise
    except Exception as error:  # the border: a step from outside may raise anything
        msg = (
            f"the step {step.name!r} cannot tell the grid that it makes of {grid}: {error!r}; before a voxel is read, "
            "its `grid` is called without params, and must return a Grid, an upper bound where the voxels decide"
        )
        raise ResamplingError(msg) from error
    return after


Around = Callable[[str], AbstractContextManager[Any]]
"""Called with the name of a step, entered before it and left after it: a stopwatch, for instance."""


def forward(steps: Iterable[Step], volumes: Volumes, grid: Grid, around: Around = nullcontext) -> tuple[Volumes, Trace]:
    """Carry out steps on a case.

    Parameters
    ----------
    steps
        In order; `steps_of` makes them of a recipe.
    volumes
        All on `grid`; not written to.
    grid
        Of the arrays, z y x.
    around
        A context for each step.

    Returns
    -------
    tuple
        The volumes, on ``trace.target``; and the trace, which `backward` takes.

    Raises
    ------
    RecordError
        If what a step finds in the voxels is not plain JSON.
    ResamplingError
        If a step does not leave the volumes on the grid that it says, or leaves something other than tensors.
    MriprepError
        What a step refuses.
    """
    source, applied = grid, []
    for step in steps:
        with around(step.name):
            params = _as_recorded(step, step.plan(volumes, grid))
            applied.append(AppliedStep(step, params, grid))
            volumes = step.carry_out(volumes, grid, params)
            grid = step.grid(grid, params)
        _require_shapes(volumes, grid, step.name)
    return volumes, Trace(source, tuple(applied))


def _as_recorded(step: Step, params: Params) -> Params:
    """The values as a record gives them back, so that a step is given the same ones forward and back."""
    try:
        recorded: Params = json.loads(json.dumps(dict(params), allow_nan=False))
    except (TypeError, ValueError) as error:
        msg = f"what the step {step.name!r} has found cannot be recorded: {params!r} is not plain JSON ({error})"
        raise RecordError(msg) from error
    return recorded


def backward(
    trace: Trace, volume: torch.Tensor, role: Role = PREDICTION, grid: Grid | None = None
) -> tuple[torch.Tensor, Grid]:
    """Undo what was done to a case, for one volume: the one way back of all.

    Integers go by nearest neighbour, and so do labels whatever their type; other floats are interpolated linearly,
    each channel by itself, and keep their values. Outside a crop there are zeros. An image alone, ``role=IMAGE``, is
    interpolated by its own spline, and its z-scores are undone.

    Parameters
    ----------
    trace
        From `forward`, a record or a MetaTensor.
    volume
        ``(C, D, H, W)``, on the grid that the case ended on; not written to.
    role
        What the volume is.
    grid
        Where the volume lies now, if it was padded, cropped, turned or resampled since: padding is left out, and where
        nothing is left there are zeros.

    Returns
    -------
    tuple
        The volume on the source grid, and that grid.

    Raises
    ------
    ResamplingError
        If the volume does not fit.
    """
    present = None
    if grid is None:
        require_shape(volume, trace.target, f"the {role.name}")
    else:
        order = int(role.is_continuous and volume.is_floating_point())
        volume, present = compute.fit.fit_onto(volume, grid, trace.target, order)
    volume = undone(trace.steps, volume, role)
    if present is not None:
        volume = volume.where(undone(trace.steps, present, PRESENT), volume.new_zeros(()))
    return volume, trace.source


def undone(steps: Sequence[AppliedStep], volume: torch.Tensor, role: Role) -> torch.Tensor:
    """A volume that lies where these steps left it, taken back to where the first began.

    Raises
    ------
    ResamplingError
        If a step does not put it on its grid.
    """
    for one in reversed(steps):
        volume = one.step.invert(volume, role, one.grid_in, one.params)
        require_shape(volume, one.grid_in, f"the {role.name} on the way back of the step {one.step.name!r}")
    return volume


def _require_shapes(volumes: Volumes, grid: Grid, step: str) -> None:
    for role, volume in volumes.by_role.items():
        require_shape(volume, grid, f"the {role.name} after the step {step!r}")


def require_shape(volume: torch.Tensor, grid: Grid, what: str) -> None:
    """Refuse what is no ``(C, D, H, W)`` tensor on a grid; `what` names it."""
    if not hasattr(volume, "new_zeros"):  # a step from outside may return anything
        msg = f"{what} is no tensor, but {type(volume).__name__}"
        raise ResamplingError(msg)
    if volume.shape[1:] != grid.shape:
        msg = f"{what} has {tuple(volume.shape[1:])} voxels, z y x, where its grid has {grid.shape}"
        raise ResamplingError(msg)
