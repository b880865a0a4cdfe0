"""``manifest.jsonl``: lines that are whole, torn, edited or rubbish."""

from __future__ import annotations

import json

import pytest

from monai_mriprep.store.manifest import Manifest
from tests.runs import done_line

FAILED = {"event": "failed", "error": "why"}


@pytest.fixture
def manifest(tmp_path) -> Manifest:
    manifest = Manifest(tmp_path / "manifest.jsonl")
    for name in ("a", "b"):
        manifest.append(done_line(name))
    return manifest


def append(manifest: Manifest, line: dict) -> None:
    """As somebody who edits the file: the time stays."""
    with manifest.path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_the_last_record_of_each_case_and_the_last_of_success(manifest):
    manifest.append({"event": "started", "case": "a"})
    manifest.append({**FAILED, "case": "a"})
    manifest.append({"event": "started", "case": "c"})
    records = manifest.read()
    assert {name: record.event for name, record in records.latest.items()} == {
        "a": "failed",
        "b": "done",
        "c": "started",
    }
    assert {name: record.event for name, record in records.done.items()} == {"a": "done", "b": "done"}
    assert records.unreadable == {}


def test_a_line_torn_anywhere_is_no_record_and_is_closed(manifest):
    first = manifest.path.stat().st_size
    manifest.append({**FAILED, "case": "d"})
    whole = manifest.path.read_bytes()
    named = whole.index(b'"d"', first) + len('"d"')
    for length in range(first, len(whole)):
        manifest.path.write_bytes(whole[:length])
        records = manifest.read()
        assert set(records.latest) == ({"a", "b", "d"} if length == len(whole) - 1 else {"a", "b"})
        assert set(records.unreadable) == ({"d"} if named <= length < len(whole) - 1 else set())
        manifest.append({"event": "started", "case": "c"})
        assert {"a", "b", "c"} <= set(manifest.latest()) <= {"a", "b", "c", "d"}


STRANGE = (
    b'{"event": "done"}\n',
    b'{"case": 5}\n',
    b'{"event": "done", "case": []}\n',
    b'{"event": "done", "case": "\\x"}\n',
)


@pytest.mark.parametrize("rubbish", [b"\xff\xfe\n", b"[]\n", b"3\n", b"\n\n", b"\0" * 100, b"[" * 9000, *STRANGE])
def test_rubbish_that_names_no_case_is_passed_over(manifest, rubbish):
    with manifest.path.open("ab") as file:
        file.write(rubbish)
    manifest.append({"event": "started", "case": "c"})
    records = manifest.read()
    assert set(records.latest) == {"a", "b", "c"}
    assert records.unreadable == {}


@pytest.mark.parametrize("name", ["a", 'odd "name"\n\\', "caf\udce9"])
def test_a_case_whose_last_line_is_no_record_has_none(manifest, name):
    manifest.append(done_line(name))
    append(manifest, done_line(name, outputs=5))
    records = manifest.read()
    assert name not in records.latest
    assert name in records.done, "an earlier record still says what was written"
    number = len(manifest.path.read_text().splitlines())
    assert records.unreadable[name].startswith(f"line {number} of manifest.jsonl is no record (done.outputs: ")


def test_a_later_record_settles_it(manifest):
    append(manifest, done_line("a", outputs=5))
    manifest.append({"event": "started", "case": "a"})
    records = manifest.read()
    assert records.unreadable == {}
    assert records.latest["a"].event == "started"


def test_no_manifest_has_no_records(tmp_path):
    assert Manifest(tmp_path / "none.jsonl").read().latest == {}
