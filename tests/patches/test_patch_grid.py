"""Where the voxels of a patch lie."""

from __future__ import annotations

import numpy as np
import pytest

from monai_mriprep.errors import ResamplingError
from monai_mriprep.patches.patch_grid import place_patch
from monai_mriprep.volume.geometry import Grid

WHOLE = Grid((9, 4, 7), [[0, 0, -2, 5], [0, 3, 0, 6], [4, 0, 0, 7], [0, 0, 0, 1]])


def test_a_crop_counts_on_the_whole_grid():
    place = place_patch(WHOLE, (2, 1, 0), (3, 2, 7))
    assert place.wanted == (range(2, 5), range(1, 3), range(7))
    assert place.grid == place.filled_grid == WHOLE.part((2, 1, 0), (5, 3, 7))
    assert not place.is_padded
    assert not place.is_scaled


def test_a_flip_runs_backward_and_begins_at_the_other_end():
    place = place_patch(WHOLE, (2, 0, 0), (3, 4, 7), flip=[0])
    assert list(place.wanted[0]) == [4, 3, 2]
    assert np.allclose(place.grid.affine[:, 0], [0, 0, -4, 0])
    assert np.allclose(place.grid.affine @ [2, 0, 0, 1], WHOLE.affine @ [2, 0, 0, 1])


@pytest.mark.parametrize("flip", [(), (1,)])
def test_padding_lies_around_on_the_side_that_it_is_turned_to(flip):
    place = place_patch(WHOLE, (0, 3, 0), (9, 7, 7), flip=flip)  # one before, two after
    _, rows, _ = place.axes
    assert (rows.start, sorted(rows.wanted)) == (-1, [0, 1, 2, 3])
    assert rows.place == (slice(2, 6) if flip else slice(1, 5))
    at_the_first = [0, (5 if flip else 1), 0, 1]
    assert np.allclose(place.grid.affine @ at_the_first, WHOLE.affine @ [0, 0, 0, 1])


def test_a_scaled_patch_keeps_its_middle_and_ends_at_the_outer_faces():
    place = place_patch(WHOLE, (2, 0, 3), (5, 4, 4), scale=2.0)
    z, y, _ = place.axes
    assert [z.at(k) for k in range(5)] == [0, 2, 4, 6, 8]
    assert (z.filled, z.wanted) == (range(5), range(5))
    assert [y.at(k) for k in range(4)] == [-1.5, 0.5, 2.5, 4.5]
    assert (y.filled, y.wanted, y.place) == (range(1, 3), range(2), slice(1, 3))
    assert place.is_padded
    assert place.filled_grid.shape == (5, 2, 3)
    assert np.allclose(place.filled_grid.origin, (WHOLE.affine @ [0, 0.5, 1.5, 1])[:3])
    assert place.grid.spacing == pytest.approx((8, 6, 4))


def test_voxels_between_the_outermost_centres_and_faces_are_inside():
    for start in (0, 4):  # begins at -0.2, and ends at 8.2
        assert len(place_patch(WHOLE, (start, 0, 0), (5, 4, 7), scale=1.1).axes[0].filled) == 5


def test_along_an_axis_as_long_as_the_patch_the_start_plays_no_part():
    assert place_patch(WHOLE, (2, 3, 0), (3, 4, 7)) == place_patch(WHOLE, (2, 0, 0), (3, 4, 7))


def test_what_is_no_patch_is_refused():
    with pytest.raises(ResamplingError, match="a patch of 3 voxels begins at 0 to 6 along an axis of 9, not at 7"):
        place_patch(WHOLE, (7, 0, 0), (3, 4, 7))
    with pytest.raises(ResamplingError, match="scale less"):
        place_patch(WHOLE, (0, 0, 0), (3, 4, 8), scale=20.0)
