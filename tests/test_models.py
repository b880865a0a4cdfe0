"""Plain values become models, or the first problem is told."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from monai_mriprep.errors import RecordError
from monai_mriprep.models import Count, Model, Whole, checked, shortened


class Box(Model):
    """A model with a part."""

    count: Count
    number: Whole = 0
    part: Box | None = None
    counts: dict[str, Count] = {}


BOX = TypeAdapter(Box)


def test_values_that_fit():
    assert checked(BOX, {"count": 1, "part": {"count": 2}}) == Box(count=1, part=Box(count=2))
    assert checked(BOX, {"count": 2**63 - 1, "number": -(2**63)}).count == 2**63 - 1


def test_keys_of_a_later_version_are_passed_over():
    assert checked(BOX, {"count": 1, "mood": "good"}) == Box(count=1)


@pytest.mark.parametrize("count", [-1, 2**63, 10**400, 1.0, "1", True, None], ids=lambda value: str(value)[:30])
def test_the_key_of_a_value_that_does_not_fit_is_named(count):
    with pytest.raises(RecordError, match=r"^part\.count: Input should be "):
        checked(BOX, {"count": 1, "part": {"count": count}})


@pytest.mark.parametrize("number", [-(2**63) - 1, 2**63])
def test_a_number_that_64_bits_cannot_hold_does_not_fit(number):
    with pytest.raises(RecordError, match=r"^number: Input should be "):
        checked(BOX, {"count": 1, "number": number})


def test_values_that_are_no_object_have_no_key():
    with pytest.raises(RecordError, match=r"^Input should be a valid dictionary"):
        checked(BOX, [])


def test_what_is_wrong_may_quote_anything_and_is_shortened():
    with pytest.raises(RecordError) as caught:
        checked(BOX, {"count": 1, "counts": {"x" * 500: -1}})
    assert len(str(caught.value)) < 310
    assert shortened("x" * 300) == "x" * 300
    assert shortened("x" * 301) == "x" * 300 + " ..."


def test_a_model_is_frozen():
    with pytest.raises(ValidationError):
        Box(count=1).count = 2
