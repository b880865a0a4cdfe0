"""Tolerances and limits: what their docstrings claim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_mriprep.types import FOREGROUND, IMAGE, IMAGE_MAX, LABEL, LABEL_MAX, PREDICTION, ROLES, Tolerance


@pytest.mark.parametrize(("edge", "allowed"), [(0.5, 0.0005), (1.0, 0.001), (7.0, 0.001)])
def test_a_tolerance_is_the_smaller_of_a_length_and_a_share(edge, allowed):
    assert Tolerance(1e-3, 1e-3).at(edge) == pytest.approx(allowed)
    assert str(Tolerance(1e-3, 1e-2)) == "0.001 mm or 0.01 of"


def test_the_largest_image_value_survives_a_cubic_spline_and_a_difference_in_float32():
    """The overshoot in one dimension is the largest sum of weights over all positions, by scipy."""
    samples = np.eye(33)
    positions = np.linspace(0, 32, 1601)
    weights = np.array([ndimage.map_coordinates(row, [positions], order=3, mode="mirror") for row in samples])
    overshoot = np.abs(weights).sum(axis=0).max() ** 3
    assert 3 < overshoot < 4
    assert 2 * overshoot * IMAGE_MAX < np.finfo(np.float32).max < 4 * overshoot * IMAGE_MAX


def test_the_largest_label_is_that_of_int16():
    assert np.iinfo(np.int16).max == LABEL_MAX


def test_roles_have_their_own_names_and_folders():
    assert len({role.name for role in ROLES}) == len({role.folder for role in ROLES}) == len(ROLES)
    assert ROLES[0].kind == "image"


def test_class_numbers_and_masks_have_nothing_in_between():
    assert [role.is_continuous for role in (IMAGE, PREDICTION, LABEL, FOREGROUND)] == [True, True, False, False]
