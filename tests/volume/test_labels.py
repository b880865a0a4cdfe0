"""Casting and counting labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import LabelError
from monai_mriprep.volume import labels
from monai_mriprep.volume.label_map import renumbered_histogram
from monai_mriprep.volume.labels import (
    apply_cast,
    label_histogram,
    narrowed,
    plan_cast,
    renumbered,
    require_clear_map,
    vanished_labels,
)

SIGNED = [torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64]


def label_of(*values: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype).reshape(1, 1, 1, -1)


def cast_label(label: torch.Tensor, name: str = "label") -> tuple[torch.Tensor, int]:
    dtype, n_negative = plan_cast(label, name)
    return apply_cast(label, dtype, n_negative), n_negative


@pytest.mark.parametrize("dtype", SIGNED)
def test_negative_becomes_background(dtype):
    label = label_of(0, 5, -1, -100, 127, dtype=dtype)
    before = label.clone()
    cast, n_negative = cast_label(label)
    assert cast.dtype == torch.int8
    assert cast.flatten().tolist() == [0, 5, 0, 0, 127]
    assert n_negative == 2
    assert torch.equal(label, before)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 127], torch.uint8, torch.int8),
        ([0, 128], torch.uint8, torch.int16),
        ([0, 255], torch.uint8, torch.int16),
        ([0, 1], torch.bool, torch.int8),
        ([-128, 127], torch.int8, torch.int8),
        ([-32768, 128], torch.int16, torch.int16),
        ([0, 32767], torch.int32, torch.int16),
        ([0, 32767], torch.float32, torch.int16),
        ([-5, -7], torch.int32, torch.int8),
        ([1e-3, 1.9995, 2.0009, -0.0005], torch.float32, torch.int8),
    ],
)
def test_smallest_safe_type(values, dtype, expected):
    cast, _ = cast_label(label_of(*values, dtype=dtype))
    assert cast.dtype == expected
    assert cast.flatten().tolist() == np.rint(values).clip(0).tolist()


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.float32])
def test_the_result_is_a_new_tensor(dtype):
    label = label_of(0, 1, dtype=dtype)
    cast_label(label)[0].add_(1)
    assert label.flatten().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(32768, torch.int32), (65535, torch.int32), (2**40, torch.int64), (32768, torch.float32), (1e30, torch.float32)],
)
def test_large_values_are_refused(value, dtype):
    with pytest.raises(LabelError, match=r"seg\.mha: label value \d+(e\+\d\d)? is over 32767"):
        cast_label(label_of(0, value, dtype=dtype), "seg.mha")


@pytest.mark.parametrize("value", [0.5, 1.0011, -0.3, float("nan"), float("inf"), float("-inf")])
def test_values_between_integers_are_refused(value):
    with pytest.raises(LabelError, match=rf"seg\.mha: label value {value:g} is not an integer"):
        cast_label(label_of(0, value, 1, dtype=torch.float64), "seg.mha")


@given(st.lists(st.integers(-300, 33000), min_size=1, max_size=40))
def test_no_value_ever_wraps(values):
    label = label_of(*values, dtype=torch.int32)
    if max(values) > 32767:
        with pytest.raises(LabelError):
            cast_label(label)
    else:
        cast, n_negative = cast_label(label)
        assert cast.flatten().tolist() == np.clip(values, 0, None).tolist()
        assert n_negative == sum(value < 0 for value in values)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 3, 3, 200], torch.uint8),
        ([-128, -3, 127, 127], torch.int8),
        ([-32768, 0, 32767], torch.int16),
        ([7, 2_000_000, -5, 7], torch.int32),
        ([5, 5, 9], torch.int64),
        ([1.0, 2.0, 0.9999], torch.float32),
        ([True, False, True], torch.bool),
    ],
)
def test_histogram_equals_numpy(values, dtype):
    found, counts = np.unique(np.rint(np.asarray(values, dtype=np.float64)), return_counts=True)
    histogram = label_histogram(label_of(*values, dtype=dtype))
    assert histogram == dict(zip(found.astype(int).tolist(), counts.tolist(), strict=True))
    assert {type(number) for pair in histogram.items() for number in pair} == {int}


def test_vanished_labels_are_positive_and_sorted():
    assert vanished_labels({-1: 4, 0: 9, 7: 1, 3: 2, 5: 5}, {5: 1}) == [3, 7]


# --- In parts ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[torch.int16, torch.int64, torch.float64])
def noise(request) -> torch.Tensor:
    values = np.random.default_rng(0).integers(-3, 200, (1, 5, 6, 7))
    return torch.from_numpy(values).to(request.param)


@pytest.mark.parametrize("voxels", [1, 8, 41, 10**6])
def test_parts_give_what_the_whole_gives(noise, voxels, monkeypatch):
    monkeypatch.setattr(labels, "PART_VOXELS", voxels)
    found, counts = np.unique(noise.numpy(), return_counts=True)
    assert label_histogram(noise) == dict(zip(found.astype(int).tolist(), counts.tolist(), strict=True))
    assert plan_cast(noise) == ("int16", int((noise < 0).sum()))
    cast, _ = cast_label(noise)
    assert np.array_equal(cast.numpy(), noise.numpy().clip(0).astype(np.int16))


def test_a_fraction_in_a_later_part_is_found(monkeypatch):
    monkeypatch.setattr(labels, "PART_VOXELS", 4)
    with pytest.raises(LabelError, match=r"label value 2\.5 is not an integer"):
        plan_cast(label_of(*[1] * 9, 2.5, *[0] * 6))


def test_an_array_that_is_not_contiguous_is_cast_in_place_and_order(noise):
    turned = noise.permute(0, 3, 1, 2)
    assert np.array_equal(cast_label(turned)[0].numpy(), turned.numpy().clip(0))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16", "uint32", "uint64", "float32", "float64"])
def test_a_label_that_int16_holds_exactly_takes_16_bits(dtype):
    values = np.array([[[0, 1, 32767]]], dtype)
    assert narrowed(values).dtype == np.int16
    assert np.array_equal(narrowed(values), values)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 32768], "int64"),
        ([-32769, 0], "int64"),
        ([0, 65535], "uint16"),
        ([2**63], "uint64"),
        ([1.0, 1.0001], "float64"),
        ([1e30], "float32"),
        ([7], "uint8"),
        ([-7], "int8"),
        ([-7], "int16"),
    ],
)
def test_a_label_that_16_bits_would_change_or_not_shrink_is_handed_back(values, dtype):
    label = np.array([[values]], dtype)
    assert narrowed(label) is label


MAP = {2: 1, 1: 1, 7: 0, -3: 9, 40000: 300}


@pytest.mark.parametrize("dtype", [*SIGNED, torch.uint8])
def test_renumbered_as_by_a_dictionary(dtype):
    low, high = (-8, 9) if dtype.is_signed else (0, 9)
    values = np.random.default_rng(1).integers(low, high, 3000)
    label = torch.from_numpy(values).to(dtype).reshape(1, 10, 15, 20)
    before = label.clone()
    result = renumbered(label, MAP)
    assert result.shape == label.shape
    assert result.dtype == torch.promote_types(dtype, torch.int16)
    assert result.flatten().tolist() == [MAP.get(value, value) for value in values.tolist()]
    assert torch.equal(label, before)
    assert renumbered_histogram(label_histogram(label), MAP) == label_histogram(result)


def test_renumbered_part_by_part(monkeypatch):
    monkeypatch.setattr(labels, "PART_VOXELS", 7)
    assert renumbered(label_of(*range(20)), {3: 50, 19: 4}).flatten().tolist() == [*range(3), 50, *range(4, 19), 4]


def test_a_label_above_all_that_the_map_names_stays():
    assert renumbered(label_of(1, 2, 9), {1: 5}).flatten().tolist() == [5, 2, 9]


def test_numbers_that_no_type_of_the_file_holds():
    assert renumbered(label_of(5, 0, dtype=torch.uint8), {5: 32767}).flatten().tolist() == [32767, 0]
    assert renumbered(label_of(40000, 1, dtype=torch.int32), MAP).flatten().tolist() == [300, 1]
    assert renumbered(label_of(1e-4, 1.9995, 7.0004), MAP).flatten().tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("values", "new_numbers"),
    [
        ([0, 1, 2, 3], {2: 1, 1: 1}),  # both named: merged
        ([0, 2, 3], {2: 1}),
        ([0, 1, 2], {1: 2, 2: 1}),
        ([0, 1, 5], {1: 0}),
        ([0, 1, 5], {1: 1}),
        ([-1, 0, 3], {3: 7}),
    ],
    ids=str,
)
def test_a_clear_map(values, new_numbers):
    require_clear_map(label_of(*values), new_numbers)


def test_a_merge_that_the_map_does_not_name_is_refused_even_where_the_other_label_does_not_occur():
    words = (
        r"a\.mha: label 1 occurs, which the label_map does not name, and 1 is the new number of 2, 3: .*`1: 1` if they"
    )
    for values in ([0, 1, 2], [0, 1]):
        with pytest.raises(LabelError, match=words):
            require_clear_map(label_of(*values, dtype=torch.uint8), {2: 1, 3: 1}, "a.mha")


def test_what_is_no_class_number_is_refused_before_it_is_renumbered():
    with pytest.raises(LabelError, match=r"label value 1\.4 is not an integer"):
        require_clear_map(label_of(0, 1.4), {1: 2})


def test_any_number_of_threads_counts_the_same(threads, monkeypatch):
    monkeypatch.setattr(labels, "PART_VOXELS", 600)
    label = torch.from_numpy(np.random.default_rng(0).integers(0, 5, (1, 30, 20, 50)).astype(np.int8))
    counts = []
    for count in (1, 2, 5):
        threads(count)
        counts.append(label_histogram(label))
    assert counts == [dict(enumerate(np.bincount(label.numpy().ravel()).tolist()))] * 3
