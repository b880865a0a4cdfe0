"""What is said of an image of several channels."""

from __future__ import annotations

import numpy as np

from monai_mriprep.dataset.outlines import CaseOutlines
from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.header import Outline
from monai_mriprep.volume.geometry import Grid


def test_each_channel_counts_for_what_is_said_of_an_image():
    one, other = (Outline.of(Grid((2, 3, 4), np.diag([z, 1, 1, 1])), np.dtype("i2")) for z in (3.0, 2.0))
    broken = HeaderError("b.mha", "the file is empty")

    assert [CaseOutlines(channels).are_apart for channels in ((one,), (one, one), (one, other), (one, one, other))] == [
        False,
        False,
        True,
        True,
    ]
    assert CaseOutlines((one, other)).first is one
    assert CaseOutlines((one, broken)).first is broken
    assert not CaseOutlines((one, broken)).are_apart
