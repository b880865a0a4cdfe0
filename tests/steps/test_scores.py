"""Class numbers on the way back, against an argmax over the scores that go the whole way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.steps import Step, Trace, Volumes, backward, backward_classes, forward, moves_voxels
from monai_mriprep.steps.crop import NonZeroCrop
from monai_mriprep.steps.half_pixel_resampling import HalfPixelResampling
from monai_mriprep.steps.label_cast import LabelCast
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.steps.resampling import ItkResampling, Resampling
from monai_mriprep.steps.transposition import Transposition
from monai_mriprep.types import IMAGE
from tests.steps.cases import GRIDS, volumes_on

GRID = GRIDS["oblique"]


class Doubled(Step):
    """Computes values on the way back, which the highest channel shows: those below 0 count less."""

    name = "doubled"

    def invert(self, volume, role, grid, params):
        assert volume.dtype == torch.float32
        return torch.where(volume < 0, 2 * volume, volume * volume)


class Flat(Step):
    """Returns a view of one number."""

    name = "flat"

    def invert(self, volume, role, grid, params):
        return volume.mean().expand(1, *grid.shape)


class OwnResampling(Resampling):
    """One from outside, with a way back of its own."""

    name = "own_resampling"

    def invert(self, volume, role, grid, params):
        return -super().invert(volume, role, grid, params)


class OwnCrop(NonZeroCrop):
    """One that computes, though that which it comes from only moves voxels."""

    name = "own_crop"

    def invert(self, volume, role, grid, params):
        return super().invert(-volume, role, grid, params)


class MarkedCrop(OwnCrop):
    """One that only moves them again."""

    name = "marked_crop"

    @moves_voxels
    def invert(self, volume, role, grid, params):
        return NonZeroCrop.invert(self, volume, role, grid, params)


RESAMPLING = Resampling(target=(2.1, 1.0, 0.7))
OURS = {
    "nothing": [],
    "resampling": [RESAMPLING],
    "turned, cropped, resampled, normalised": [
        Orientation(codes="PIL"),
        NonZeroCrop(),
        RESAMPLING,
        Normalization(),
        LabelCast(),
    ],
    "normalised before": [NonZeroCrop(), Normalization(), RESAMPLING],
    "itk": [NonZeroCrop(), ItkResampling(target=(2.9, 1.0, 1.4))],
    "nnU-Net, separate": [
        Transposition(order=(2, 0, 1)),
        NonZeroCrop(),
        HalfPixelResampling(target=(3.3, 2.1, 1.0), separate="auto", threshold=1.5),
    ],
    "moved alone": [Transposition(order=(2, 0, 1)), NonZeroCrop()],
    "moved after": [RESAMPLING, Orientation(codes="PIL")],
    "a crop with the mark": [MarkedCrop(), RESAMPLING],
}
FROM_OUTSIDE = {
    "own step before": [Doubled(), NonZeroCrop(), RESAMPLING],
    "own step after": [NonZeroCrop(), RESAMPLING, Doubled()],
    "own step alone": [NonZeroCrop(), Doubled()],
    "own resampling": [NonZeroCrop(), OwnResampling(target=(2.1, 1.0, 0.7))],
    "own crop": [OwnCrop(), RESAMPLING],
    "two resamplings": [RESAMPLING, Resampling(target=(1.5, 2.0, 1.0))],
}


def traced(steps: list[Step]) -> Trace:
    image = volumes_on(GRID, torch.float32).by_role[IMAGE].clone()
    image[:, 0] = image[:, :, -1] = 0
    return forward(steps, Volumes({IMAGE: image}), GRID)[1]


def scores_on(trace: Trace, count: int = 4) -> torch.Tensor:
    return torch.randn((count, *trace.target.shape), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("steps", [*OURS.values(), *FROM_OUTSIDE.values()], ids=[*OURS, *FROM_OUTSIDE])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_they_are_those_of_all_channels_taken_back(steps, dtype):
    trace = traced(steps)
    scores = scores_on(trace).to(dtype)
    before = scores.clone()
    found = backward_classes(trace, scores)
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found[0], backward(trace, scores.float())[0].argmax(0))
    assert torch.equal(scores, before)
    if len(steps) > 1:
        assert len(found.unique()) == 4


@pytest.mark.parametrize("steps", [*OURS.values(), *FROM_OUTSIDE.values()], ids=[*OURS, *FROM_OUTSIDE])
def test_only_steps_from_outside_get_whole_channels(steps, monkeypatch):
    shapes = []
    for kind in (Resampling, Doubled, OwnResampling, OwnCrop):
        monkeypatch.setattr(kind, "invert", noting(shapes, kind.invert))
    trace = traced(steps)
    backward_classes(trace, scores_on(trace))
    assert {shape[0] for shape in shapes} <= {1}
    assert bool(shapes) == (steps in FROM_OUTSIDE.values())


def noting(shapes: list[tuple[int, ...]], invert: Callable) -> Callable:
    """The method of a step, which notes the shapes that it is given."""

    def noted(self, volume, *others):
        shapes.append(tuple(volume.shape))
        return invert(self, volume, *others)

    return noted


def test_a_step_may_return_a_view_of_one_number():
    trace = traced([Flat()])
    scores = scores_on(trace) + torch.tensor([0, 2, 5, 3])[:, None, None, None]
    assert backward_classes(trace, scores).unique().tolist() == [2]


def test_scores_that_cannot_be_interpolated_are_refused():
    trace = traced([RESAMPLING])
    scores = scores_on(trace)
    scores[2, 1, 1, 1] = torch.nan
    with pytest.raises(ResamplingError, match="the prediction holds values that are not finite"):
        backward_classes(trace, scores)


def test_scores_on_another_grid_are_refused():
    with pytest.raises(ResamplingError, match="the scores has"):
        backward_classes(traced([RESAMPLING]), torch.zeros(2, 3, 4, 5))
