"""The page of a check as a file: where it may be, that it is whole or as before, and what is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.errors import OutputError
from monai_mriprep.report.html import check_file
from monai_mriprep.report.html.check_file import check_report
from monai_mriprep.report.html.write import write_report
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.dataset_report import CaseReport, DatasetReport
from tests.report.html.pages import parsed
from tests.runs import FOLDER_OF_0_1_0, write_cases


def checked(root: Path, file: Path) -> DatasetReport:
    """Check a dataset, with a report."""
    with check_report(file) as report:
        found = check_dataset(root, voxels=True, workers=2, keep_picture=report.keep_picture)
        report.write(found)
    return found


def write(file: Path, found: DatasetReport) -> None:
    with check_report(file) as report:
        report.write(found)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def many(count: int) -> DatasetReport:
    """A check that knows no more than the names of its cases."""
    names = [f"case_{n}" for n in range(count)]
    return DatasetReport(
        Path("scans"),
        cases=tuple(CaseReport(name, Path(name)) for name in names),
        cohort=tuple(map(CohortCase, names)),
    )


def test_every_case_has_its_picture(tmp_path):
    checked(write_cases(tmp_path / "scans", 3), tmp_path / "scans.html")
    html = parsed((tmp_path / "scans.html").read_text(encoding="utf-8"))
    assert [card["data-case"] for card in html.every("article")] == ["case_0", "case_1", "case_2"]
    pictures = [card.one("img") for card in html.every("article")]
    assert {picture["src"][:23] for picture in pictures} == {"data:image/webp;base64,"}
    assert len({picture["src"] for picture in pictures}) == 3
    assert pictures[0]["alt"] == "Three planes of case_0: as scanned"
    assert names_in(tmp_path) == ["scans", "scans.html"]


def test_pictures_that_are_too_many_for_the_memory_are_the_same(tmp_path, monkeypatch):
    root = write_cases(tmp_path / "scans", 3)
    found = []
    for limit in (1 << 26, 1):
        monkeypatch.setattr(check_file, "IN_MEMORY", limit)
        checked(root, tmp_path / "scans.html")
        html = parsed((tmp_path / "scans.html").read_text(encoding="utf-8"))
        found.append([image["src"] for image in html.every("img")])
        assert names_in(tmp_path) == ["scans", "scans.html"]
    assert found[0] == found[1]


def test_hostile_names_are_text(tmp_path):
    name = "<script>alert(1)<&>\"'\u202e"
    root = write_cases(tmp_path / name, 1)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder / "case_0.mha").rename(root / folder / f"{name.replace('/', '')}.mha")
    file = tmp_path / 'my "scans" #1.html'
    checked(root, file)
    html = parsed(file.read_text(encoding="utf-8"))
    assert html.one("article")["data-case"] == name
    assert len(list(html.every("script"))) == 1
    assert r"\u202e" in html.one("h1").text


def test_more_cases_have_pages_beside_the_file(tmp_path):
    file = tmp_path / "scans #1.html"
    write(file, many(1010))
    pages = tmp_path / "scans #1_files"
    assert names_in(pages) == ["page-0001.html", "page-0002.html", "page-0003.html"]
    html = parsed(file.read_text(encoding="utf-8"))
    (link,) = html.one("nav", "pages").every("a")
    assert link["href"] == "scans%20%231_files/page-0001.html"
    last = parsed((pages / "page-0003.html").read_text(encoding="utf-8"))
    assert next(iter(last.one("nav", "pages").every("a")))["href"] == "../scans%20%231.html"
    assert sum(1 for _ in last.every("article")) == 10


def test_pages_of_an_earlier_report_go_and_nothing_else(tmp_path):
    file, pages = tmp_path / "scans.html", tmp_path / "scans_files"
    pages.mkdir()
    for name in ("page-0001.html", "page-0009.html", "mine.html"):
        (pages / name).write_text("old")
    write(file, many(3))
    assert names_in(pages) == ["mine.html"]


def test_a_report_of_ours_is_replaced(tmp_path):
    file = tmp_path / "scans.html"
    write(file, many(2))
    first = file.read_text(encoding="utf-8")
    write(file, many(3))
    assert "case_2" in file.read_text(encoding="utf-8")
    assert "case_2" not in first


def test_what_is_no_report_of_ours_is_not_replaced(tmp_path):
    (tmp_path / "mine.html").write_text("<!doctype html><title>mine</title>")
    write_report(shutil.copytree(FOLDER_OF_0_1_0 / "out", tmp_path / "out"))
    (tmp_path / "of_a_run.html").write_bytes((tmp_path / "out" / "report.html").read_bytes())
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "dangling.html").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.html")
    for name in ("mine", "of_a_run", "folder", "dangling", "pipe"):
        with pytest.raises(OutputError, match=rf"{name}\.html: is no page of a check, and is not replaced"):
            write(tmp_path / f"{name}.html", many(1))


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.mha", "report", ".html"])
def test_a_name_of_no_page_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match=r"a report is a page; give a name that ends in \.html"):
        write(tmp_path / name, many(1))


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"there is no folder .*missing; make it, or name another file"):
        write(tmp_path / "missing" / "scans.html", many(1))


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match=r"scans\.html: cannot be written \(Permission denied\); mend it"):
        write(tmp_path / "scans.html", many(1))


def test_a_page_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    file = tmp_path / "scans.html"
    write(file, many(1))
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monai_mriprep.store.calls.write", full)
    with pytest.raises(OutputError, match=r"scans\.html: cannot be written \(No space left on device\)"):
        write(file, many(3))
    assert file.read_bytes() == before
    assert names_in(tmp_path) == ["scans.html"]


def test_a_link_in_place_of_the_page_is_not_followed(tmp_path):
    write(tmp_path / "elsewhere.html", many(1))
    before = (tmp_path / "elsewhere.html").read_bytes()
    (tmp_path / "scans.html").symlink_to("elsewhere.html")
    write(tmp_path / "scans.html", many(2))
    assert (tmp_path / "elsewhere.html").read_bytes() == before
    assert not (tmp_path / "scans.html").is_symlink()


def test_a_page_loads_neither_torch_nor_monai(tmp_path):
    """The second reading of `check` does: it is ITK's."""
    code = (
        "import sys, monai_mriprep.run.check\n"
        "from pathlib import Path\n"
        "from monai_mriprep.report.html.check_file import check_report\n"
        "from monai_mriprep.run.dataset_report import DatasetReport\n"
        "with check_report(Path(sys.argv[1])) as page:\n"
        "    page.write(DatasetReport(Path('scans'), fatal=('no cases',)))\n"
        "print({'torch', 'monai', 'itk', 'pandas'} & set(sys.modules) or 'neither')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "scans.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "neither\n"
