"""The way of a part of one case through a trace, and the same trace to another grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from monai_mriprep.errors import ResamplingError
from monai_mriprep.steps.base import Box, Params, Step, makes_parts
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.steps.trace import AppliedStep, Trace, require_shape
from monai_mriprep.types import Role, Spacing
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["forward_part", "onto_grid", "require_parts", "with_target"]

SLAB_VOXELS = 1 << 18
"""Voxels that a step changes at once: a megabyte of floats, which stays in cache."""


def require_parts(steps: Iterable[Step]) -> None:
    """Refuse a step that cannot make a part of a volume alone.

    Raises
    ------
    ResamplingError
        With its name.
    """
    for step in steps:
        if not makes_parts(step):
            msg = (
                f"the step {step.name!r} makes no parts of a volume, so patches cannot be taken from the scans: let a "
                "run write the volumes, and read patches of these"
            )
            raise ResamplingError(msg)


def forward_part(trace: Trace, volume: torch.Tensor, role: Role, wanted: Box) -> torch.Tensor:
    """What a box of a preprocessed volume holds, made of those voxels alone that it needs.

    Parameters
    ----------
    trace
        Of the case; all of its steps make parts.
    volume
        ``(C, D, H, W)`` on ``trace.source``, an image or a label; not written to. Only what is needed is read.
    role
        What it is.
    wanted
        Indices z, y, x on ``trace.target``; a range that runs backward flips the axis.

    Returns
    -------
    torch.Tensor
        ``(C, *lengths of wanted)``, contiguous, no view of `volume`.

    Raises
    ------
    ResamplingError
        If the volume does not lie on the source grid.
    """
    require_shape(volume, trace.source, f"the {role.name}")
    boxes = [wanted]
    for one in reversed(trace.steps):
        boxes.append(one.step.needed(boxes[-1], role, one.grid_in, one.params))
    boxes.reverse()
    part = _cut(volume, boxes[0])
    for one, given, after in zip(trace.steps, boxes, boxes[1:], strict=False):
        if given == after and not _share_memory(part, volume):
            part = _applied_by_slabs(one, part, after, role)
        else:
            part = one.step.apply_part(part, given, after, role, one.grid_in, one.params)
    return part.clone() if _share_memory(part, volume) else part.contiguous()


def _share_memory(part: torch.Tensor, volume: torch.Tensor) -> bool:
    return part.untyped_storage().data_ptr() == volume.untyped_storage().data_ptr()


def _applied_by_slabs(one: AppliedStep, part: torch.Tensor, box: Box, role: Role) -> torch.Tensor:
    """Of a step that moves no voxel, a few slices at a time, into the memory of the part where the type stays.

    A second array would be as large as the patch, and most of what a worker takes.
    """
    z, y, x = box
    result, length = part, max(1, SLAB_VOXELS // (len(y) * len(x)))
    for begin in range(0, len(z), length):
        own = (z[begin : begin + length], y, x)
        given = part[:, begin : begin + length]
        done = one.step.apply_part(given, own, own, role, one.grid_in, one.params)
        if result.dtype != done.dtype:
            result = part.new_empty(part.shape, dtype=done.dtype)
        if done.data_ptr() != given.data_ptr():
            result[:, begin : begin + length] = done
    return result


def _cut(volume: torch.Tensor, box: Box) -> torch.Tensor:
    """A view where no range runs backward."""
    for dim, along in enumerate(box, start=1):
        volume = volume.narrow(dim, min(along), len(along))
    backward = [dim for dim, along in enumerate(box, start=1) if along.step < 0]
    return volume.flip(backward) if backward else volume


def with_target(trace: Trace, target: Spacing) -> Trace:
    """The same, resampled to another spacing by the rule of its recipe.

    Raises
    ------
    ResamplingError
        If the case was not resampled, or is refused on its new grid.
    """

    def retargeted(step: Resampling, params: Params, grid: Grid) -> AppliedStep:
        step = step.model_copy(update={"target": target})
        return AppliedStep(step, {**params, "grid": step.grid(grid).to_json()}, grid)

    return _with_resampling(trace, retargeted)


def onto_grid(trace: Trace, target: Grid) -> Trace:
    """The same, resampled onto a grid with the same axes.

    Raises
    ------
    ResamplingError
        If the case was not resampled, or a later step takes it to another grid.
    """

    def moved(step: Resampling, params: Params, grid: Grid) -> AppliedStep:
        return AppliedStep(step, {**params, "grid": target.to_json()}, grid)

    moved_trace = _with_resampling(trace, moved)
    if moved_trace.target != target:
        msg = "a step after the resampling changes the grid, so it cannot be scaled: ask for a scale of 1"
        raise ResamplingError(msg)
    return moved_trace


def _with_resampling(trace: Trace, changed: Callable[[Resampling, Params, Grid], AppliedStep]) -> Trace:
    grid, steps = trace.source, list[AppliedStep]()
    for one in trace.steps:
        step, params = one.step, one.params
        steps.append(changed(step, params, grid) if isinstance(step, Resampling) else AppliedStep(step, params, grid))
        grid = steps[-1].step.grid(grid, steps[-1].params)
    if not any(isinstance(one.step, Resampling) for one in steps):
        msg = "the case was not resampled, so it cannot go to another spacing: ask for that of its scan"
        raise ResamplingError(msg)
    return Trace(trace.source, tuple(steps))
