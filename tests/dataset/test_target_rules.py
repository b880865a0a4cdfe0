"""The target spacing that follows from statistics."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.dataset.target_rules import derive_target, target_spacing
from monai_mriprep.errors import StatisticsError

TARGETS = {
    "isotropic": ((1, 1, 1), (0.5, 0.5, 0.5), (1, 1, 1)),
    "below the limit": ((2.9, 1, 1), (1.5, 0.5, 0.5), (2.9, 1, 1)),
    "exactly the limit": ((3, 1, 1), (1.5, 0.5, 0.5), (1.5, 1, 1)),
    "the limit with float noise": ((3.3, 1.1, 1.1), (1.5, 0.5, 0.5), (1.5, 1.1, 1.1)),
    "the limit with float32 noise": ((3.2999999986, 1.1, 1.1), (1.5, 0.5, 0.5), (1.5, 1.1, 1.1)),
    "against x, not y": ((3, 2, 1), (1.5, 0.5, 0.5), (1.5, 2, 1)),
    "fine y does not count": ((2, 0.5, 1), (1.5, 0.5, 0.5), (2, 0.5, 1)),
}


@pytest.mark.parametrize(("median", "p10", "target"), TARGETS.values(), ids=TARGETS)
def test_target_rule(median, p10, target):
    statistics = SpacingStatistics(median, p10)

    assert target_spacing(statistics) == target
    assert derive_target(statistics).spacing == target


def test_the_derivation_is_told():
    derived = derive_target(SpacingStatistics((6.5, 0.664062, 0.664062), (3.48, 0.5, 0.5)))

    assert "(3.48, 0.664062, 0.664062) mm" in derived.text
    assert "z/x = 9.788 >= 3" in derived.text
    assert derived.warnings == ()


def test_a_target_finer_along_z_than_in_plane_is_warned_about():
    assert "finer along z" in derive_target(SpacingStatistics((3, 1, 1), (0.5, 1, 1))).warnings[0]
    assert "z y x order" in derive_target(SpacingStatistics((0.5, 0.5, 5), (0.4, 0.4, 3))).warnings[0]
    assert "finer" not in derive_target(SpacingStatistics((3, 1, 1), (1, 1, 1))).warnings[0]


# --- nnU-Net's own rule -----------------------------------------------------------------------------------------------

NNUNET = {
    "isotropic": ((1, 1, 1), (0.5, 0.5, 0.5), (150, 200, 200), (1, 1, 1)),
    "thick slices": ((6.5, 0.66, 0.66), (2.98, 0.5, 0.5), (25, 256, 256), (2.98, 0.66, 0.66)),
    "thick slices, but as many": ((6.5, 0.66, 0.66), (2.98, 0.5, 0.5), (90, 256, 256), (6.5, 0.66, 0.66)),
    "exactly three times fewer": ((6.5, 0.66, 0.66), (2.98, 0.5, 0.5), (85, 255, 256), (6.5, 0.66, 0.66)),
    "exactly three times as coarse": ((3, 1, 1), (1.5, 0.5, 0.5), (20, 256, 256), (3, 1, 1)),
    "against the coarser of the two": ((3.5, 2, 1), (1.5, 0.5, 0.5), (20, 256, 256), (3.5, 2, 1)),
    "never finer than in-plane": ((6.5, 0.6, 0.66), (0.5, 0.5, 0.5), (25, 256, 256), (0.66 + 1e-5, 0.6, 0.66)),
    "as fine as in-plane": ((6.5, 0.6, 0.66), (0.66, 0.5, 0.5), (25, 256, 256), (0.66, 0.6, 0.66)),
    "the coarsest axis is x": ((0.5, 0.5, 5), (0.4, 0.4, 3), (256, 256, 20), (0.5, 0.5, 3)),
}


@pytest.mark.parametrize(("median", "p10", "size", "target"), NNUNET.values(), ids=NNUNET)
def test_nnunets_rule(median, p10, size, target):
    assert target_spacing(SpacingStatistics(median, p10), "nnunet", size) == target


@pytest.mark.parametrize("name", ["abdomen_3918", "ms_brain_81"])
def test_what_nnunet_planned_follows_from_what_it_saw(shared_data, name):
    """Its 2-D plan tells the spacing in-plane; along the slices it is the median (the 3-D one was edited by hand)."""
    facts = json.loads((shared_data / "nnunet_plans" / f"{name}.json").read_text())
    statistics = SpacingStatistics.from_spacings(facts["spacings"])
    size = np.median(facts["shapes_after_crop"], axis=0)

    planned = (facts["plan"]["original_median_spacing_after_transp"][0], *facts["plan"]["2d"]["spacing"])
    assert facts["plan"]["transpose_forward"] == [0, 1, 2]
    assert size.tolist() == facts["plan"]["original_median_shape_after_transp"]
    assert target_spacing(statistics, "nnunet", size.tolist()) == pytest.approx(planned, rel=1e-6)


edges = st.floats(0.1, 12)


@given(
    st.lists(st.tuples(edges, edges, edges), min_size=1, max_size=7),
    st.tuples(*[st.integers(1, 500)] * 3),
    st.permutations(range(3)),
)
def test_nnunets_rule_knows_no_axis_by_name(spacings, size, order):
    def turned(values):
        return tuple(values[axis] for axis in order)

    statistics = SpacingStatistics.from_spacings(spacings)
    if len(set(statistics.median)) < 3:
        return  # of two equally coarse axes it takes the first
    target = target_spacing(statistics, "nnunet", size)
    other = target_spacing(SpacingStatistics(turned(statistics.median), turned(statistics.p10)), "nnunet", turned(size))
    assert other == turned(target)
    changed = [axis for axis in range(3) if target[axis] != statistics.median[axis]]
    assert all(target[axis] >= sorted(statistics.median)[1] for axis in changed)
    assert len(changed) <= 1


def test_nnunets_rule_needs_sizes():
    with pytest.raises(StatisticsError, match="median size"):
        derive_target(SpacingStatistics((3, 1, 1), (1, 1, 1)), "nnunet")


def test_the_derivation_by_nnunets_rule_is_told():
    statistics = SpacingStatistics((6.5, 0.66, 0.6), (3.5, 0.5, 0.5))

    few, many = (derive_target(statistics, "nnunet", (n, 256, 250)).text for n in (25, 90))

    assert "z is 9.848 times the coarser of the others (limit 3) and has 25 voxels (limit 83.33)" in few
    assert "z from the 10th percentile" in few
    assert "has 90 voxels (limit 83.33): the median as it is" in many


def test_a_bound_of_nnunets_rule_is_told_as_what_it_is():
    derived = derive_target(SpacingStatistics((6, 1, 0.9), (0.5, 0.5, 0.5)), "nnunet", (20, 200, 200))

    assert derived.spacing == (1.00001, 1, 0.9)
    assert derived.text.endswith(
        "anisotropic: z a little over the coarser of the others, for its 10th percentile is 0.5"
    )


# --- What a rule costs ------------------------------------------------------------------------------------------------


def test_a_rule_that_makes_voxels_many_times_over_says_how_many(shared_data):
    facts = json.loads((shared_data / "nnunet_plans" / "abdomen_3918.json").read_text())
    derived = derive_target(SpacingStatistics.from_spacings(facts["spacings"]))

    assert derived.spacing == pytest.approx((0.8, 0.820312, 0.820312), abs=1e-6)
    (warning,) = derived.warnings
    assert "finer along z than in-plane" in warning
    assert "3.1 times the voxels" in warning


def test_more_than_twice_the_voxels_are_warned_about():
    twice, more = (derive_target(SpacingStatistics((6, 1, 1), (z, 1, 1))) for z in (3, 2.9))

    assert twice.warnings == ()
    assert "2.1 times the voxels that the median (6, 1, 1) mm would" in more.warnings[0]
    assert "`target_spacing`" in more.warnings[0]
    few = derive_target(SpacingStatistics((6, 1, 1), (2.9, 1, 1)), "nnunet", (20, 200, 200))
    assert few.warnings == more.warnings


def test_nnunets_rule_is_no_remedy_for_itself():
    thick_x = SpacingStatistics((1, 1, 6), (1, 1, 5))
    published, nnunet = (derive_target(thick_x, rule, (200, 200, 20)).warnings[0] for rule in ("published", "nnunet"))

    assert published.endswith("or set `target_spacing` or `target_rule: nnunet`")
    assert nnunet.endswith("or set `target_spacing`")
