"""The target spacing that follows from statistics."""

import pytest

from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.dataset.target_rules import derive_target, target_spacing

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
    derived = derive_target(SpacingStatistics((6.5, 0.664062, 0.664062), (2.98, 0.5, 0.5)))

    assert "(2.98, 0.664062, 0.664062) mm" in derived.text
    assert "z/x = 9.788 >= 3" in derived.text
    assert derived.warnings == ()


def test_a_target_finer_along_z_than_in_plane_is_warned_about():
    assert "finer along z" in derive_target(SpacingStatistics((3, 1, 1), (0.5, 1, 1))).warnings[0]
    assert "z y x order" in derive_target(SpacingStatistics((0.5, 0.5, 5), (0.4, 0.4, 3))).warnings[0]
    assert derive_target(SpacingStatistics((3, 1, 1), (1, 1, 1))).warnings == ()
