"""Image and label appear together or not at all, wherever a crash falls."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.errors import OutputError
from monai_mriprep.formats.npz import NpzVolume, WrittenFile, stage_npz
from monai_mriprep.run.cases import Result
from monai_mriprep.run.commit import commit_files, recover, remove_entry
from monai_mriprep.store.manifest import Manifest
from tests.runs import done_line, events, outputs

CASE = "case \udcff\n"
LINE = done_line(CASE, warnings=["a warning"])
FACTS = {key: LINE[key] for key in LINE.keys() - {"event", "case", "error", "warnings", "time"}}
RESULT = Result(CASE, "done", None, ("a warning",), FACTS)


@pytest.fixture
def root(tmp_path) -> Path:
    for name in ("imagesTr", "labelsTr", ".partial"):
        (tmp_path / name).mkdir()
    return tmp_path


def stage(root: Path, value: float = 1.0, name: str = "a") -> list[WrittenFile]:
    volume = NpzVolume(np.full((1, 2, 3, 4), value, np.float32), np.ones(3), np.eye(4))
    return [stage_npz(root / folder / f"{name}.npz", root / ".partial", volume) for folder in ("labelsTr", "imagesTr")]


class Crash(BaseException):
    """The process ends here."""


def crash_at(monkeypatch, number: int) -> None:
    """Crash at the n-th call that changes a folder or waits for the disk, before it has any effect."""
    count = iter(range(number + 1))

    def crashing(call):
        def wrapped(*arguments, **options):
            if next(count) == number:
                raise Crash
            return call(*arguments, **options)

        return wrapped

    monkeypatch.setattr(os, "fsync", crashing(os.fsync))
    monkeypatch.setattr(Path, "replace", crashing(Path.replace))
    monkeypatch.setattr(Path, "unlink", crashing(Path.unlink))


def test_a_crash_at_any_step_leaves_both_files_or_none(root, monkeypatch):
    """The old pair or the new one, after recovery; and a record for the new one exactly if it is there."""
    old = [file.sha256 for file in stage(root, 0.0)]
    crashes = 0
    while True:
        commit_files(root / ".partial", RESULT, stage(root, 0.0))
        remove_entry(root / ".partial", RESULT.case)
        files = stage(root, 1.0)
        crash_at(monkeypatch, crashes)
        try:
            commit_files(root / ".partial", RESULT, files)
            remove_entry(root / ".partial", RESULT.case)
        except Crash:
            crashed = True
        else:
            crashed = False
        monkeypatch.undo()
        if not crashed:
            break
        recovered = recover(root / ".partial")
        found = list(outputs(root).values())
        assert found == ([file.sha256 for file in files] if recovered else old)
        assert recovered in ([], [RESULT])
        for result in recovered:
            remove_entry(root / ".partial", result.case)
        assert list((root / ".partial").iterdir()) == []
        crashes += 1
    assert crashes >= 7, "two files and the journal synced, three moved, the entry removed"


def test_recovery_finishes_every_case_that_was_decided(root, monkeypatch):
    """Two workers may die in one moment."""
    results = [replace(RESULT, case=name) for name in ("a", "b", "c")]
    for result in results:
        with monkeypatch.context() as patch:
            crash_at(patch, 4)  # the entry is there, nothing has been moved
            with pytest.raises(Crash):
                commit_files(root / ".partial", result, stage(root, name=result.case))
    assert outputs(root) == {}
    assert sorted(recover(root / ".partial"), key=lambda result: result.case) == results
    assert sorted(outputs(root)) == [f"{folder}/{name}.npz" for folder in ("imagesTr", "labelsTr") for name in "abc"]


def test_recovery_may_crash_too(root, monkeypatch):
    files = stage(root)
    crash_at(monkeypatch, 4)
    with pytest.raises(Crash):
        commit_files(root / ".partial", RESULT, files)
    monkeypatch.undo()
    crash_at(monkeypatch, 1)
    with pytest.raises(Crash):
        recover(root / ".partial")
    monkeypatch.undo()
    assert recover(root / ".partial") == [RESULT]
    assert len(outputs(root)) == 2


def test_on_a_full_disk_nothing_is_left_behind(root, monkeypatch):
    for calls in range(4):  # two files, the journal, its folder
        files, count, sync = stage(root), iter(range(4)), os.fsync

        def fsync(descriptor, calls=calls, count=count, sync=sync):
            if next(count) == calls:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="No space"):
            commit_files(root / ".partial", RESULT, files)
        monkeypatch.undo()
        assert list((root / ".partial").iterdir()) == []
        assert outputs(root) == {}


def test_what_stands_in_the_way_is_named_until_it_is_gone(root):
    (root / "imagesTr" / "a.npz").mkdir()
    with pytest.raises(OutputError, match=r"imagesTr/a\.npz.*Is a directory"):
        commit_files(root / ".partial", RESULT, stage(root))
    with pytest.raises(OutputError, match=r"imagesTr/a\.npz"):
        recover(root / ".partial")
    (root / "imagesTr" / "a.npz").rmdir()
    assert recover(root / ".partial") == [RESULT]
    assert len(outputs(root)) == 2


ONE_PLACE = '{"result": {"case": "a", "status": "done", "warnings": []}, "moves": [["a.npz"]]}'


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "{}", '{"moves": []}', '{"moves": [], "result": 5}', ONE_PLACE]
)
def test_a_garbled_entry_decides_nothing(root, text):
    (root / ".partial" / "x.journal").write_text(text)
    assert recover(root / ".partial") == []
    assert list((root / ".partial").iterdir()) == []


def test_waste_is_cleared_away(root):
    stage(root)
    (root / ".partial" / "x.unfinished").write_text('{"result"')
    (root / ".partial" / "manifest.csv").write_text("")
    assert recover(root / ".partial") == []
    assert list((root / ".partial").iterdir()) == []
    assert outputs(root) == {}


def test_records_pass_through_the_journal_unchanged(root):
    commit_files(root / ".partial", RESULT, stage(root))
    (recovered,) = recover(root / ".partial")
    manifest = Manifest(root / "manifest.jsonl")
    manifest.append(recovered.record())
    (line,) = events(root)
    assert {**line, "time": LINE["time"]} == LINE
    assert manifest.read().done[CASE].warnings == ("a warning",)
