"""Z-scores as nnU-Net makes them: in float32, before the resampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep.errors import VoxelError
from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.crop import FilledCrop
from monai_mriprep.steps.exact_normalization import ExactNormalization
from monai_mriprep.steps.transposition import Transposition
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of

SHAPE = (9, 41, 37)
GRID = Grid(SHAPE, affine_of((3.0, 1.0, 0.8), 12))


def image_of(channels: int = 2) -> torch.Tensor:
    """Bright, and empty at the upper ends of y and x, so that the crop is no block of memory."""
    voxels = np.random.default_rng(3).integers(800, 1000, (channels, *SHAPE)).astype(np.int16)
    voxels[:, :, -3:], voxels[..., -5:], voxels[:, 2:4, 7:9, 5:8] = 0, 0, 0
    return torch.from_numpy(voxels)


def scores_of(crop: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
    """In numpy's float32, of one channel."""
    chosen = crop if inside is None else crop[inside]
    scores = (crop - chosen.mean()) / max(chosen.std(), np.float32(1e-8))
    return scores if inside is None else np.where(inside, scores, crop)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_moments_are_those_of_a_view_of_the_whole_scan(order):
    image = 1.1 * image_of(8)  # sums that are rounded, in most channels otherwise in a copy
    image[:, 0, :9] = 0  # outside of the mask, but within the crop
    steps = [Transposition(order=order), FilledCrop(), ExactNormalization()]
    done, trace = forward(steps, Volumes({IMAGE: image}), GRID)
    view = image.numpy().astype(np.float32)[:, :, :-3, :-5].transpose(0, *(axis + 1 for axis in order))
    assert trace.params("exact_normalization")["mean"] == [float(channel.mean()) for channel in view]
    assert trace.params("exact_normalization")["std"] == [float(channel.std()) for channel in view]
    assert np.array_equal(done.by_role[IMAGE].numpy(), np.stack([*map(scores_of, view)]))
    assert FOREGROUND not in done.by_role


def test_over_the_mask_the_outside_stays_as_it_is():
    image = image_of(1)
    image[0, :, 5] = 0  # an open gap: outside, where the block of zeros is a hole
    image[0, :, 5, 20:30] = 900
    done, trace = forward([FilledCrop(), ExactNormalization(over="foreground")], Volumes({IMAGE: image}), GRID)
    crop = image.numpy().astype(np.float32)[0, :, :-3, :-5]
    inside = crop != 0
    inside[2:4, 7:9, 5:8] = True
    assert np.array_equal(done.by_role[IMAGE][0].numpy(), scores_of(crop, inside))
    assert trace.params("exact_normalization")["voxels"] == [int(inside.sum())]


def test_outside_of_a_mask_nothing_changes_and_gradients_do_not_matter():
    image = image_of(1).float().requires_grad_()
    mask = torch.arange(SHAPE[0]).reshape(1, -1, 1, 1).expand(1, *SHAPE) < 4
    done, _ = forward([ExactNormalization(over="foreground")], Volumes({IMAGE: image, FOREGROUND: mask}), GRID)
    voxels = image[0].detach().numpy()
    assert np.array_equal(done.by_role[IMAGE][0].detach().numpy(), scores_of(voxels, mask[0].numpy()))


def test_where_a_label_came_alone_there_is_nothing_to_scale():
    label = torch.ones(1, *SHAPE)
    done, _ = forward([ExactNormalization(over="foreground")], Volumes({LABEL: label, FOREGROUND: label > 0}), GRID)
    assert torch.equal(done.by_role[LABEL], label)


@pytest.mark.filterwarnings("ignore:.*is constant")
def test_a_constant_image_is_divided_by_what_nnunet_divides_by():
    image = torch.full((1, *SHAPE), 0.1)
    done, _ = forward([ExactNormalization()], Volumes({IMAGE: image}), GRID)
    assert np.array_equal(done.by_role[IMAGE][0].numpy(), scores_of(image[0].numpy()))


@pytest.mark.filterwarnings("ignore:.*is (empty|constant)", "ignore:.*0 everywhere")
def test_an_empty_scan_stays_as_it_is():
    image = torch.zeros(1, *SHAPE)
    for over in ("all", "foreground"):
        done, trace = forward([FilledCrop(), ExactNormalization(over=over)], Volumes({IMAGE: image}), GRID)
        assert not done.by_role[IMAGE].any()
    assert trace.params("exact_normalization")["voxels"] == [0]


def test_an_image_gets_its_units_back():
    image = image_of()
    done, trace = forward([ExactNormalization()], Volumes({IMAGE: image}), GRID)
    back, _ = backward(trace, done.by_role[IMAGE], IMAGE)
    np.testing.assert_allclose(back.numpy(), image.numpy(), atol=1e-3)


@pytest.mark.parametrize("largest", [1e22, 1e38])
def test_values_whose_sums_float32_does_not_hold_are_refused_by_name(largest):
    image = image_of(1).float() * (largest / 1000)
    with pytest.raises(VoxelError, match=r"image: .*deviation (inf|nan).*float32, which cannot hold.*repair the scan"):
        forward([FilledCrop(), ExactNormalization()], Volumes({IMAGE: image}), GRID)
