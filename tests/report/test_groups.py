"""Findings of one kind are said once."""

from __future__ import annotations

import pytest

from monai_mriprep.report.groups import Finding, first_ones, said_once


def said(*texts: str) -> list[str]:
    """Of the cases a, b, c and so on."""
    return list(said_once(Finding(case, text) for case, text in zip("abcdefgh", texts, strict=False)))


@pytest.mark.parametrize(
    ("texts", "sentences"),
    [
        (["a: it is odd", "b: it is odd"], ["2 cases: it is odd (a, b)"]),
        (["/d/a.mha: it is odd", "/d/another name.nii: it is odd"], ["2 cases: it is odd (a, b)"]),
        (["/d/1 and /d/2: it is odd", "b: /d/b.mha: it is odd"], ["2 cases: it is odd (a, b)"]),
        (["/d/a: 1 voxel is 0"], ["/d/a: 1 voxel is 0"]),
        (["/d/a: 1 voxel became 0", "/d/b: 12 voxels became 0"], ["2 cases: ... voxels became 0 (a, b)"]),
        (["odd", "even", "odd", "odd", "odd"], ["4 cases: odd (a, c, d and 1 more)", "even"]),
        (
            ["gone: label 2 (1 voxel)", "gone: label 3 (8 voxels), 4 (1 voxel)"],
            ["2 cases: gone: label ... (... voxels), ... (a, b)"],
        ),
        (["in (0.5, 1, 1) mm", "in (0.7, 2, 3) mm"], ["2 cases: in (...) mm (a, b)"]),
        (
            ["differ in spacing: 1\n  a /d/a", "differ in spacing: 2\n  b /d/b"],
            ["2 cases: differ in spacing: ... (a, b); the first:\n  a /d/a"],
        ),
        (["differ in spacing", "differ in origin"], ["differ in spacing", "differ in origin"]),
        (["'x.mha' is skipped", "'y.mha' is skipped"], ["2 cases: ... is skipped (a, b)"]),
        (["image: odd", "label: odd"], ["image: odd", "label: odd"]),
    ],
)
def test_texts_with_the_same_words_are_of_one_kind(texts, sentences):
    assert said(*texts) == sentences


def test_of_one_case_each_text_stays_as_it_is():
    findings = [Finding("a", "channel 0: odd"), Finding("a", "channel 1: odd")]
    assert list(said_once(findings)) == ["channel 0: odd", "channel 1: odd"]


def test_what_is_counted_has_a_name_of_its_own():
    assert list(said_once([Finding("a", "odd"), Finding("b", "odd")], "file")) == ["2 files: odd (a, b)"]


def test_a_name_cannot_break_the_sentence():
    assert list(said_once([Finding("a\nb", "odd"), Finding("c", "odd")])) == [r"2 cases: odd ('a\nb', c)"]


def test_of_many_texts_of_one_kind_in_a_row_the_first_ones_pass():
    skipped = [f"'{name}.mha' is skipped" for name in "abcdefg"]
    assert list(first_ones([*skipped[:6], "odd", skipped[6]])) == [
        *(*skipped[:3], "... and 3 more like it", "odd", skipped[6])
    ]
    assert list(first_ones(["odd"] * 5)) == ["odd"] * 3 + ["... and 2 more like it"]
    assert list(first_ones(["odd"] * 3)) == ["odd"] * 3
