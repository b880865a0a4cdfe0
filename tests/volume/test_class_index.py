"""The sample of the voxels of each class: whose they are, how many, that all are equally likely, how they are told."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monai_mriprep.errors import RecordError
from monai_mriprep.volume import class_index
from monai_mriprep.volume.class_index import IN_ALL, PER_CLASS, ClassIndex, sample_classes
from monai_mriprep.volume.labels import label_histogram

SHAPE = (2, 3, 4)


def sampled(label: np.ndarray, name: str = "case") -> ClassIndex:
    return sample_classes(label, label_histogram(torch.from_numpy(label)), name)


def lesions(shape=(20, 60, 50), seed: int = 0) -> np.ndarray:
    """Much background, an organ, and a lesion of 9 voxels."""
    label = np.zeros(shape, np.int8)
    label[5:15, 20:40, 10:30] = 1
    label[6, 21:24, 12:15] = 3
    return label


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_each_class_has_voxels_of_its_own_in_ascending_order(dtype):
    label = lesions().astype(dtype)
    index = sampled(label)
    assert index.shape == label.shape
    assert index.voxels == {0: 56_000, 1: 3991, 3: 9}
    assert {value: len(places) for value, places in index.places.items()} == {0: PER_CLASS, 1: PER_CLASS, 3: 9}
    for value, places in index.places.items():
        assert (label.reshape(-1)[places] == value).all()
        assert (np.diff(places) > 0).all()
    assert np.array_equal(index.places[3], np.flatnonzero(label == 3))


def test_many_classes_share_the_room():
    label = (np.arange(40 * 50 * 60) % 100).reshape(40, 50, 60).astype(np.int8)
    assert {len(places) for places in sampled(label).places.values()} == {IN_ALL // 100}
    values = np.arange(30_000, dtype=np.int16).reshape(30, 40, 25)
    assert sampled(values).voxels == dict.fromkeys(range(IN_ALL), 1)


def test_what_is_below_0_is_no_class():
    label = lesions()
    label[:5] = -1
    assert sampled(label).voxels == {0: 41_000, 1: 3991, 3: 9}


def test_a_class_alone_and_one_that_fills_the_volume_but_for_a_voxel():
    assert sampled(np.full((3, 4, 5), 2, np.int8)).places[2].tolist() == list(range(60))
    label = np.ones((30, 50, 40), np.int8)
    label[29, 49, 39] = 0
    assert sampled(label).places[0].tolist() == [label.size - 1]


def test_one_name_draws_the_same_and_another_one_others():
    label = lesions()
    assert sampled(label, "a").to_json() == sampled(label, "a").to_json() != sampled(label, "b").to_json()
    assert sampled(label, "\udcff").voxels == sampled(label, "a").voxels  # a name that is not text


def test_the_draw_is_that_of_the_first_release():
    """numpy has promised that its old generator stays as it is."""
    index = sampled(lesions(), "case")
    assert index.places[0][:4].tolist() == [39, 111, 135, 145]
    assert index.places[1][:4].tolist() == [16066, 16067, 16075, 16078]


@pytest.mark.parametrize(
    ("count", "part"), [(20_000, 1 << 20), (700, 1 << 20), (700, 9000)], ids=["common", "rare", "rare-in-parts"]
)
def test_every_voxel_of_a_class_is_equally_likely(count, part, monkeypatch):
    """By chi-square over eight parts of the class: drawn from the whole volume, and of all voxels of the class."""
    monkeypatch.setattr(class_index, "PART_VOXELS", part)
    monkeypatch.setattr(class_index, "PER_CLASS", 64)
    monkeypatch.setattr(class_index, "DRAWN", 2048)
    label = np.zeros((10, 60, 100), np.int8)
    own = np.sort(np.random.RandomState(1).permutation(label.size)[:count])
    label.reshape(-1)[own] = 1
    counts = {0: label.size - count, 1: count}
    found = np.concatenate([np.searchsorted(own, sample_classes(label, counts, f"{n}").places[1]) for n in range(50)])
    seen = np.bincount(found * 8 // count, minlength=8)
    assert seen.sum() == 50 * 64
    assert stats.chisquare(seen).pvalue > 1e-3


def test_it_is_read_as_it_was_written():
    index = sampled(lesions())
    again = ClassIndex.from_json(index.to_json(), index.shape)
    assert again.voxels == index.voxels
    assert all(np.array_equal(again.places[value], places) for value, places in index.places.items())


@settings(max_examples=30)
@given(st.sets(st.integers(0, 2**62), min_size=1, max_size=40))
def test_places_of_any_size_are_read_as_they_were_written(places):
    index = ClassIndex((2**21, 2**21, 2**21), {7: 2**62}, {7: np.array(sorted(places), np.int64)})
    assert ClassIndex.from_json(index.to_json(), index.shape).places[7].tolist() == sorted(places)


def test_bytes_are_those_of_the_page():
    index = ClassIndex((10, 10, 10), {1: 5}, {1: np.array([0, 1, 128, 900])})
    assert index.to_json() == {"1": [5, "AAF/hAY="]}


def test_it_is_of_its_own_label_alone():
    label, other = lesions(), lesions()
    index = sampled(label)
    other[6, 22, 13] = 1
    assert index.is_of(label)
    assert not index.is_of(other)
    assert not index.is_of(label[1:])


def told(*numbers: int) -> str:
    return base64.b64encode(bytes(numbers)).decode()


BAD = {
    "no-mapping": [],
    "no-class": {"x": [1, told(0)]},
    "below-0": {"-1": [1, told(0)]},
    "too-high": {"40000": [1, told(0)]},
    "no-pair": {"1": told(0)},
    "no-count": {"1": [None, told(0)]},
    "no-base64": {"1": [1, "@@@@"]},
    "no-text": {"1": [1, 5]},
    "none-told": {"1": [1, ""]},
    "no-end": {"1": [1, told(128)]},
    "no-end-after-one": {"1": [1, told(3, 128)]},
    "too-long": {"1": [1, told(*[129] * 9, 0)]},
    "negative": {"1": [1, told(*[128] * 9, 1)]},
    "sum-too-large": {"1": [5, told(*([255] * 8 + [127]) * 3)]},
    "outside": {"1": [1, told(24)]},
    "twice": {"1": [2, told(3, 0)]},
    "more-than-there-are": {"1": [1, told(3, 1)]},
    "more-than-the-label": {"1": [25, told(3)]},
    "all-more-than-the-label": {"0": [20, told(3)], "1": [5, told(4)]},
    "of-two-classes": {"0": [5, told(3)], "1": [5, told(3)]},
    "endless-number": {"1": [float("inf"), told(0)]},
}


@pytest.mark.parametrize("facts", BAD.values(), ids=BAD)
def test_what_no_label_has_is_refused(facts):
    with pytest.raises(RecordError, match="index of its classes"):
        ClassIndex.from_json(facts, SHAPE)


PACKED = st.binary(max_size=12).map(lambda raw: base64.b64encode(raw).decode())


@given(st.dictionaries(st.sampled_from("0123"), st.tuples(st.integers(0, 30), PACKED).map(list), max_size=3))
def test_whatever_is_told_is_refused_or_possible(facts):
    try:
        index = ClassIndex.from_json(facts, SHAPE)
    except RecordError:
        return
    told = np.concatenate([*index.places.values(), np.zeros(0, np.int64)])
    assert len(np.unique(told)) == len(told) <= sum(index.voxels.values()) <= 24
    assert all(0 <= place < 24 for place in told)


def test_an_empty_one_is_that_of_a_label_without_classes():
    assert ClassIndex.from_json({}, SHAPE).places == {}
