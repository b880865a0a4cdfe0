"""The values of an advice: what is on the front."""

import pytest

from monai_mriprep.advice.model import on_front


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
