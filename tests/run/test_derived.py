"""The derived files: whole, or not there."""

from __future__ import annotations

import errno
import os

import pytest

from monai_mriprep.run.derived import write_derived
from monai_mriprep.store import calls
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from tests.runs import append_record, done_line
from tests.store.faults import refuse


def test_what_cannot_be_written_leaves_no_old_one(tmp_path, monkeypatch):
    append_record(tmp_path, done_line("a"))
    for name in ("manifest.csv", "dataset.json"):
        (tmp_path / name).write_text("old")

    def full(descriptor, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_store(tmp_path) as store:
        store.prepare()
        monkeypatch.setattr(calls, "write", full)
        write_derived(store, read_index(store.root), ["a"], "f")
        assert store.staging.names() == []
    assert not (tmp_path / "manifest.csv").exists()
    assert not (tmp_path / "dataset.json").exists()


@pytest.mark.parametrize(
    ("refused", "left"),
    [
        (("open_file", lambda name, *_: name == "manifest.jsonl"), []),
        (("status", lambda name, *_: name == "a.npz"), ["manifest.csv"]),
    ],
    ids=["records", "volumes"],
)
def test_what_cannot_be_read_leaves_no_old_one(tmp_path, monkeypatch, refused, left):
    append_record(tmp_path, done_line("a"))
    with open_store(tmp_path) as store:
        store.prepare()
        index = read_index(store.root)
        for name in ("manifest.csv", "dataset.json"):
            (tmp_path / name).write_text("old")
        refuse(monkeypatch, *refused)
        write_derived(store, index, ["a"], "f")
    assert [name for name in ("manifest.csv", "dataset.json") if (tmp_path / name).exists()] == left
