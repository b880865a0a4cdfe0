"""The way of a part through a whole trace, and the same trace to other grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.recipe import Recipe
from monai_mriprep.steps import Step, Trace, Volumes, forward, parts, steps_of
from monai_mriprep.steps.label_cast import LabelCast
from monai_mriprep.steps.label_outside import LabelOutside
from monai_mriprep.steps.parts import forward_part, onto_grid, require_parts, with_target
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.steps.turned import Turned
from monai_mriprep.types import IMAGE, LABEL
from monai_mriprep.volume.axes import Turn
from monai_mriprep.volume.geometry import Grid, target_grid
from tests.steps.cases import GRIDS, volumes_on

GRID = GRIDS["oblique"]
TARGET = (1.7, 1.0, 1.4)


def case_of(**keys) -> tuple[Volumes, Volumes, Trace]:
    volumes = volumes_on(GRID, channels=2)
    volumes = volumes.replaced({role: volumes.by_role[role].clamp(min=0) for role in (IMAGE, LABEL)})
    return volumes, *forward(steps_of(Recipe(**keys), TARGET), volumes, GRID)


@pytest.mark.filterwarnings("ignore:label.*the crop loses:monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"orientation": "LIP", "crop": "nonzero", "grid": "nnunet"},
        {"preset": "panther2025"},
        {"order": 0, "label_map": {1: 2, 2: 1}},
    ],
    ids=str,
)
def test_a_box_is_cut_from_what_the_whole_case_becomes(keys, monkeypatch):
    monkeypatch.setattr(parts, "SLAB_VOXELS", 100)  # a slice or two
    before, done, trace = case_of(**keys)
    scans = {role: volume.clone() for role, volume in before.by_role.items()}
    z, y, x = trace.target.shape
    wanted = range(1, z - 1), range(y)[::-1], range(2, x)
    for role, tolerance in ((IMAGE, 5e-6), (LABEL, 0)):
        part = forward_part(trace, before.by_role[role], role, wanted)
        expected = done.by_role[role].numpy()[:, 1:-1, ::-1, 2:]
        assert part.is_contiguous()
        np.testing.assert_allclose(part.numpy(), expected, rtol=0, atol=tolerance * np.ptp(expected))
        assert torch.equal(before.by_role[role], scans[role])


class Ramp(Step):
    """Its values depend on where a voxel lies."""

    name = "ramp"

    def apply(self, volume, role, grid, params):
        return self.apply_part(volume, (), tuple(map(range, grid.shape)), role, grid, params)

    def apply_part(self, part, given, wanted, role, grid, params):
        return part * torch.tensor(list(wanted[0]))[:, None, None]


def test_slices_that_are_changed_one_by_one_know_where_they_lie(monkeypatch):
    monkeypatch.setattr(parts, "SLAB_VOXELS", 1)
    before, _, _ = case_of()
    done, trace = forward([Resampling(target=TARGET), Ramp()], before, GRID)
    z, y, x = map(range, trace.target.shape)
    part = forward_part(trace, before.by_role[LABEL], LABEL, (z[::-1], y, x[1:]))
    assert torch.equal(part, done.by_role[LABEL].flip(1)[..., 1:])


def test_no_part_is_a_view_of_the_scan():
    trace = Trace(GRID)
    label = volumes_on(GRID).by_role[LABEL]
    part = forward_part(trace, label, LABEL, tuple(map(range, GRID.shape)))
    assert torch.equal(part, label)
    part[:] = 9
    assert label.max() == 3


def test_a_volume_of_another_grid_is_refused():
    _, _, trace = case_of()
    with pytest.raises(ResamplingError, match=r"the image has \(2, 2, 2\) voxels"):
        forward_part(trace, torch.ones(1, 2, 2, 2), IMAGE, (range(1),) * 3)


def test_another_target_is_the_same_recipe_there():
    _, _, trace = case_of(grid="nnunet", orientation="SPL", label_map={3: 1, 1: 1})
    finer = with_target(trace, (0.9, 0.8, 0.7))
    turned = next(one.grid_in for one in trace.steps if isinstance(one.step, Resampling))
    assert finer.target == target_grid(turned, (0.9, 0.8, 0.7), "nnunet")
    assert Trace.from_json(finer.to_json()) == finer
    assert finer.params("normalization") == trace.params("normalization")


def test_a_grid_of_ones_own_must_be_the_last_one():
    _, _, trace = case_of()
    own = Grid((3, 4, 5), trace.target.part((1, 1, 1), (2, 2, 2)).affine)
    assert onto_grid(trace, own).target == own
    flipped = Trace(GRID, (*trace.steps, *forward([Flipped()], volumes_on(own), own)[1].steps))
    with pytest.raises(ResamplingError, match="a step after the resampling changes the grid"):
        onto_grid(flipped, own)
    with pytest.raises(ResamplingError, match="the case was not resampled"):
        onto_grid(Trace(GRID), own)


class Flipped(Turned):
    name = "flipped"

    def turn(self, grid):
        return Turn(reverse=(True, False, False))


def test_a_step_that_needs_a_whole_volume_is_named():
    require_parts([LabelCast(), Resampling(target=TARGET)])
    steps: list[Step] = [LabelCast(), LabelOutside()]
    with pytest.raises(
        ResamplingError, match=r"the step 'label_outside' makes no parts .* let a run write the volumes"
    ):
        require_parts(steps)
