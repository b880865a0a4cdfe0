"""Volumes add up, and are compared as far as they are known."""

from __future__ import annotations

import pytest

from monai_mriprep.verify.comparison import CaseDifference, ClassVolume, Volume

KNOWN = Volume(8, 16.0, 4, 12.0)


def test_they_add_up():
    assert KNOWN + Volume(1, 2.0, 3, 4.5) == Volume(9, 18.0, 7, 16.5)
    assert Volume() + KNOWN == KNOWN
    assert KNOWN + Volume(1, None, 3, 4.5) == Volume(9, None, 7, 16.5)
    assert KNOWN + Volume(None, None, 3, 4.5) == Volume(None, None, 7, 16.5)


@pytest.mark.parametrize(
    "other",
    [Volume(8, 16.0, 4, 12.0), Volume(None, None, 4, 12.0), Volume(8, None, 4, 12.0), Volume(8, 16.0, 4, 12.000001)],
)
def test_what_is_not_known_or_noise_is_no_difference(other):
    assert not ClassVolume(1, (KNOWN, other)).differs


@pytest.mark.parametrize(
    "other", [Volume(9, 16.0, 4, 12.0), Volume(8, 16.1, 4, 12.0), Volume(8, 16.0, 5, 12.0), Volume(8, 16.0, 4, 12.1)]
)
def test_each_number_tells_them_apart(other):
    assert ClassVolume(1, (KNOWN, other)).differs


@pytest.mark.parametrize(
    "what", [{"status": ("done", "failed")}, {"arrays": ("image",)}, {"sources": ("label",)}, {"grid": "origin"}]
)
def test_a_case_differs_by_anything(what):
    same = {"case": "a", "status": ("done", "done")}
    assert not CaseDifference(**same).differs
    assert CaseDifference(**{**same, **what}).differs
