"""Axes: every value lies on them, and ticks are round numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.report.html.axes import axis_of, counting, shown_number, shown_row


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=6))
def test_any_values_have_an_axis(values):
    axis = axis_of(values)
    assert axis.low < axis.high
    assert all(0 <= axis.place(value) <= 1 for value in values if math.isfinite(value))
    assert all(0 < axis.place(tick) < 1 for tick in axis.ticks)


def test_values_that_lie_close_have_a_linear_axis():
    axis = axis_of([1.0, 2.0, 3.0])
    assert (axis.is_log, axis.ticks) == (False, (1.0, 2.0, 3.0))
    assert axis.place(2.0) == pytest.approx(0.5)


def test_values_that_lie_far_apart_have_a_logarithmic_axis():
    axis = axis_of([1.0, 100.0])
    assert axis.is_log
    assert axis.place(10.0) == pytest.approx(0.5)
    assert {1.0, 10.0, 100.0} <= set(axis.ticks)


def test_nothing_lies_at_the_start_of_a_logarithmic_axis():
    axis = axis_of([0.0, 1.0, 100.0])
    assert axis.place(0.0) == 0
    assert axis.place(1.0) > 0.1


def test_values_below_zero_have_a_linear_axis():
    assert not axis_of([-1.0, 1000.0]).is_log


def test_one_value_lies_in_the_middle():
    assert axis_of([3.3, 3.3]).place(3.3) == pytest.approx(0.5)


@pytest.mark.parametrize("most", [0, 1, 3, 40, 9999])
def test_counts_begin_at_0_and_have_whole_ticks(most):
    axis = counting(most)
    assert axis.place(0) == 0
    assert axis.place(most) < 1
    assert axis.ticks[0] == 0
    assert all(tick.is_integer() for tick in axis.ticks)


def test_ticks_that_lie_close_have_digits_enough_to_be_told_apart():
    assert [text for _, text in axis_of([99.98, 100.02]).labels] == ["99.98", "100", "100.02"]


def test_numbers_are_shown_as_in_a_table():
    numbers = {0: "0", 0.92508: "0.925", 3.3: "3.3", 812.26: "812", 1234567: "1,234,567", 3e12: "3e+12"}
    assert {number: shown_number(number) for number in numbers} == numbers
    assert (shown_number(2.5e-7), shown_number(math.inf)) == ("2.5e-07", "?")
    assert shown_row((3.0, 0.8, 0.8)) == "3 x 0.8 x 0.8"


def test_an_axis_is_logarithmic_from_eight_times_the_smallest_value_on():
    assert [axis_of([0.5, largest]).is_log for largest in (3.9, 4.0)] == [False, True]


def test_many_powers_of_ten_have_a_tick_for_every_few():
    assert 3 <= len(axis_of([1e-6, 1e9]).ticks) <= 5
