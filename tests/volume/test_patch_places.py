"""Where patches lie, with MONAI as the oracle: the same voxels of one generator, not only the same distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import SpatialPad
from monai.transforms.utils import (
    correct_crop_centers,
    generate_label_classes_crop_centers,
    map_classes_to_indices,
)
from scipy import stats

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.class_index import PER_CLASS, ClassIndex, sample_classes
from monai_mriprep.volume.labels import label_histogram
from monai_mriprep.volume.patch_places import any_centre, check_ratios, draw_centres, missing_classes, patch_start

SIZE = (4, 5, 6)


def small_label() -> np.ndarray:
    """Few enough voxels that the index has all of each class; 2 is missing."""
    label = np.zeros((8, 9, 7), np.int8)
    label[2:5, 3:6, 1:4], label[0, 0, 0] = 1, 3
    return label


def index_of(label: np.ndarray) -> ClassIndex:
    return sample_classes(label, label_histogram(torch.from_numpy(label)), "case")


@pytest.mark.parametrize("ratios", [(1, 1, 1, 1), (0, 1, 0, 3), (2.5, 0.5, 0, 0), None])
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.filterwarnings("ignore:no available indices:UserWarning")
def test_the_same_seed_draws_the_centres_that_monai_draws(ratios, count):
    label = small_label()
    index, indices = index_of(label), map_classes_to_indices(label[None], 4)
    given = None if ratios is None else list(ratios)
    for seed in range(40):
        ours, theirs = np.random.RandomState(seed), np.random.RandomState(seed)
        centres = draw_centres(index, ratios, count, ours)
        starts = [patch_start(centre, SIZE, label.shape) for centre in centres]
        expected = generate_label_classes_crop_centers(SIZE, count, label.shape, indices, given, theirs, True)
        assert starts == [tuple(c - own // 2 for c, own in zip(centre, SIZE, strict=True)) for centre in expected]
        assert ours.randint(1 << 30) == theirs.randint(1 << 30)  # no number more was taken


def test_classes_are_drawn_by_their_ratios_and_centres_uniformly_over_the_sample():
    label = np.zeros((12, 60, 50), np.int8)
    label[3:9, 10:40, 10:40], label[5, 20:25, 20:22] = 1, 2
    index = index_of(label)
    centres = draw_centres(index, (1, 2, 1), 40_000, np.random.RandomState(7))
    flat = np.ravel_multi_index(centres.T, label.shape)
    classes = label.reshape(-1)[flat]
    assert stats.chisquare(np.bincount(classes), [10_000, 20_000, 10_000]).pvalue > 1e-3
    for value, kept in ((0, PER_CLASS), (1, PER_CLASS), (2, 10)):
        places, seen = np.unique(flat[classes == value], return_counts=True)
        assert np.array_equal(places, index.places[value])
        assert len(places) == kept
        assert stats.chisquare(seen).pvalue > 1e-3


@pytest.mark.parametrize("ratios", [(0, 0, 1), (0, 0, 1, 0, 5)])
def test_of_a_label_without_any_class_that_has_a_ratio_no_centre_is_drawn(ratios):
    assert draw_centres(index_of(small_label()), ratios, 1, np.random.RandomState(0)) is None
    nothing = ClassIndex((3, 4, 5), {}, {})
    assert draw_centres(nothing, None, 1, np.random.RandomState(0)) is None


def test_each_place_of_a_patch_has_the_same_chance():
    random, shape, size = np.random.RandomState(0), (5, 4, 3), (2, 3, 7)
    starts = [patch_start(any_centre(size, shape, random), size, shape) for _ in range(4000)]
    values, counts = np.unique(starts, axis=0, return_counts=True)
    assert values.tolist() == [[z, y, -2] for z in range(4) for y in range(2)]
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("ratios", [(), (0, 0), (1, -1), (1, float("nan")), (1, float("inf"))])
def test_ratios_by_which_no_class_can_be_drawn_are_refused(ratios):
    with pytest.raises(ResamplingError, match="one number a class, from class 0 on"):
        check_ratios(ratios)


def test_other_ratios_are_taken():
    assert (check_ratios([0, 1.5]), check_ratios(None)) == ((0, 1.5), None)


def test_classes_that_are_not_there_are_named():
    index = index_of(small_label())
    assert missing_classes(index, (0, 1, 2, 1, 1, 0)) == [2, 4]
    assert missing_classes(index, None) == []


AXES = st.tuples(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1, exclude_max=True))


@given(st.tuples(AXES, AXES, AXES))
def test_a_patch_lies_where_monai_crops_and_pads_it(axes):
    shape, size = tuple(axis[0] for axis in axes), tuple(axis[1] for axis in axes)
    centre = [int(axis[0] * axis[2]) for axis in axes]
    start = patch_start(centre, size, shape)
    padded = SpatialPad(size).compute_pad_width(shape)[1:]
    for axis, (before, _) in enumerate(padded):
        if size[axis] > shape[axis]:
            assert start[axis] == -before
        else:
            own = correct_crop_centers(centre, size, shape, allow_smaller=True)[axis]
            assert start[axis] == own - size[axis] // 2
            assert 0 <= start[axis] <= shape[axis] - size[axis]
