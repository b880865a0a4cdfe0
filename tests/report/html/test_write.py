"""The report of an output folder, as a file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.cohort.case import Suspect
from monai_mriprep.errors import OutputError
from monai_mriprep.formats.npz import NpzVolume, encode_npz, read_npz
from monai_mriprep.report.html import facts, parts, write
from monai_mriprep.report.html.viewer import views
from monai_mriprep.report.html.write import write_report, write_stored_report
from monai_mriprep.store.pictures import read_picture
from monai_mriprep.store.store import open_store
from tests.report.html.pages import measures, parsed
from tests.runs import FOLDER_OF_0_1_0, append_record, done_line

NAMES = ["10001_0001_0000", "10002_0001_0000"]


@pytest.fixture
def old(tmp_path) -> Path:
    """A folder of 0.1.0, which has no pictures and no measures."""
    return shutil.copytree(FOLDER_OF_0_1_0 / "out", tmp_path / "out")


def test_of_an_old_folder_the_result_alone_is_drawn_and_kept(old):
    write_report(old)
    html = parsed((old / "report.html").read_text(encoding="utf-8"))
    assert [card["data-case"] for card in html.every("article")] == NAMES
    said = {figure.one("figcaption").text for figure in html.every("figure", "picture")}
    assert said == {"as preprocessed; no picture was drawn of what was before"}
    assert html.one("p", "about").text.startswith("The pictures show the result alone")
    assert all(read_picture(old, name) for name in NAMES)


def test_the_same_folder_gives_the_same_page_again(old):
    write_report(old)
    first = parsed((old / "report.html").read_text(encoding="utf-8"))
    write_report(old)
    again = parsed((old / "report.html").read_text(encoding="utf-8"))
    for page in (first, again):
        assert all(one.one("figcaption").text.startswith("as preprocessed;") for one in page.every("figure", "picture"))
        assert page.one("p", "about").text.startswith("The pictures show the result alone")
    assert [one["src"] for one in first.every("img")] == [one["src"] for one in again.every("img")]


def test_a_picture_that_was_lost_is_drawn_of_the_result_and_not_kept(old):
    """A later report would take it for one of before and after."""
    lines = (old / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    measured = json.loads(lines[-1]) | {"measures": measures(5.0).model_dump(mode="json"), "time": 1.8e9}
    append_record(old, measured)
    write_report(old)
    cards = parsed((old / "report.html").read_text(encoding="utf-8")).every("article")
    assert [len(list(card.every("img"))) for card in cards] == [1, 1]
    assert [read_picture(old, name) is None for name in NAMES] == [False, True]


def test_a_case_whose_files_are_gone_has_a_card_without_a_picture(old):
    (old / "imagesTr" / f"{NAMES[0]}.npz").unlink()
    (old / "labelsTr" / "10002_0001.npz").write_bytes(b"damaged")
    write_report(old)
    html = parsed((old / "report.html").read_text(encoding="utf-8"))
    assert [list(card.every("img")) for card in html.every("article")] == [[], []]


def test_at_the_end_of_a_run_nothing_is_drawn(old):
    with open_store(old) as store:
        store.prepare(())
        write_stored_report(store)
        store.leave()
    assert list(parsed((old / "report.html").read_text(encoding="utf-8")).every("img")) == []
    assert not (old / ".report").exists() or list((old / ".report").iterdir()) == []


def test_what_is_no_picture_is_not_shown(old):
    (old / ".report").mkdir()
    for name in NAMES:
        (old / ".report" / f"{name}.webp").write_bytes(b"<svg onload=alert(1)>")
    with open_store(old) as store:
        store.prepare(())
        write_stored_report(store)
    assert list(parsed((old / "report.html").read_text(encoding="utf-8")).every("img")) == []


def test_pages_of_an_earlier_report_go(old):
    (old / "report").mkdir()
    (old / "report" / "page-0001.html").write_text("old")
    write_report(old)
    assert list((old / "report").iterdir()) == []


def test_nothing_is_left_in_partial(old):
    write_report(old)
    assert list((old / ".partial").iterdir()) == []


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(OutputError, match="no record of a case"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_leaves_the_one_before(old, monkeypatch):
    write_report(old)
    before = (old / "report.html").read_bytes()
    append_record(old, done_line("new", time=1.8e9))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monai_mriprep.store.calls.rename", full)
    with pytest.raises(OutputError, match=r"report\.html: cannot be written"):
        write_report(old)
    assert (old / "report.html").read_bytes() == before


def test_absurd_numbers_in_records_spoil_nothing(old):
    for number, edge in enumerate((1e-160, 1e160)):
        place = {"shape": [2**20] * 3, "affine": [[0, 0, edge, 0], [0, edge, 0, 0], [edge, 0, 0, 0], [0, 0, 0, 1]]}
        labels = {"before": {"1": 2**62}, "after": {"1": 2**62}}
        append_record(old, done_line(f"odd_{number}", source_grid=place, target_grid=place, labels=labels, time=1.8e9))
    write_report(old)
    assert (old / "report.html").read_text(encoding="utf-8").count('class="card"') == 4


def test_a_link_in_place_of_the_page_is_not_followed(old, tmp_path):
    (tmp_path / "elsewhere").write_text("mine")
    (old / "report.html").symlink_to(tmp_path / "elsewhere")
    write_report(old)
    assert (tmp_path / "elsewhere").read_text(encoding="utf-8") == "mine"
    assert not (old / "report.html").is_symlink()


def test_a_report_loads_neither_torch_nor_monai(old):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from monai_mriprep.report.html.write import write_report\n"
        "write_report(Path(sys.argv[1]))\n"
        "print({'torch', 'monai', 'itk', 'pandas'} & set(sys.modules) or 'neither')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(old)], capture_output=True, text=True, check=True)
    assert done.stdout == "neither\n"


def test_suspects_that_were_preprocessed_have_a_view(old, monkeypatch):
    suspects = (Suspect(NAMES[0], "size", "unlike the others"), Suspect("10003", "failed", "broken"))
    monkeypatch.setattr(facts, "find_suspects", lambda cases: suspects)
    append_record(old, {"event": "failed", "case": "10003", "time": 1, "error": "broken"})
    write_report(old)
    html = parsed((old / "report.html").read_text(encoding="utf-8"))
    assert [hook["data-case"] for hook in html.every("div", "viewer")] == [NAMES[0]]
    assert [block["data-case"] for block in html.every("script", "viewer-volume")] == [NAMES[0]]


def test_only_the_first_suspects_of_the_page_have_a_view(old, monkeypatch):
    monkeypatch.setattr(views, "MOST_VIEWS", 1)
    monkeypatch.setattr(facts, "find_suspects", lambda cases: [Suspect(name, "size", "odd") for name in NAMES])
    write_report(old)
    cards = list(parsed((old / "report.html").read_text(encoding="utf-8")).every("article"))
    assert [len(list(card.every("div", "viewer"))) for card in cards] == [1, 0]


def test_a_report_of_several_pages_replaces_those_of_an_earlier_one(old, monkeypatch):
    monkeypatch.setattr(parts, "LINKED_CASES", 1)
    monkeypatch.setattr(parts, "CASES_A_PAGE", 1)
    (old / "report").mkdir()
    for name in ("page-0001.html", "page-0003.html"):
        (old / "report" / name).write_text("old")
    write_report(old)
    pages = sorted((old / "report").iterdir())
    assert [page.name for page in pages] == ["page-0001.html", "page-0002.html"]
    assert [name in page.read_text(encoding="utf-8") for name, page in zip(NAMES, pages, strict=True)] == [True, True]


def test_a_picture_of_a_case_that_failed_shows_the_scan(old):
    write_report(old)
    append_record(old, {"event": "failed", "case": "c", "time": 1.0, "error": "broken"})
    (old / ".report" / "c.webp").write_bytes(read_picture(old, NAMES[0]))
    write_report(old)
    image = parsed((old / "report.html").read_text(encoding="utf-8")).one("article", id="case-1").one("img")
    assert image["alt"] == "Three planes of c: as scanned; it could not be preprocessed"


def test_what_is_set_aside_for_it_is_told(old, tmp_path, caplog):
    (tmp_path / "mine.html").write_text("mine")
    (old / "report.html").symlink_to(tmp_path / "mine.html")
    write_report(old)
    (message,) = caplog.messages
    assert "report.html is a link, which cannot be used here; it is set aside as" in message
    assert (tmp_path / "mine.html").read_text(encoding="utf-8") == "mine"


def test_of_several_channels_the_first_is_drawn(old):
    write_report(old)
    drawn = read_picture(old, NAMES[0])
    path = old / "imagesTr" / f"{NAMES[0]}.npz"
    image = read_npz(path)
    both = NpzVolume(np.concatenate([image.array, 0 * image.array]), image.spacing, image.affine)
    path.write_bytes(b"".join(encode_npz(both)))
    (old / ".report" / f"{NAMES[0]}.webp").unlink()
    write_report(old)
    assert read_picture(old, NAMES[0]) == drawn


def test_what_is_pruned_while_it_is_written_is_not_shown(old, monkeypatch):
    def prune_meanwhile(store, *arguments):
        monkeypatch.undo()
        before(store, *arguments)
        left = [
            line
            for line in (old / "manifest.jsonl").read_text(encoding="utf-8").splitlines(True)
            if NAMES[0] not in line
        ]
        (old / "new").write_text("".join(left))
        (old / "new").replace(old / "manifest.jsonl")

    before = write._write
    monkeypatch.setattr(write, "_write", prune_meanwhile)
    page = write_report(old)
    assert [case.name for case in page.cases] == NAMES[1:]
    assert NAMES[0] not in (old / "report.html").read_text(encoding="utf-8")


def test_a_file_that_would_fill_the_memory_is_not_drawn(old, monkeypatch):
    monkeypatch.setattr(views, "LARGEST", 100)
    write_report(old)
    assert [
        list(card.every("img")) for card in parsed((old / "report.html").read_text(encoding="utf-8")).every("article")
    ] == [[], []]
