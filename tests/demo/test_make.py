"""The demonstration: dataset, results and pictures, and the text that names them."""

from __future__ import annotations

import re

import pytest

from monai_mriprep.demo.make import MARKER, make_demo
from monai_mriprep.demo.phantoms import DEMO_CASES
from monai_mriprep.errors import OutputError
from monai_mriprep.formats.npz import read_npz


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "new" / "demo"
    seen = []
    report = make_demo(folder, 0, lambda result, finished, total: seen.append((result.case, finished, total)))
    return folder, report, seen


def test_every_pair_is_preprocessed_and_drawn(made):
    folder, report, seen = made
    names = [f"{case.name}_0000" for case in DEMO_CASES]
    assert sorted(result.case for result in report.summary.done) == names
    assert report.summary.failed == ()
    assert sorted(path.stem for path in (folder / "preprocessed" / ".report").glob("*.webp")) == names
    assert [finished for _, finished, _ in seen] == list(range(1, len(names) + 1))
    assert {total for *_, total in seen} == {len(names)}


def test_the_text_says_of_each_case_what_its_files_hold(made):
    folder, report, _ = made
    for case in DEMO_CASES:
        (line,) = (line for line in report.text.splitlines() if line.startswith(f"{case.name}_0000 "))
        before, after = re.findall(r"(\d+)x(\d+)x(\d+)(?: {2})", line)
        assert tuple(map(int, before)) == case.shape
        stored = read_npz(folder / "preprocessed" / "imagesTr" / f"{case.name}_0000.npz").array
        assert tuple(map(int, after)) == stored.shape[1:]


def test_the_text_names_the_folders_and_fits_a_terminal(made):
    folder, report, _ = made
    for name in ("dataset", "preprocessed/.report"):
        assert str(folder / name) in report.text
    page = folder / "preprocessed" / "report.html"
    assert report.summary.report == page
    assert max(len(line) for line in report.text.splitlines() if "/" not in line) <= 80
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_second_demonstration_starts_over(made):
    folder, *_ = made
    again = make_demo(folder, 0, lambda result, finished, total: None)
    assert len(again.summary.done) == len(DEMO_CASES)
    assert again.summary.skipped == ()
    assert (folder / MARKER).read_text().startswith("The command `monai-mriprep demo` made this folder")


@pytest.mark.parametrize("files", [(), ("dataset/ImagesTr/10000_0001_0000.mha",), ("preprocessed/run.json", "x")])
def test_a_folder_of_others_is_left_alone(tmp_path, files):
    for file in files:
        (tmp_path / "mine" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / file).write_text("mine")
    (tmp_path / "mine").mkdir(exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(OutputError, match=r"mine is there already, .* give the name of a folder that does not exist"):
        make_demo(tmp_path / "mine", 0, lambda result, finished, total: None)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_file_and_a_place_below_one_are_no_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/demo"):
        with pytest.raises(OutputError, match=r"give (another|the name of a) folder"):
            make_demo(tmp_path / place, 0, lambda result, finished, total: None)
    assert (tmp_path / "file").read_text() == "mine"
