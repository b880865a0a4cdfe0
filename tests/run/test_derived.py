"""The derived files: whole, or not there."""

from __future__ import annotations

import errno
import json
import os

import pytest

from monai_mriprep.run import derived
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


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_no_line_is_lost_or_doubled_between_two_pieces(tmp_path, monkeypatch, at_once):
    cases = [f"case_{number}" for number in range(6)]
    for case in cases:
        append_record(tmp_path, done_line(case))
    monkeypatch.setattr(derived, "TEXTS_AT_ONCE", at_once)
    monkeypatch.setattr(derived, "is_current", lambda *_: True)
    with open_store(tmp_path) as store:
        store.prepare()
        write_derived(store, read_index(store.root), cases, "f")
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["case", *cases]
    assert json.loads((tmp_path / "dataset.json").read_text())["numTraining"] == 6


def test_a_case_that_has_failed_since_is_not_good_for_training(tmp_path, monkeypatch):
    for line in (done_line("a"), done_line("b"), {"event": "failed", "case": "a", "error": "why", "time": 1.0}):
        append_record(tmp_path, line)
    monkeypatch.setattr(derived, "is_current", lambda *_: True)
    with open_store(tmp_path) as store:
        store.prepare()
        write_derived(store, read_index(store.root), ["a", "b"], "f")
    assert json.loads((tmp_path / "dataset.json").read_text())["numTraining"] == 1


def test_a_name_that_is_not_text_is_shown_in_the_table(tmp_path):
    append_record(tmp_path, done_line("caf\udcff"))
    with open_store(tmp_path) as store:
        store.prepare()
        write_derived(store, read_index(store.root), ["caf\udcff"], "f")
    assert "caf\\udcff" in (tmp_path / "manifest.csv").read_text(encoding="utf-8")
