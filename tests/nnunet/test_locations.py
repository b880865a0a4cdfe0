"""The voxels of each class that nnU-Net draws."""

from __future__ import annotations

import numpy as np
import pytest

from monai_mriprep.nnunet.locations import class_locations


@pytest.fixture(scope="module")
def label() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.choice([-1, 0, 1, 2, 3, 300], (1, 30, 40, 41), p=[0.2, 0.3, 0.1, 0.38, 0.01, 0.01]).astype(np.int16)


CLASSES = {
    "classes": [1, 2, 3, 4, 300],
    "of numpy": list(np.arange(1, 5)),
    "regions": [(1, 2, 3), [2, 3], (300,), (7, 8), (3, 2)],
    "an ignore label": [1, 2, [-1, 0, 1, 2]],
    "none": [],
    "absent": [9, (8, 9)],
}


@pytest.mark.parametrize("name", CLASSES)
def test_they_are_those_of_nnunet(label, name):
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    from tests.nnunet.same import assert_same_properties

    for one in (label, np.zeros_like(label), label.astype(np.int8)):
        stock = DefaultPreprocessor._sample_foreground_locations(one.astype(np.float32), CLASSES[name])
        assert_same_properties(stock, class_locations(one, CLASSES[name]))


def test_they_are_voxels_of_the_class_and_none_is_drawn_twice(label):
    found = class_locations(label, [2, 3, (1, 300)])
    assert [len(places) for places in found.values()] == [10_000, (label == 3).sum(), np.isin(label, (1, 300)).sum()]
    for key, places in found.items():
        assert set(label[tuple(places.T)].tolist()) == set(key if isinstance(key, tuple) else (key,))
        assert len(np.unique(places, axis=0)) == len(places)


def test_of_many_voxels_one_in_a_hundred_is_drawn():
    assert len(class_locations(np.ones((1, 10, 320, 330), np.int8), [1])[1]) == 10_560
    assert len(class_locations(np.ones((1, 1, 1009, 1009), np.int8), [1])[1]) == 10_181, "rounded up"
