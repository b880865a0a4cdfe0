"""The values of an advice: what is on the front, and what is none."""

import pytest
from pydantic import ValidationError

from monai_mriprep.advice.model import on_front
from tests.advice.values import advice, candidate


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1, 0.9), (2, 0.95), (3, 0.95), (4, 0.94), (0.5, 0.2)], [True, True, False, False, True]),
        ([(1, 0.9), (1, 0.9)], [True, True]),  # equal in both
        ([(1, 0.9), (1, 0.8)], [True, False]),
        ([], []),
    ],
)
def test_on_the_front_is_what_nothing_beats_in_voxels_and_dice(pairs, expected):
    assert list(on_front(pairs)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"candidates": ()},
        {"candidates": (candidate("median", 1.0, {1: 0.5, 2: 0.5}, front=True),)},
        {"candidates": (candidate("default", 1.0, {1: 0.5}, front=True),)},
        {"candidates": (candidate("default", 1.0, {1: 0.5, 2: 0.5}),)},
        {"labels": {}},
    ],
)
def test_what_no_comparison_makes_is_refused(change):
    with pytest.raises(ValidationError, match="its candidates"):
        advice(**change)
