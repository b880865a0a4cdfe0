"""One shell for every list of steps: it reads what MONAI hands over, walks the list, and knows the way back."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.utils.enums import TransformBackends

from monai_mriprep.dataset.checks import check_grids
from monai_mriprep.errors import ResamplingError
from monai_mriprep.steps import Step, Trace, Volumes, forward
from monai_mriprep.steps.intensities import Intensities
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.steps.turned import Turned
from monai_mriprep.transforms.axes import ZYX_AFFINE, FileAxes, check_array_axes, file_axes
from monai_mriprep.transforms.tensors import (
    as_tracked,
    file_of,
    grid_of,
    has_place,
    on_grid,
    score_marks,
    spacing_marks,
    tensor_of,
    volume_of,
)
from monai_mriprep.transforms.way_back import WayBackd, recorded_way, trace_of
from monai_mriprep.types import IMAGE, ArrayAxes, Role
from monai_mriprep.volume.axes import Turn
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from monai_mriprep.steps.trace import Around

__all__ = ["ApplyStepsd", "CaseOnGrid", "StepShelld", "trace_of"]

NO_VOXEL = torch.zeros(1)
"""Takes the shape of any volume, and no memory."""


@dataclass(frozen=True)
class CaseOnGrid:
    """Where the volumes of a case lie: all on one grid.

    Parameters
    ----------
    by_key
        The place, metadata and history of each, with the mark of its axes; without its voxels, which steps replace.
    axes, source
        Axes of the file, and grid of the array, of the first, which count for all.
    turn
        From the axes of the arrays to z y x, in which all is computed.
    """

    by_key: Mapping[Hashable, MetaTensor]
    axes: FileAxes
    source: Grid
    turn: Turn

    @classmethod
    def of(cls, volumes: Mapping[Hashable, torch.Tensor], array_axes: ArrayAxes | None) -> CaseOnGrid:
        """Check that all lie on the grid of the first; a plain tensor of its shape does."""
        first_key, first = next(iter(volumes.items()))
        name, source = file_of(first, str(first_key)), grid_of(first)
        axes = file_axes(first, name, array_axes)
        turn = axes.turn(source)

        def placed(volume: torch.Tensor, key: str) -> MetaTensor:
            is_plain = not has_place(volume) and volume.shape[1:] == source.shape
            grid, own_name = source if is_plain else grid_of(volume), file_of(volume, key)
            check_grids(name, turn.grid(source), own_name, turn.grid(grid), (str(first_key), key))  # in z y x
            own_axes = axes if is_plain else file_axes(volume, own_name, array_axes)
            return on_grid(NO_VOXEL.expand(volume.shape), grid, volume, **own_axes.mark)

        return cls({key: placed(volume, str(key)) for key, volume in volumes.items()}, axes, source, turn)

    @property
    def grid(self) -> Grid:
        """Of the volumes as steps take them, with the spacing that the first one's file states."""
        grid, stated = self.turn.grid(self.source), next(iter(self.by_key.values())).meta.get("file_spacing")
        if stated is None:
            return grid
        z, y, x = np.asarray(stated, dtype=np.float64).tolist()
        return replace(grid, stated=(z, y, x))

    def take(self, volumes: dict[Hashable, torch.Tensor], roles: Mapping[Hashable, Role]) -> Volumes:
        """What steps take, in z y x; `volumes` is empty afterwards, so that only the steps hold the voxels."""
        by_role = {roles[key]: self.turn.array(tensor_of(volumes.pop(key))) for key in self.by_key}
        files = {roles[key]: file_of(volume, str(key)) for key, volume in self.by_key.items()}
        stated = next(iter(self.by_key.values())).meta.get("file_direction")
        return Volumes(by_role, files, None if stated is None else np.asarray(stated, dtype=np.float64))


