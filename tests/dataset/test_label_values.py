"""Values that are declared, and those that are not."""

from monai_mriprep.dataset.label_values import LabelValues


def test_values_of_regions_and_the_ignored_one_are_declared():
    declared = LabelValues({"background": (0,), "whole": (1, 2, 3), "core": (2, 3)}, ignore=4)

    assert declared.values == (0, 1, 2, 3, 4)


def test_zero_is_always_the_background():
    assert LabelValues({"lesion": (1,)}).values == (0, 1)
