"""The demonstration: dataset, results and pictures, and the text that names them."""

from __future__ import annotations

import re

import pytest

from monai_mriprep.demo.make import make_demo
from monai_mriprep.demo.phantoms import DEMO_CASES
from monai_mriprep.formats.npz import read_npz


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    seen = []
    report = make_demo(folder, 0, lambda result, finished, total: seen.append((result.case, finished, total)))
    return folder, report, seen


def test_every_pair_is_preprocessed_and_drawn(made):
    folder, report, seen = made
    names = [f"{case.name}_0000" for case in DEMO_CASES]
    assert sorted(result.case for result in report.summary.done) == names
    assert report.summary.failed == ()
    assert sorted(path.stem for path in (folder / "pictures").glob("*.png")) == names
    assert [finished for _, finished, _ in seen] == list(range(1, len(names) + 1))
    assert {total for *_, total in seen} == {len(names)}


def test_the_text_says_of_each_case_what_its_files_hold(made):
    folder, report, _ = made
    for case in DEMO_CASES:
        (line,) = (line for line in report.text.splitlines() if line.startswith(f"{case.name}_0000 "))
        before, after = re.findall(r"(\d+) x (\d+) x (\d+)(?: {2})", line)
        assert tuple(map(int, before)) == case.shape
        stored = read_npz(folder / "preprocessed" / "imagesTr" / f"{case.name}_0000.npz").array
        assert tuple(map(int, after)) == stored.shape[1:]


def test_the_text_names_the_folders_and_the_target(made):
    folder, report, _ = made
    for name in ("dataset", "preprocessed", "pictures"):
        assert str(folder / name) in report.text
    assert "target spacing (6.75, 2.4, 2.4) mm" in report.text


def test_a_second_demonstration_starts_over(made):
    folder, *_ = made
    again = make_demo(folder, 0, lambda result, finished, total: None)
    assert len(again.summary.done) == len(DEMO_CASES)
    assert again.summary.skipped == ()
