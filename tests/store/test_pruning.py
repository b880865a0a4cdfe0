"""Which lines of the manifest are deleted with a retired case, and which stay, byte for byte."""

from __future__ import annotations

import errno
import json

import pytest

from monai_mriprep.errors import DiskFullError
from monai_mriprep.formats import sealed
from monai_mriprep.formats.sealed import NewerVersionError, seal
from monai_mriprep.store import record_lines
from monai_mriprep.store.pruning import Deleted, Retirement, delete_records, retirements
from tests.runs import done_line
from tests.store.faults import refuse


def line(event: str, case: str, **facts: object) -> bytes:
    return f"{seal({'event': event, 'case': case, 'time': 1.5, **facts})}\n".encode()


def retired(case: str, *files: str) -> bytes:
    return line("retired", case, files=files)


def started(case: str) -> bytes:
    return line("started", case, pid=5)


def opened(*warnings: str, **facts: object) -> bytes:
    facts = {"event": "opened", "time": 1.5, "dataset_root": "/d", "cases": 3, "warnings": warnings, **facts}
    return f"{seal(facts)}\n".encode()


OPENED = opened("no table")
DONE = f"{json.dumps(done_line('a'))}\n".encode()
"""As 0.1.0 wrote it."""
DAMAGED = b'{"event": "done", "case": "a", "warnings": [], "case": "b"\n'
"""It seems to name two cases."""


def write(store, *lines: bytes) -> None:
    (store.root.path / "manifest.jsonl").write_bytes(b"".join(lines))


def written(store) -> bytes:
    return (store.root.path / "manifest.jsonl").read_bytes()


def test_the_last_line_of_a_retirement_counts_and_the_files_of_all(store):
    assert retirements(store) == {}
    first = retired("a", "retired/imagesTr/a.npz"), DONE, retired("b"), DAMAGED
    write(store, *first, retired("a", "retired/imagesTr/a.2.npz", "retired/labelsTr/a.npz"), started("a"))
    assert retirements(store) == {
        "a": Retirement(4, frozenset({f"retired/{name}.npz" for name in ("imagesTr/a", "imagesTr/a.2", "labelsTr/a")})),
        "b": Retirement(2, frozenset()),
    }


def test_a_newer_version_may_have_retired_others(store, monkeypatch):
    monkeypatch.setattr(sealed, "format_of", lambda facts: sealed.FORMAT_VERSION + 1)
    newer = retired("a")
    monkeypatch.undo()
    write(store, newer)
    with pytest.raises(NewerVersionError):
        retirements(store)


def test_all_lines_of_a_case_go_and_the_others_stay_as_they_are(store):
    others = OPENED, started("b"), b"\n", b"no record\n", started("c")
    write(store, others[0], DONE, others[1], started("a"), *others[2:4], retired("a"), others[4])
    assert delete_records(store, retirements(store)) == Deleted(3, 0)
    assert written(store) == b"".join(others)


def test_a_case_that_lives_on_keeps_what_came_after(store):
    write(store, DONE, retired("a"), started("a"), DONE)
    assert delete_records(store, retirements(store)) == Deleted(2, 0)
    assert written(store) == started("a") + DONE


def test_of_two_retired_cases_the_one_that_was_not_chosen_stays(store):
    write(store, started("a"), started("b"), retired("a"), retired("b"))
    assert delete_records(store, {"a": retirements(store)["a"]}) == Deleted(2, 0)
    assert written(store) == started("b") + retired("b")


@pytest.mark.parametrize("case", ["a", "b"])
def test_a_damaged_line_goes_with_every_case_that_it_seems_to_name(store, case):
    write(store, DAMAGED, retired(case), DAMAGED)
    assert delete_records(store, retirements(store)) == Deleted(2, 0)
    assert written(store) == DAMAGED, "it may be of a case that lives on"


def test_a_line_after_zeros_goes_with_them(store):
    write(store, bytes(100) + started("a"), bytes(100) + started("b"), retired("a"))
    assert delete_records(store, retirements(store)) == Deleted(2, 0)
    assert written(store) == bytes(100) + started("b")


def test_all_pieces_of_a_line_without_end_go(store, monkeypatch):
    monkeypatch.setattr(record_lines, "LONGEST_LINE", 200)
    endless = b'{"event": "done", "case": "a", "warnings": ["' + b"x" * 1000 + b'"]}\n'
    write(store, endless, endless.replace(b'"a"', b'"b"'), retired("a"))
    assert delete_records(store, retirements(store)) == Deleted(2, 0)
    assert written(store) == endless.replace(b'"a"', b'"b"')


def test_a_torn_last_line_is_left_as_it_is(store):
    torn = started("b")[:-20]
    write(store, started("a"), retired("a"), torn)
    delete_records(store, retirements(store))
    assert written(store) == torn


def test_without_a_case_nothing_is_written(store):
    write(store, OPENED, retired("a"))
    before = (store.root.path / "manifest.jsonl").stat()
    assert delete_records(store, {}) == Deleted(0, 0)
    assert (store.root.path / "manifest.jsonl").stat() == before


def test_warnings_of_runs_that_name_a_file_of_the_case_go_and_the_others_stay(store):
    first = opened("d: no table", "'10_1.mha' is skipped: no label was found", "'10_1x.mha' has no label", "10_10")
    files = ("retired/imagesTr/10_1.npz", "retired/labelsTr/10_1_seg.2.npz")
    write(store, first, retired("10_1", *files), opened("'10_1_seg.mha' is skipped", key="of a later version"))
    assert delete_records(store, retirements(store)) == Deleted(1, 2)
    kept = opened("d: no table", "'10_1x.mha' has no label", "10_10")
    assert written(store) == kept + opened(key="of a later version")


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_where_they_cannot_be_written_they_are_as_before(store, monkeypatch, call):
    write(store, DONE, retired("a"), started("b"))
    before = written(store)
    _ = store.staging
    refuse(monkeypatch, call, lambda *_: True, errno.ENOSPC)
    with pytest.raises(DiskFullError, match=r"manifest\.jsonl: cannot be written"):
        delete_records(store, retirements(store))
    assert written(store) == before
    assert store.staging.names() == []
