"""Colours of classes."""

from __future__ import annotations

import re

from monai_mriprep.pictures.palette import PALETTE, colour_of


def test_classes_have_colours_of_their_own_which_come_again_in_order():
    assert len({colour_of(value) for value in range(1, 8)}) == len(PALETTE) == 7
    assert [colour_of(value) for value in range(8, 50)] == [colour_of(value - 7) for value in range(8, 50)]
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in PALETTE)
