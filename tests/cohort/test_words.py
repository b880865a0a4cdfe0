"""Numbers in reasons."""

from __future__ import annotations

import pytest

from monai_mriprep.cohort.words import figure


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7384.0, "7,380"),
        (0.012345, "0.0123"),
        (3.3, "3.3"),
        (227, "227"),
        (1.5e9, "1.5e+09"),
        (0, "0"),
        (-2.5, "-2.5"),
        (1e-310, "0"),
    ],
)
def test_three_digits(value, shown):
    assert figure(value) == shown
