"""Which finished cases of a journal are not put in place any more, by records and by when their entry was written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monai_mriprep.errors import OutputError
from monai_mriprep.formats.sealed import NewerVersionError, seal
from monai_mriprep.store.description import VIRTUAL, Redo, RunDescription, write_description
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.outdated import TICK, outdated_in
from monai_mriprep.store.record_lines import append_lines
from monai_mriprep.store.records import Done
from tests.runs import done_line, record_of
from tests.store.faults import refuse

NOW = 1700000000.0
"""When the record in these tests was written."""
BEFORE, AFTER = NOW - 60, NOW + 60


def entry(value: int = 1, **changes: object) -> Done:
    """The record in an entry of the case; its files are others with another value."""
    outputs = {role: {**file, "crc32": value} for role, file in done_line()["outputs"].items()}
    return record_of(done_line(outputs=outputs, **changes))


def recorded(store, event: str, **facts: object) -> None:
    """A line of the manifest, of the case unless it is of a run."""
    of = {} if event == "opened" else {"case": "a"}
    line = done_line(**facts) if event == "done" else {"event": event, **of, **facts}
    append_lines(store.root, [seal({**line, "time": NOW})])


def judge(store) -> Callable[[Done, float], bool]:
    return outdated_in(store, read_index(store.root))


def describe(store, redo: int) -> None:
    facts = {"dataset_root": "/data", "recipe": {}, "derivation": "", "fingerprint": "f", "algorithm_version": 1}
    description = RunDescription(**facts, target_spacing=(1, 1, 1), statistics="table", redo=Redo(number=redo))
    write_description(store, description)


def test_without_records_none_is(store):
    assert not judge(store)(entry(), BEFORE)


LAST = {
    "done with other files": ("done", {}),
    "failed": ("failed", {"error": "why"}),
    "retired": ("retired", {"files": []}),
    "no record of the case, but of a run": ("opened", {"dataset_root": "/data", "cases": 3}),
}


@pytest.mark.parametrize(("event", "facts"), LAST.values(), ids=LAST)
def test_an_entry_is_outdated_if_the_last_record_is_newer(store, event, facts):
    recorded(store, event, **facts)
    is_outdated = judge(store)
    assert is_outdated(entry(), BEFORE)
    assert not is_outdated(entry(), AFTER), "a power cut may have taken what came after the record"
    assert not is_outdated(entry(), NOW - TICK / 2), "the clock of files lags behind"


def test_what_has_been_recorded_is_put_in_place(store):
    recorded(store, "done", outputs={role: file.model_dump() for role, file in entry().outputs.items()})
    assert not judge(store)(entry(), BEFORE)
    describe(store, redo=1)
    assert not judge(store)(entry(), BEFORE)


def test_that_somebody_has_begun_the_case_anew_says_nothing(store):
    recorded(store, "started", pid=5)
    assert not judge(store)(entry(), BEFORE)


def test_what_was_done_before_it_was_begun_anew_counts(store):
    recorded(store, "done")
    recorded(store, "started", pid=5)
    assert judge(store)(entry(), BEFORE)


def test_a_record_of_another_case_says_nothing(store):
    append_lines(store.root, [seal(done_line("b"))])
    assert not judge(store)(entry(), BEFORE)


def test_an_entry_from_before_the_last_redo_is_outdated_whenever_it_was_written(store):
    describe(store, redo=2)
    is_outdated = judge(store)
    assert is_outdated(entry(redo=1), AFTER)
    assert not is_outdated(entry(redo=2), AFTER)


def test_a_description_that_cannot_be_read_knows_of_no_redo(store):
    (store.root.path / "run.json").write_text("rubbish")
    assert not judge(store)(entry(), AFTER)


def test_one_of_a_newer_version_is_refused(store):
    (store.root.path / "run.json").write_text(f'{{"version": {VIRTUAL + 1}}}')
    with pytest.raises(NewerVersionError, match="update monai-mriprep"):
        judge(store)


def test_records_that_the_disk_does_not_give_are_no_fault_of_the_entry(store, monkeypatch):
    recorded(store, "done")
    is_outdated = judge(store)
    refuse(monkeypatch, "open_file", lambda *_: True, 5)
    with pytest.raises(OutputError, match=r"manifest\.jsonl: the records cannot be read") as caught:
        is_outdated(entry(), BEFORE)
    assert type(caught.value) is OutputError, "a RecordError would drop the entry"
