"""The charts of a page: each value of each case is in one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from monai_mriprep.report.html.cohort_charts import charts_of
from monai_mriprep.volume.geometry import Grid
from tests.report.html.pages import case, grid, measures, page

PAIR = (case("a"), case("b", grid=grid((40, 20, 30), (7.5, 1.0, 0.5)), suspicions=("spacing",)))


def charts(*cases, **changes):
    return {chart.title: chart for chart in charts_of(page(*cases, **changes))}


def said(chart) -> list[tuple[int, str]]:
    return sorted((dot.case, dot.said) for dot in chart.dots)


def test_spacing_and_size_have_a_dot_for_each_axis_of_each_case():
    found = charts(*PAIR, target=(3.0, 1.0, 1.0))
    spacings = [(1, "x 0.5 mm"), (1, "y 1 mm"), (1, "z 3 mm"), (2, "x 0.5 mm"), (2, "y 1 mm"), (2, "z 7.5 mm")]
    assert said(found["Spacing"]) == spacings
    assert said(found["Size"])[2::3] == [(1, "z 10 voxels"), (2, "z 40 voxels")]
    assert Counter(dot.kind for dot in found["Spacing"].dots) == {"": 3, "suspect": 3}


def test_the_target_is_marked_where_the_spacings_that_it_equals_lie():
    found = charts(*PAIR, target=(3.0, 1.0, 1.0))["Spacing"]
    of_target = next(dot for dot in found.dots if dot.said == "z 3 mm")
    assert found.marks[0][0] == of_target.x
    assert charts(*PAIR)["Spacing"].marks == ()


def test_orientations_are_counted_the_most_frequent_first():
    turned = Grid((4, 4, 4), np.diag([1.0, 1.0, 1.0, 1.0]))
    chart = charts(case("a"), case("b", grid=turned), case("c"))["Orientation"]
    assert [label.text for label in chart.rows] == ["RAS", "SAR"]
    assert [(dot.case, dot.said) for dot in sorted(chart.dots)] == [(1, "RAS"), (2, "SAR"), (3, "RAS")]


def test_intensities_are_those_measured_and_without_measures_mean_and_deviation():
    chart = charts(case("a"), case("b", measures=None))["Intensity"]
    assert said(chart) == [(1, "1 100 190"), (2, "81.2 102 122")]


def test_every_channel_has_a_chart():
    found = charts(case("a", measures=measures(10.0, 20.0)), channels=("t1", "flair"))
    assert [title for title in found if "Intensity" in title] == ["Intensity of t1", "Intensity of flair"]
    assert [dot.said for dot in found["Intensity of flair"].dots] == ["1 20 38"]


def test_label_volumes_have_a_row_for_each_class_and_what_is_kept_of_them():
    found = charts(case("a"))
    assert said(found["Label volume"]) == [(1, "class 1 1.2 ml"), (1, "class 2 0.3 ml")]
    assert said(found["Label volume kept"]) == [(1, "class 1 100.0%"), (1, "class 2 50.0%")]
    assert [label.of_class for label in found["Label volume"].rows] == [1, 2]


def test_of_many_classes_the_first_are_shown():
    many = dict.fromkeys(range(24), 100)
    chart = charts(case("a", before=many, after=many))["Label volume"]
    assert chart.note == "ml, as scanned; the first 12 of 23 classes"
    assert [label.text for label in chart.rows] == [str(value) for value in range(1, 13)]


def test_a_test_set_has_no_charts_of_labels():
    found = charts(case("a", before=None, after=None))
    assert list(found) == ["Spacing", "Size", "Orientation", "Intensity"]


def test_a_case_of_which_nothing_is_known_has_no_dots():
    nothing = case("a", grid=None, measures=None, before=None, after=None, target_grid=None, error="broken")
    assert charts(nothing) == {}
    assert {dot.case for chart in charts(nothing, case("b")).values() for dot in chart.dots} == {2}


def test_what_is_kept_is_compared_with_all_of_it():
    chart = charts(case("a"))["Label volume kept"]
    places = {label.text: label.place for label in chart.columns}
    whole, half = (dot.x for dot in chart.dots)
    assert whole == places["100"] == chart.marks[0][0]
    assert half == pytest.approx(places["60"] - (places["100"] - places["60"]) / 4, abs=0.2)


def test_where_nothing_was_measured_mean_and_deviation_have_a_chart():
    assert said(charts(case("a", measures=None))["Intensity"]) == [(1, "81.2 102 122")]
