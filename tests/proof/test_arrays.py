"""What a lock says of an array, beside plain numpy; and which arrays pass for it."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib

import numpy as np
import pytest
from pydantic import ValidationError

from monai_mriprep.errors import RecordError
from monai_mriprep.proof.arrays import TOLERANCE, ArrayFacts, array_facts, judged, places, require_same
from monai_mriprep.types import IMAGE, LABEL


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, 12, 40, 41)).astype(np.float32)


def test_the_sample_is_all_of_a_small_array_and_spread_over_a_large_one():
    assert places(7).tolist() == list(range(7))
    assert places(256).tolist() == list(range(256))
    found = places(10**9)
    assert len(set(found.tolist())) == 256
    assert set(np.histogram(found, 16, (0, 10**9))[0].tolist()) <= {15, 16, 17}
    assert found[:3].tolist() == [0, 618033988, 236067977], "multiples of the golden ratio"


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
def test_it_is_what_numpy_says(image, dtype):
    array = (image * 30).astype(dtype)
    found = array_facts(array)
    file = io.BytesIO()
    np.save(file, array)
    assert (found.dtype, found.shape, found.crc32) == (dtype, array.shape, zlib.crc32(file.getvalue()))
    assert found.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
    assert (found.low, found.high) == (array.min(), array.max())
    assert np.array_equal(found.values(), array.ravel()[places(array.size)])
    assert ArrayFacts.model_validate_json(found.model_dump_json()) == found


def test_the_same_array_passes_however_it_lies_in_memory(image):
    locked = array_facts(image)
    turned = np.asfortranarray(image)
    for to_the_bit in (True, False):
        assert judged(locked, turned, IMAGE, to_the_bit) == (0.0, True, None)


@pytest.mark.parametrize("whole", [False, True])
def test_last_digits_pass_for_an_image_on_another_machine_alone(image, whole):
    locked, near = array_facts(image), image * np.float32(1 + 2e-7)
    before = image if whole else None
    verdict = judged(locked, near, IMAGE, False, before)
    assert (verdict.problem, verdict.is_exact) == (None, False)
    span = float(near.max() - near.min())
    assert verdict.deviation == pytest.approx(
        np.abs(near.astype(float) - image).max() / span, rel=1 if not whole else 1e-6
    )
    assert 0 < verdict.deviation < TOLERANCE
    assert "differ: " in judged(locked, near, IMAGE, True, before).problem
    assert "differ: " in judged(locked, near, LABEL, False, before).problem


def test_a_voxel_beyond_the_tolerance_is_named(image):
    locked, other = array_facts(image), image.copy()
    other[0, 5, 7, 9] += 1e-3
    problem = judged(locked, other, IMAGE, False, image).problem
    assert problem.startswith(f"1 of {image.size} voxels differ: (0, 5, 7, 9), c z y x, is {other[0, 5, 7, 9]!s}; ")
    assert problem.endswith(f"the lock has {image[0, 5, 7, 9]!s}")
    at = np.unravel_index(int(places(image.size)[3]), image.shape)
    other = image.copy()
    other[at] += 1e-3
    where = tuple(map(int, at))
    assert f"1 of 256 voxels of the sample differ: {where}" in judged(locked, other, IMAGE, False).problem


def test_what_a_sample_misses_is_told_where_bits_must_be_equal(image):
    at = next(i for i in range(image.size) if i not in set(places(image.size).tolist()))
    other = image.copy()
    other.reshape(-1)[at] += 1e-3
    assert "its SHA-256 is not that of the lock" in judged(array_facts(image), other, IMAGE, True).problem
    labels = (image > 0).astype(np.int8)
    swapped = labels.copy()
    swapped.reshape(-1)[at] ^= 1
    assert "its SHA-256 is not that of the lock" in judged(array_facts(labels), swapped, LABEL, False).problem


def test_an_array_of_one_value_has_no_range_that_could_excuse_a_difference():
    zeros = np.zeros((1, 2, 3, 4), np.float32)
    assert judged(array_facts(zeros), -zeros, IMAGE, False) == (0.0, False, None)
    assert "differ: " in judged(array_facts(zeros + 1), zeros + np.float32(1 + 2e-7), IMAGE, False).problem


@pytest.mark.parametrize("end", [{"high": 1e30}, {"low": -1e30}], ids=lambda value: next(iter(value)))
def test_a_range_that_somebody_has_widened_does_not_widen_the_tolerance(image, end):
    facts = array_facts(image).model_dump() | {"sha256": "0" * 64} | end
    problem = judged(ArrayFacts(**facts), image, IMAGE, False).problem
    assert problem.startswith("its values go from ")


@pytest.mark.parametrize(
    "change",
    [{"crc32": 1}, {"low": -1e9}, {"high": 1e9}, {"sample": base64.b64encode(bytes(1024)).decode()}],
    ids=lambda value: next(iter(value)),
)
@pytest.mark.parametrize("to_the_bit", [False, True])
def test_what_a_lock_says_beside_a_right_hash_must_be_right(image, change, to_the_bit):
    facts = ArrayFacts(**array_facts(image).model_dump() | change)
    problem = judged(facts, image, IMAGE, to_the_bit).problem
    assert problem == f"is the array with the SHA-256 of the lock, which says another {next(iter(change))} of it"


@pytest.mark.parametrize("value", [np.inf, np.nan], ids=str)
def test_what_is_no_finite_number_is_close_to_nothing(image, value):
    at = next(i for i in range(image.size) if i not in set(places(image.size).tolist()))
    other = image.copy()
    other.reshape(-1)[at] = value
    for whole in (None, image):
        assert judged(array_facts(image), other, IMAGE, False, whole).problem is not None
    assert "1 of 19680 voxels differ: " in judged(array_facts(image), other, IMAGE, False, image).problem


def test_another_shape_or_type_is_named(image):
    locked = array_facts(image)
    assert "is float32 of the shape (1, 11, 40, 41)" in judged(locked, image[:, 1:], IMAGE, False).problem
    assert "is int8 of the shape" in judged(locked, image.astype(np.int8), IMAGE, False).problem


def test_only_the_locked_array_is_the_locked_array(image):
    locked = array_facts(image)
    require_same(locked, image)
    with pytest.raises(RecordError, match="differ: "):
        require_same(locked, image + 1)


def test_base64_has_no_other_characters(image):
    facts = array_facts(image).model_dump()
    with pytest.raises(ValidationError, match="its sample is no base64"):
        ArrayFacts(**facts | {"sample": f"{facts['sample'][:4]}\n{facts['sample'][4:]}"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dtype": "float64"}, "no type of a preprocessed array"),
        ({"dtype": "O"}, "no type of a preprocessed array"),
        ({"shape": [1, 2**40, 2**40, 2]}, "no array has the shape"),
        ({"shape": [1, 0, 1, 1]}, "no array has the shape"),
        ({"shape": [1, 2, 3]}, "Field required"),
        ({"shape": [1, 2, 3, -4]}, "greater than or equal to 0"),
        ({"low": 9.0, "high": 1.0}, "no array has the shape"),
        ({"low": float("nan")}, "finite number"),
        ({"sample": "AAAAAA=="}, "its sample is not of that many values"),
        ({"sample": "AAA"}, "its sample is no base64"),
        ({"sample": "é"}, "its sample is no base64"),
        ({"sample": base64.b64encode(bytes(1025)).decode()}, "its sample is no"),
        ({"sha256": "x"}, "should match pattern"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_array_of_ours_is_refused(image, change, said):
    facts = array_facts(image).model_dump(mode="json") | change
    with pytest.raises(ValidationError, match=said):
        ArrayFacts(**facts)
