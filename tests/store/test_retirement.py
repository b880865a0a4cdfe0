"""Files of cases that leave: at every moment they have a name, and in the end one."""

from __future__ import annotations

import errno
from contextlib import suppress

import pytest

from monai_mriprep.store.records import OutputRecord
from monai_mriprep.store.retirement import retire_output
from tests.store.faults import Crash, crash_at, note, refuse
from tests.store.pairs import commit, stage


@pytest.fixture
def output(store) -> OutputRecord:
    """An image that is in place."""
    files = stage(store)
    commit(store, files)
    (image,) = (file for file in files if file.move.folder == "imagesTr")
    facts = {"size": image.size, "mtime_ns": image.mtime_ns, "sha256": image.sha256, "crc32": image.crc32}
    return OutputRecord(path="imagesTr/a.npz", **facts)


def names(store) -> list[str]:
    """All of the image."""
    return sorted(str(path.relative_to(store.root.path)) for path in store.root.path.rglob("imagesTr/*"))


def test_the_new_name_is_on_the_disk_before_the_old_one_goes(store, output, monkeypatch):
    seen = note(monkeypatch)
    assert retire_output(store, output) == "retired/imagesTr/a.npz"
    assert names(store) == ["retired/imagesTr/a.npz"]
    assert seen[-2:] == [("sync", "retired/imagesTr"), ("sync", "out/imagesTr")]
    assert "move" not in dict(seen)


def test_a_crash_anywhere_leaves_the_file_and_the_next_run_finishes(store, output, monkeypatch):
    changes = 0
    while True:
        with monkeypatch.context() as patch:
            crash_at(patch, changes)
            with suppress(Crash):
                retire_output(store, output)
                break
        assert names(store) != []
        assert retire_output(store, output) == "retired/imagesTr/a.npz"
        assert names(store) == ["retired/imagesTr/a.npz"]
        (store.root.path / "retired/imagesTr/a.npz").rename(store.root.path / output.path)
        changes += 1
    assert changes >= 4, "a link, two syncs, and a name that goes"


def test_a_file_system_without_second_names(store, output, monkeypatch):
    refuse(monkeypatch, "link", lambda *_: True, errno.EPERM)
    assert retire_output(store, output) == "retired/imagesTr/a.npz"
    assert names(store) == ["retired/imagesTr/a.npz"]


def test_another_file_of_that_name_stays(store, output):
    (store.root.path / "retired" / "imagesTr").mkdir(parents=True)
    (store.root.path / "retired" / "imagesTr" / "a.npz").write_bytes(b"another")
    assert retire_output(store, output) == "retired/imagesTr/a.2.npz"
    assert (store.root.path / "retired" / "imagesTr" / "a.npz").read_bytes() == b"another"