class StepShelld(WayBackd):
    """What MONAI asks of a transform, around steps that a subclass carries out in `_forward`.

    Parameters
    ----------
    roles, array_axes, allow_missing_keys
        As in `ApplyStepsd`.
    """

    backend = (TransformBackends.TORCH,)

    def __init__(
        self,
        roles: Mapping[Hashable, Role],
        array_axes: ArrayAxes | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(tuple(roles), allow_missing_keys)
        if len(set(roles.values())) < len(roles):
            names = {key: role.name for key, role in roles.items()}
            msg = f"each key needs a role of its own, not {names}"
            raise ResamplingError(msg)
        self.roles = dict(roles)
        self.array_axes = check_array_axes(array_axes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` with the volumes as the steps leave them; what a step drops is gone."""
        return self.consume(dict(data))

    def consume(self, data: dict[Any, Any]) -> dict[Any, Any]:
        """As a call, in `data` itself: it no longer holds the volumes, so each is freed once a step has replaced it.

        The tensors are not written to.
        """
        volumes = {key: volume_of(data.pop(key), str(key)) for key in tuple(self.key_iterator(data))}
        if not volumes:
            return data
        case = CaseOnGrid.of(volumes, self.array_axes)
        done = self._forward(case, volumes)
        for key, place in case.by_key.items():
            role = self.roles[key]
            if role in done:
                data[key] = as_tracked(self._recorded(place, role, case, *done[role]))
        return data

    @abstractmethod
    def _forward(
        self, case: CaseOnGrid, volumes: dict[Hashable, torch.Tensor]
    ) -> dict[Role, tuple[torch.Tensor, Trace]]:
        """Each volume that the steps have left, and what was done to it; `volumes` is empty afterwards."""

    def _recorded(
        self, place: MetaTensor, role: Role, case: CaseOnGrid, tensor: torch.Tensor, trace: Trace
    ) -> torch.Tensor:
        """The result in the axes of the arrays, with the metadata of `place`, and the trace in its history."""
        oriented = any(isinstance(one.step, Turned) for one in trace.steps)
        back = case.axes.as_loaded if oriented else case.turn.back
        turned, grid = back.array(tensor).contiguous(), back.grid(trace.target)
        result: torch.Tensor = on_grid(turned, grid, place, **_marks(trace, role))
        extra = recorded_way(trace, role.is_continuous, place)
        self.push_transform(result, orig_size=case.source.shape, extra_info=extra)
        return result


class ApplyStepsd(StepShelld):
    """Carry out a list of steps on the volumes of a case, and undo it.

    Whatever the order of the arrays' axes, the steps work in z y x; results have the axes that the arrays had, or
    after an orientation those that it names. What was done is in the history of each result: see `trace_of`.

    Parameters
    ----------
    roles
        The keys of the volumes, and what each is; the first fixes the grid, and all lie on it. A plain tensor among
        the further ones is taken to lie on it, too, if it has its shape.
    steps
        From `monai_mriprep.steps.steps_of`, or your own.
    array_axes
        The order of axes in which the loader handed the arrays out, ``xyz`` or ``zyx``, where they are not marked:
        ``xyz`` after MONAI's `LoadImaged`.
    allow_missing_keys
        Skip keys that are not there instead of raising; the first that is there fixes the grid.
    around
        A context for each step, such as a stopwatch: see `monai_mriprep.steps.forward`.

    Raises
    ------
    ResamplingError
        If two keys have one role, or `array_axes` is not known. When it is called: if the axes of an array are not
        known.
    GeometryError
        If a further key does not lie on the grid of the first.

    Warns
    -----
    MriprepWarning
        If the first key is a plain tensor, without affine, whose voxels are taken for 1 mm, as MONAI's `Spacingd` does.
    """

    def __init__(
        self,
        roles: Mapping[Hashable, Role],
        steps: Sequence[Step],
        array_axes: ArrayAxes | None = None,
        allow_missing_keys: bool = False,
        around: Around = nullcontext,
    ) -> None:
        super().__init__(roles, array_axes, allow_missing_keys)
        self.steps = tuple(steps)
        self.around = around

    def _forward(
        self, case: CaseOnGrid, volumes: dict[Hashable, torch.Tensor]
    ) -> dict[Role, tuple[torch.Tensor, Trace]]:
        """All volumes go through one list. No name in here keeps one, so that each is freed once it is replaced."""
        after, trace = forward(self.steps, case.take(volumes, self.roles), case.grid, self.around)
        return {role: (volume, trace) for role, volume in after.by_role.items()}


def _marks(trace: Trace, role: Role) -> dict[str, Any]:
    """Metadata of a result: its spacings, its axes and, of an image, what its values were scaled by."""
    marks: dict[str, Any] = {ZYX_AFFINE: torch.from_numpy(trace.target.affine.copy())}
    for one in trace.steps:
        if isinstance(one.step, Resampling):
            marks |= spacing_marks(one.step.target, one.step.grid(one.grid_in, one.params))
        if isinstance(one.step, Intensities) and role.kind == IMAGE.kind:
            marks |= score_marks(one.params)
    return marks
