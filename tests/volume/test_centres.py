"""Where patches are put, beside MONAI's cropping and padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import SpatialPad
from monai.transforms.utils import correct_crop_centers

from monai_mriprep.volume.centres import draw_centre, missing_classes, start_around, start_of_padded
from monai_mriprep.volume.class_index import ClassIndex

INDEX = ClassIndex((2, 3, 4), {0: 20, 2: 4}, {0: np.arange(10), 2: np.array([13, 15, 20, 23])})


def test_classes_are_drawn_by_their_ratios_and_voxels_evenly():
    random = np.random.RandomState(0)
    drawn = [draw_centre(INDEX, [1, 0, 3], random) for _ in range(2000)]
    flat = np.ravel_multi_index(np.transpose(drawn), INDEX.shape)
    assert np.mean(flat >= 13) == pytest.approx(0.75, abs=0.03)
    values, counts = np.unique(flat, return_counts=True)
    assert values.tolist() == [*range(10), 13, 15, 20, 23]
    assert counts[:10] == pytest.approx(np.full(10, 50), abs=25)
    assert counts[10:] == pytest.approx(np.full(4, 375), abs=70)


def test_of_a_class_that_is_missing_the_others_take_the_share():
    random = np.random.RandomState(0)
    assert {draw_centre(INDEX, [0, 5, 1], random)[0] for _ in range(20)} == {1}
    assert draw_centre(INDEX, [0, 5], random) is None
    assert missing_classes(INDEX, [1, 5, 1, 0, 2]) == [1, 4]


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_patch_lies_where_monai_puts_its_crop_or_its_padding(n, size, data):
    centre = data.draw(st.integers(0, n - 1))
    start, _, _ = start_around((centre, 0, 0), (size, 1, 1), (n, 1, 1))
    if size <= n:
        (corrected, *_) = correct_crop_centers([centre], [size], [n])
        assert start == corrected - size // 2
    else:
        padded = SpatialPad([size])(torch.ones(1, n))[0]
        assert start == start_of_padded(n, size) == -int(padded.argmax())
