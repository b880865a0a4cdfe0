"""The histogram of a card."""

from __future__ import annotations

import re

from monai_mriprep.report.html.histogram import histogram_of
from tests.report.html.pages import measures


def test_the_highest_bin_reaches_the_top_and_the_median_its_place():
    (channel,) = measures(100.0).image
    drawing = histogram_of(channel)
    tops = [float(y) for y in re.findall(r"V([\d.]+)h", drawing.path)]
    assert tops == [36.0, *[48.0] * 30, 0.0]  # counts 1, 0, ..., 0, 4
    assert (drawing.low, drawing.median, drawing.high) == (0.0, drawing.width / 2, 200.0)


def test_an_image_of_one_value_has_a_histogram():
    (channel,) = measures(0.0).image
    flat = channel.model_copy(update={"percentiles": (5.0,) * 7, "histogram": (0,) * 32})
    assert histogram_of(flat).path.count("V48") == 33


def test_numbers_whose_distance_is_none_are_drawn():
    (channel,) = measures(0.0).image
    wide = channel.model_copy(update={"percentiles": (-1.7e308, *[1.7e308] * 6)})
    assert histogram_of(wide).median == histogram_of(wide).width / 2


def test_the_median_lies_between_the_ends_where_its_value_is():
    (channel,) = measures(100.0).image
    skew = channel.model_copy(update={"percentiles": (-50.0, -40.0, -30.0, 0.0, 40.0, 100.0, 150.0)})
    assert histogram_of(skew).median == histogram_of(skew).width / 4
