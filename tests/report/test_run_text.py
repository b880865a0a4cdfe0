"""How long a run took, in words."""

from __future__ import annotations

import pytest

from monai_mriprep.report.run_text import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125.4, "2 min 05 s"),
        (3599.6, "1 h 00 min"),
        (11240, "3 h 07 min"),
    ],
)
def test_a_time_is_told_in_words(seconds, words):
    assert duration(seconds) == words
