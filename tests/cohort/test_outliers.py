"""Outliers against scipy's median absolute deviation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from monai_mriprep.cohort.outliers import by_difference, by_factor, few
from monai_mriprep.cohort.thresholds import DEVIATIONS, FLOOR

VALUES = st.lists(st.floats(0.1, 1e6), min_size=21, max_size=60)


@given(VALUES, st.floats(1.01, 50))
def test_factors_are_robust_scores_of_logarithms(values, least):
    logs = np.log(values)
    deviation = max(median_abs_deviation(logs, scale="normal"), np.log1p(FLOOR))
    distances = np.abs(logs - np.median(logs))
    expected = np.flatnonzero((distances / deviation > DEVIATIONS) & (distances > np.log(least))).tolist()
    found, median = by_factor(values, least)
    assert found == (expected if len(expected) <= max(2, len(values) / 10) else [])
    assert median == pytest.approx(np.exp(np.median(logs)))


@given(VALUES, st.floats(0.1, 1e5))
def test_differences_are_robust_scores(values, least):
    deviation = max(median_abs_deviation(values, scale="normal"), FLOOR * np.median(values))
    distances = np.abs(values - np.median(values))
    expected = np.flatnonzero((distances > DEVIATIONS * deviation) & (distances > least)).tolist()
    found, median = by_difference(values, least)
    assert found == (expected if len(expected) <= max(2, len(values) / 10) else [])
    assert median == pytest.approx(np.median(values))


def test_half_as_much_is_as_far_as_twice_as_much():
    assert by_factor([3.3] * 20 + [7.5, 3.3**2 / 7.5], 1.5)[0] == [20, 21]


def test_what_is_not_known_does_not_count():
    assert by_factor([1.0, 1.0, None, 1.0, 0.0, 1.0, 9.0], 2) == ([6], 1.0)
    assert by_factor([1.0, 1.0, None, 1.0, 0.0, 9.0], 2)[0] == [], "four are no cohort"
    assert by_difference([None] * 9, 2) == ([], 0.0)


@pytest.mark.parametrize(("found", "known", "is_few"), [(1, 4, False), (2, 5, True), (3, 29, False), (3, 30, True)])
def test_a_tenth_of_the_cases_is_a_group(found, known, is_few):
    assert few([*range(found)], known) == ([*range(found)] if is_few else [])


@pytest.mark.parametrize("n", [12, 50, 300])
def test_cohorts_without_a_flaw_have_hardly_any_suspects(n):
    """Volumes of organs vary by a quarter, those of lesions threefold."""
    rng = np.random.default_rng(n)
    for spread, rate in ((0.25, 0.02), (1.2, 0.1)):
        found = [len(by_factor(rng.lognormal(0, spread, n).tolist(), 3)[0]) for _ in range(100)]
        assert np.mean(found) <= rate


@pytest.mark.parametrize("median", [100.0, -100.0])
def test_where_hardly_any_value_differs_the_bar_is_a_share_of_the_median(median):
    """Five times a twentieth of it; of factors 1.05 to the fifth, which is 1.276."""
    assert by_difference([median] * 20 + [median + 24, median - 26], 1)[0] == [21]
    assert by_factor([100.0] * 20 + [127.0, 128.0], 1.1)[0] == [21]
