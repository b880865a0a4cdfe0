"""Which spacings are compared: the rule, one sentence of it a test."""

import math

import pytest

from monai_mriprep.advice.spacings import FACTORS, Spacings, candidate_spacings, finest_of
from monai_mriprep.formats.header import SPACING_RANGE_MM

KNOWN = Spacings(default=(3.0, 0.8, 0.8), median=(3.3, 0.8, 0.8), p10=(3.0, 0.6, 0.6), finest=(2.0, 0.5, 0.55))


def names(known: Spacings, count: int = 20) -> dict[str, tuple[float, float, float]]:
    return {", ".join(one.names): one.spacing for one in candidate_spacings(known, count)}


def test_what_has_a_name_comes_first_and_the_default_before_all():
    found = list(names(KNOWN).items())
    assert found[:6] == [
        ("default", (3.0, 0.8, 0.8)),
        ("median", (3.3, 0.8, 0.8)),
        ("10th percentile", (3.0, 0.6, 0.6)),
        ("finest of each axis", (2.0, 0.5, 0.55)),
        ("isotropic, shortest edge", (0.8, 0.8, 0.8)),
        ("isotropic, same volume", (1.243, 1.243, 1.243)),
    ]
    assert len(found) == 20


def test_the_coarsest_axis_is_multiplied_by_itself_and_the_others_together():
    found = names(KNOWN)
    assert found["through-plane x1.5"] == (4.5, 0.8, 0.8)
    assert found["in-plane x2/3"] == (3.0, 0.5333, 0.5333)
    assert names(Spacings(*[(0.8, 3.0, 0.8)] * 4))["through-plane x1.5, in-plane x1.5"] == (1.2, 4.5, 1.2)


def test_an_edge_that_is_not_multiplied_stays_as_it_is():
    assert names(Spacings(*[(2.98, 0.664062, 0.664062)] * 4))["through-plane x1.5"] == (4.47, 0.664062, 0.664062)


def test_what_a_run_takes_for_the_default_is_the_default():
    close = Spacings((3.0, 0.8, 0.8), (3.0009, 0.8, 0.8), (3.0, 0.8007, 0.8), (2.99, 0.8, 0.8))
    assert [*names(close)][:2] == ["default, median, 10th percentile", "finest of each axis"]


def test_equal_ones_are_one_and_lend_it_their_names():
    found = names(Spacings(*[(1.0, 1.0, 1.0)] * 4))
    first = "default, median, 10th percentile, finest of each axis, isotropic, shortest edge, isotropic, same volume"
    assert next(iter(found)) == first
    assert len(found) == 20


@pytest.mark.parametrize("count", [1, 3, 20, 35, 99])
def test_there_are_as_many_as_are_asked_for_or_as_there_are(count):
    found = names(KNOWN, count)
    assert len(found) == min(count, 5 + len(FACTORS) ** 2)


def test_none_is_far_finer_than_the_default_or_no_spacing_of_a_scan():
    known = Spacings((3.0, 0.8, 0.8), (3.0, 0.8, 0.8), (3.0, 0.8, 0.8), finest=(0.1, 0.1, 0.1))
    assert "finest of each axis" not in names(known)
    for finest, is_left_out in (((1.0, 1.0, 2.0), False), ((1.0, 1.0, 1.99), True)):
        assert ("finest of each axis" not in names(Spacings(*[(4.0, 4.0, 4.0)] * 3, finest))) is is_left_out
    low, high = SPACING_RANGE_MM
    found = names(Spacings(*[(0.9 * high, 1.0, 1.5 * low)] * 4), 50).values()
    assert all(low <= edge <= high for spacing in found for edge in spacing)


def test_no_factor_puts_a_voxel_halfway_between_two():
    """Of a scan that has the default's spacing: a tie would decide what becomes of it."""
    for factor in (factor for factor in FACTORS if factor > 1):
        places = [n / factor for n in range(1, 200)]
        assert all(abs(place - math.floor(place) - 0.5) > 1e-3 for place in places)


def test_finest_of_each_axis():
    assert finest_of([(1.0, 3.0, 2.0), (2.0, 1.0, 2.5)]) == (1.0, 1.0, 2.0)
