"""The page of a check: what was found before a run, in the words of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.recipe import Recipe
from monai_mriprep.report.html.check_page import page_of_check
from monai_mriprep.run.check import check_dataset
from tests.layouts import write_layout
from tests.report.html.pages import front
from tests.runs import FOLDER_OF_0_1_0, write_cases, write_troubled_cases


def page_of(root: Path, recipe: Recipe | None = None, command: str = "", **options):
    return page_of_check(check_dataset(root, recipe, voxels=True, workers=1, **options), command)


def facts_of(page) -> dict[str, tuple[str, ...]]:
    return {fact.name: fact.values for fact in page.facts}


def counts_of(page) -> dict[str, int]:
    return {count.name: count.number for count in page.counts}


def test_of_a_dataset_without_trouble(tmp_path):
    page = page_of(write_cases(tmp_path / "scans", 6), command="monai-mriprep run scans out")
    assert (page.title, page.what) == ("scans", "dataset check")
    assert page.verdict == "All 6 cases can be preprocessed. None stands out."
    assert counts_of(page) == {"cases": 6, "ready": 6, "with a problem": 0, "suspects": 0, "with warnings": 0}
    facts = facts_of(page)
    assert facts["Dataset"] == (
        str(tmp_path / "scans"),
        "ImagesTr and LabelsTr: 6 image files in ImagesTr, 6 labels in LabelsTr",
    )
    assert facts["Target spacing"][0] == "3 x 1 x 1 mm (z y x)"
    assert facts["Recipe"] == ("the default",)
    assert facts["Label values"] == ("0 in 6 cases, 1 in 6 cases, 2 in 6 cases",)
    assert facts["Run it with"] == ("monai-mriprep run scans out",)
    assert page.paper is None
    assert page.target == (3.0, 1.0, 1.0)


@pytest.fixture
def troubled(tmp_path) -> Path:
    """A label with negative voxels, an image cut short, an image alone; and a label on another grid."""
    root = write_troubled_cases(tmp_path / "scans")
    label = np.zeros((4, 8, 9), np.int16)
    label[1:2, 3:6, 3:7] = 1
    write_metaimage(root / "LabelsTr" / "case_0.mha", label, (4.5, 1.0, 1.0))
    return root


def test_problems_come_first_and_are_told_in_full(troubled):
    page = page_of(troubled)
    assert page.verdict == "1 of 3 cases can be preprocessed. One deserves a look."
    assert counts_of(page) == {
        "cases": 3,
        "ready": 1,
        "with a problem": 2,
        "suspect": 1,
        "with warnings": 1,
        "skipped (no partner)": 1,
    }
    assert [(case.name, case.kinds) for case in page.cases] == [
        ("case_0", ("failed",)),
        ("case_2", ("failed",)),
        ("case_1", ("suspect", "warning")),
    ]
    assert "image and label differ in spacing" in page.cases[0].cohort.error
    assert len(page.cases[0].cohort.error.splitlines()) == 4
    assert any("lonely.mha" in note for note in page.notes)


def test_the_page_says_problem_where_that_of_a_run_says_failed(troubled):
    html = front(page_of(troubled))
    assert [badge.text for badge in html.every("span", "badge") if "failed" in badge["class"]] == ["problem", "problem"]
    assert "Problems" in html.one("fieldset", "choices").text
    assert html.one("head").one("title").text == "scans · dataset check"


def test_a_card_tells_what_was_scanned_and_of_no_after(troubled):
    card = next(card for card in front(page_of(troubled)).every("article") if card["data-case"] == "case_1")
    heads = [head.text for head in card.every("th", scope="col")]
    assert heads == ["as scanned"]
    card = next(card for card in front(page_of(troubled)).every("article") if card["data-case"] == "case_0")
    assert [head.text for head in card.every("th", scope="col")] == ["as scanned", "class", "ml"]
    assert list(card.every("tr"))[2].text == "size in a run 4 x 8 x 9"
    assert list(card.every("tr"))[-1].text == "1 0.054"  # 12 voxels of 4.5 mm^3


def test_what_would_stop_a_run_is_told_though_there_is_no_case(tmp_path):
    (tmp_path / "empty").mkdir()
    page = page_of(tmp_path / "empty", command="never")
    assert page.verdict == "A run would not start."
    assert len(page.stops) == 1
    assert "Run it with" not in facts_of(page)
    html = front(page)
    assert str(tmp_path / "empty") in html.one("pre", "error").text
    assert list(html.every("article")) == list(html.every("figure")) == []


def test_the_recipe_is_told_where_it_is_not_the_default(tmp_path):
    page = page_of(write_cases(tmp_path, 2), Recipe(target_spacing=(3.0, 2.0, 2.0), order=1))
    assert facts_of(page)["Recipe"] == ("as by default, but for (default -> here)", "order: 3 -> 1")


def test_channels_have_their_names(tmp_path):
    root = next(write_layout("nnU-Net", tmp_path / "raw").iterdir())
    page = page_of(root)
    assert len(page.channels) == 2
    said = next(front(page).every("article")).text
    assert all(channel in said for channel in page.channels)


def test_a_test_set_has_no_labels_and_the_target_of_its_training_set(tmp_path):
    root = write_cases(tmp_path / "data", 2)
    page = page_of(root / "ImagesTr", like=FOLDER_OF_0_1_0 / "out")
    assert page.verdict == "Both cases can be preprocessed. Fewer than 5 cases are not compared with one another."
    assert "Label values" not in facts_of(page)
    assert str(FOLDER_OF_0_1_0 / "out") in " ".join(facts_of(page)["Target spacing"])
    assert list(front(page).every("table", "classes")) == []
    assert page.about_pictures == ""


def test_excluded_cases_are_named(tmp_path):
    root = write_cases(tmp_path / "data", 3)
    (tmp_path / "exclude.txt").write_text("case_1  # moved\n")
    page = page_of(root, exclude=tmp_path / "exclude.txt")
    assert facts_of(page)["Excluded"] == ("case_1",)
    assert counts_of(page)["excluded"] == 1
    assert [case.name for case in page.cases] == ["case_0", "case_2"]


def test_ratings_are_kept_for_the_dataset(tmp_path):
    keys = {page_of(write_cases(tmp_path / name, 1)).key for name in ("a", "b", "a")}
    assert len(keys) == 2
