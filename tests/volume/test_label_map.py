"""What a map of label numbers makes of values and counts."""

from __future__ import annotations

import pytest

from monai_mriprep.volume.label_map import renumbered_histogram, unclear_labels

MERGED = "label 1 occurs, which the label_map does not name, and 1 is the new number of 2, 3: they would be one class"


@pytest.mark.parametrize("values", [[0, 1, 2], [0, 1]])
def test_a_merge_that_is_not_named_is_unclear_even_where_the_other_label_does_not_occur(values):
    (sentence,) = unclear_labels(values, {2: 1, 3: 1})
    assert sentence.startswith(MERGED)
    assert "`1: 1` if they are to be merged" in sentence


@pytest.mark.parametrize(
    "new_numbers", [{}, {1: 1, 2: 1}, {1: 2, 2: 1}, {2: 0}, {1: 0, 2: 0}, {2: 5}, {9: 9}, {1: 2, 2: 3}], ids=str
)
def test_what_is_clear(new_numbers):
    assert list(unclear_labels([-1, 0, 1, 2], new_numbers)) == []


def test_voxels_are_added_up():
    assert renumbered_histogram({0: 5, 1: 4, 2: 3, 7: 1}, {2: 1, 7: 0, 9: 3}) == {0: 6, 1: 7}
