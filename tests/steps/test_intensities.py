"""What all steps share that scale an image by its foreground."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep.errors import ResamplingError, VoxelError
from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.intensities import Intensities
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.steps.percentile_range import PercentileRange
from monai_mriprep.steps.unscaled import Unscaled
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, PREDICTION, Role
from tests.steps.cases import GRIDS, unlike_foregrounds, volumes_on

GRID = GRIDS["oblique"]


@pytest.fixture(params=Intensities.__subclasses__(), ids=lambda step: step.name)
def kind(request) -> type[Intensities]:
    return request.param


def test_these_are_all():
    assert Intensities.__subclasses__() == [Normalization, PercentileRange, Unscaled]


@pytest.mark.parametrize("over", ["nonzero", "positive", "foreground"])
def test_the_moments_of_the_foreground_are_those_of_the_image_before(kind, over):
    volumes, foregrounds = unlike_foregrounds(volumes_on(GRID, channels=2))
    _, trace = forward([kind(over=over)], volumes, GRID)
    for channel, values in enumerate(volumes.by_role[IMAGE].double().numpy()):
        inside = values[foregrounds[over][channel]]
        found = [trace.steps[0].params[name][channel] for name in ("mean", "std", "voxels")]
        assert found == pytest.approx([inside.mean(), inside.std(), inside.size], rel=1e-12)


def test_the_mask_goes_and_the_label_stays(kind):
    volumes = volumes_on(GRID)
    done, _ = forward([kind(over="foreground")], volumes, GRID)
    assert list(done.by_role) == [IMAGE, LABEL]
    assert done.by_role[LABEL] is volumes.by_role[LABEL]
    assert done.by_role[IMAGE].dtype == torch.float32


def test_a_prediction_keeps_its_values(kind):
    done, trace = forward([kind()], volumes_on(GRID), GRID)
    scaled = done.by_role[IMAGE]
    assert backward(trace, scaled, PREDICTION)[0] is scaled


def test_a_mask_that_no_step_has_added_is_asked_for(kind):
    image = Volumes({IMAGE: volumes_on(GRID).by_role[IMAGE]})
    with pytest.raises(ResamplingError, match="need its mask: put the step 'foreground' before the normalization"):
        forward([kind(over="foreground")], image, GRID)


def test_of_two_images_neither_is_scaled_by_the_others_foreground(kind):
    image = volumes_on(GRID).by_role[IMAGE]
    two = Volumes({IMAGE: image, Role("adc", "", "image"): 2 * image})
    with pytest.raises(ResamplingError, match="not of image, adc: stack them as channels"):
        forward([kind()], two, GRID)


def test_magnitudes_that_float32_cannot_hold_name_the_file(kind):
    image = torch.full((1, *GRID.shape), 1e39, dtype=torch.float64)
    with pytest.raises(VoxelError, match=r"scan\.mha: holds the value 1e\+39"):
        forward([kind()], Volumes({IMAGE: image}, {IMAGE: "scan.mha"}), GRID)


def test_the_mask_that_came_along_counts_and_not_the_zeros(kind):
    volumes = volumes_on(GRID)
    mask = torch.from_numpy(np.random.default_rng(8).random((1, *GRID.shape)) < 0.3)
    other = Volumes({**volumes.by_role, FOREGROUND: mask})
    _, trace = forward([kind(over="foreground")], other, GRID)
    assert trace.steps[0].params["voxels"] == [int(mask.sum())]
