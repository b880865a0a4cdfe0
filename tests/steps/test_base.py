"""What a step and a case are by themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from monai_mriprep.errors import MriprepWarning, RecipeError, ResamplingError
from monai_mriprep.steps import Step, Volumes, makes_parts
from monai_mriprep.steps.crop import NonZeroCrop
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.steps.unscaled import Unscaled
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, Role
from tests.steps.cases import GRIDS, volumes_on

GRID = GRIDS["straight"]


class Idle(Step):
    """Says nothing, so it does nothing."""

    name = "idle"
    share: float = 0.5


def test_a_step_that_overrides_nothing_does_nothing():
    step, volumes = Idle(), volumes_on(GRID)
    params = step.plan(volumes, GRID)
    assert params == {}
    assert step.grid(GRID) is step.grid(GRID, params) is GRID
    assert step.carry_out(volumes, GRID, params).by_role == volumes.by_role
    assert step.invert(volumes.by_role[LABEL], LABEL, GRID, params) is volumes.by_role[LABEL]
    assert step.working_bytes(GRID) == 0
    assert not step.depends_on_voxels


def test_settings_are_frozen_and_strict():
    with pytest.raises(ValidationError, match="frozen"):
        Idle().share = 1.0
    for settings in ({"shrae": 1.0}, {"share": "1"}, {"share": True}):
        with pytest.raises(ValidationError):
            Idle(**settings)
    assert Idle(share=1) == Idle(share=1.0)


def test_a_step_is_read_by_its_name():
    assert Step.from_json({"step": "crop", "margin": 2}) == NonZeroCrop(margin=2.0)
    assert isinstance(NonZeroCrop.from_json("crop"), NonZeroCrop)
    with pytest.raises(RecipeError, match="'label_cast' is registered, but is no NonZeroCrop"):
        NonZeroCrop.from_json("label_cast")


def test_volumes_by_kind_and_by_name():
    volumes = Volumes(volumes_on(GRID).by_role, {IMAGE: "scan.mha"}, np.eye(3))
    assert volumes.image == (IMAGE, volumes.by_role[IMAGE])
    assert [list(volumes.of_kind(role.kind)) for role in (IMAGE, LABEL, FOREGROUND)] == [[IMAGE], [LABEL], [FOREGROUND]]
    assert (volumes.name(IMAGE), volumes.name(LABEL)) == ("scan.mha", "label")
    with pytest.warns(MriprepWarning, match=r"^scan\.mha: is odd$") as caught:
        volumes.warn(IMAGE, "is odd")
    assert len(caught) == 1


def test_the_first_of_two_images_counts():
    image, second = torch.zeros(1, *GRID.shape), torch.ones(1, *GRID.shape)
    by_role = {LABEL: image, IMAGE: image, Role("second", "", IMAGE.kind): second}
    role, found = Volumes(by_role).image
    assert role is IMAGE
    assert found is image


def test_other_volumes_of_the_same_case():
    label = torch.zeros(1, *GRID.shape)
    volumes = Volumes(volumes_on(GRID).by_role, {IMAGE: "scan.mha"}, np.eye(3))
    other = volumes.replaced({LABEL: label})
    assert dict(other.by_role) == {LABEL: label}
    assert other.files is volumes.files
    assert other.direction is volumes.direction
    assert len(volumes.by_role) == 3


@pytest.mark.parametrize(("by_role", "found"), [({}, "no volumes"), ({LABEL: torch.zeros(1, 1, 1, 1)}, "label")])
def test_where_there_is_no_image_it_is_said(by_role, found):
    with pytest.raises(ResamplingError, match=f"there is no image among {found}"):
        Volumes(by_role).image  # noqa: B018


class Smoothed(Unscaled):
    """Changes what is done to a volume, and not what is done to a part."""

    name = "smoothed"

    def apply(self, volume, role, grid, params):
        return volume


class SmoothedByParts(Smoothed):
    name = "smoothed_by_parts"

    def apply_part(self, part, given, wanted, role, grid, params):
        return part


def test_a_class_makes_parts_only_by_what_belongs_to_its_whole():
    assert not makes_parts(Idle())
    assert makes_parts(Unscaled())
    assert not makes_parts(Smoothed())
    with pytest.raises(ResamplingError, match="the step 'idle' makes no parts of a volume"):
        Idle().apply_part(torch.ones(1, 1, 1, 1), (), (), IMAGE, GRID, {})
    assert makes_parts(SmoothedByParts())
    assert makes_parts(Resampling(target=(1, 1, 1)))
    assert not makes_parts(Resampling(target=(1, 1, 1), clip=True))
