"""Volumes of classes."""

from __future__ import annotations

import pytest

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.report.html.volumes import class_volumes
from tests.report.html.pages import grid

NATIVE, TARGET = grid(spacing=(3.0, 1.0, 0.5)), grid(spacing=(3.0, 2.0, 1.0))


def test_a_volume_is_voxels_times_their_size():
    case = CohortCase("a", NATIVE, before={0: 9, 1: 2000}, after={0: 9, 1: 600}, target_grid=TARGET)
    (one,) = class_volumes(case)
    assert (one.value, one.before, one.after) == (1, pytest.approx(3.0), pytest.approx(3.6))
    assert one.kept == pytest.approx(1.2)


def test_a_class_that_has_gone_has_nothing_left():
    (one,) = class_volumes(CohortCase("a", NATIVE, before={1: 2000}, after={0: 9}, target_grid=TARGET))
    assert (one.after, one.kept) == (0.0, 0.0)


def test_a_label_on_a_grid_of_its_own_is_measured_there():
    (one,) = class_volumes(CohortCase("a", NATIVE, before={1: 1000}, label_grid=TARGET))
    assert (one.before, one.after, one.kept) == (pytest.approx(6.0), None, None)


def test_a_test_set_has_no_volumes():
    assert class_volumes(CohortCase("a", NATIVE, target_grid=TARGET)) == ()


def test_a_class_that_got_another_number_is_compared_under_it():
    case = CohortCase(
        "a", NATIVE, before={2: 1000, 5: 1000}, after={1: 500}, target_grid=TARGET, new_numbers={2: 1, 5: 1}
    )
    (one,) = class_volumes(case)
    assert (one.value, one.before, one.after) == (1, pytest.approx(3.0), pytest.approx(3.0))
