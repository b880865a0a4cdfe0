"""The pictures of the report in an output folder: written, read and removed, and nothing outside is reached."""

from __future__ import annotations

import pytest

from monai_mriprep.errors import OutputError
from monai_mriprep.pictures.webp import MAX_BYTES
from monai_mriprep.store.pictures import picture_name, read_picture, remove_pictures, remove_report, write_picture
from tests.store.faults import refuse


def test_a_picture_is_read_as_it_was_written_and_replaces_the_one_before(store):
    write_picture(store, "a", b"one")
    largest = bytes(MAX_BYTES)
    write_picture(store, "a", largest)
    assert (store.root.path / ".report" / "a.webp").read_bytes() == largest
    assert read_picture(store.root.path, "a") == largest
    assert store.staging.names() == []


@pytest.mark.parametrize("case", ["a" * 250, "a" * 251, "ä" * 126, "\udcff"])
def test_any_case_that_has_a_file_can_have_a_picture(store, case):
    write_picture(store, case, b"one")
    assert read_picture(store.root.path, case) == b"one"


def test_a_name_that_is_too_long_gets_another():
    assert picture_name("a" * 250) == "a" * 250 + ".webp"
    assert len(picture_name("a" * 251)) == 64 + len(".webp")
    assert picture_name("a" * 251) != picture_name("a" * 250 + "b")


def test_what_cannot_be_written_is_told_and_leaves_nothing(store, monkeypatch):
    write_picture(store, "a", b"one")
    refuse(monkeypatch, "rename", lambda *names: True)
    with pytest.raises(OutputError, match=r"\.report: a picture cannot be written there"):
        write_picture(store, "a", b"two")
    monkeypatch.undo()
    assert read_picture(store.root.path, "a") == b"one"
    assert store.staging.names() == []


def test_there_may_be_no_picture(store):
    assert read_picture(store.root.path, "a") is None
    write_picture(store, "a", b"one")
    assert read_picture(store.root.path, "b") is None
    assert read_picture(store.root.path, "../a") is None


def test_no_link_is_followed_and_no_large_file_read(store, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    write_picture(store, "a", b"one")
    (store.root.path / ".report" / "b.webp").symlink_to(tmp_path / "secret")
    (store.root.path / ".report" / "c.webp").write_bytes(b"0" * (2**20 + 1))
    assert read_picture(store.root.path, "b") is None
    assert read_picture(store.root.path, "c") is None
    write_picture(store, "b", b"two")
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_pictures_are_removed_by_case(store):
    remove_pictures(store, ["a"])
    for case in ("a", "b"):
        write_picture(store, case, b"one")
    remove_pictures(store, ["a", "no such case"])
    assert store.folder(".report").names() == ["b.webp"]


def test_a_report_is_removed_with_its_pages_and_nothing_else(store):
    remove_report(store)
    (store.root.path / "report").mkdir()
    for name in ("report.html", "report/page-0001.html", "report/notes.txt"):
        (store.root.path / name).write_text("x")
    remove_report(store)
    assert not (store.root.path / "report.html").exists()
    assert store.folder("report").names() == ["notes.txt"]


def test_what_stands_in_the_way_of_the_pictures_is_set_aside(store):
    (store.root.path / ".report").write_text("mine")
    (told,) = store.prepare()
    assert ".report is a file" in told
    write_picture(store, "a", b"one")
    assert read_picture(store.root.path, "a") == b"one"
