"""The page on target spacings: what it says first, and where it may be."""

from __future__ import annotations

import pytest

from monai_mriprep.errors import OutputError
from monai_mriprep.report.html.advice_page import page_of_advice, require_advice_place, write_advice_page
from tests.advice.values import advice, candidate
from tests.report.html.pages import front


def test_it_says_what_the_default_keeps_and_what_keeps_more():
    said = "At the default spacing a network can reach a mean Dice of 0.9485 at best."
    assert page_of_advice(advice()).verdict == f"{said} 3 x 0.4 x 0.8 mm keeps 0.9885, with 2 times the voxels."
    best = advice(candidates=(candidate("default", 1.0, {1: 0.9, 2: 0.8}, front=True),))
    assert page_of_advice(best).verdict.endswith("No other candidate keeps more.")


def test_it_has_no_cases_and_what_could_not_be_compared():
    html = front(page_of_advice(advice()))
    assert html.one("head").one("title").text == "scans · spacing advice"
    assert html.one("ul", "counts").text == "3 spacings 4 cases compared 1 not compared 2 classes 10 lesions"
    assert html.one("pre", "error").text == "b: b.mha: is damaged"
    assert "Without a class nothing_1" in html.one("dl", "facts").text
    assert not [*html.every("article"), *html.every("form", role="search"), *html.every("a", "skip")]


def test_it_replaces_its_own_and_nothing_else(tmp_path):
    file = tmp_path / "spacings.html"
    require_advice_place(file)
    write_advice_page(file, advice())
    require_advice_place(file)
    file.write_text("<title>scans · dataset check</title>", encoding="utf-8")
    with pytest.raises(OutputError, match="is no page of advise, and is not replaced"):
        require_advice_place(file)
    assert [path.name for path in tmp_path.iterdir()] == ["spacings.html"]
