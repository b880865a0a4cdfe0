"""The way back of a network's scores: the class of each voxel of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from monai_mriprep import volume as compute
from monai_mriprep.steps.base import is_moving
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.steps.trace import AppliedStep, Trace, require_shape, undone
from monai_mriprep.types import PREDICTION

if TYPE_CHECKING:
    import torch

__all__ = ["backward_classes"]


def backward_classes(trace: Trace, scores: torch.Tensor) -> torch.Tensor:
    """Undo what was done to a case, for scores of which only the highest is wanted.

    The voxels are those of an argmax over what `monai_mriprep.steps.backward` makes of the scores, which are far larger
    on the grid of a scan. So a resampling compares them tile by tile, and the steps that only move voxels move the
    class numbers. A step from outside that computes values gets one channel at a time.

    Parameters
    ----------
    trace
        From `forward` or a record.
    scores
        ``(C, D, H, W)`` floats, on the grid that the case ended on; not written to.

    Returns
    -------
    torch.Tensor
        ``(1, D, H, W)`` on the source grid, uint8, or int16 of more than 256 channels: the number, from 0, of the
        highest channel, of equals the first. What a crop has cut away is 0.

    Raises
    ------
    ResamplingError
        If the scores do not fit, or are not finite.
    """
    require_shape(scores, trace.target, "the scores")
    computing = [index for index, one in enumerate(trace.steps) if not is_moving(one.step)]
    first = computing[0] if computing else len(trace.steps)
    earlier, later = trace.steps[:first], trace.steps[first:]
    step = later[0].step if len(computing) == 1 else None
    if isinstance(step, Resampling) and type(step).invert is Resampling.invert:
        moved = undone(later[1:], scores, PREDICTION)
        classes = step.invert_to_classes(moved, later[0].grid_in, later[0].params)
    else:
        classes = _by_channels(later, scores)
    return undone(earlier, classes, PREDICTION)


def _by_channels(steps: Sequence[AppliedStep], scores: torch.Tensor) -> torch.Tensor:
    channels = (undone(steps, channel[None].float(), PREDICTION) for channel in scores)
    return compute.argmax.highest_channel(channels, len(scores))
