"""Records in groups: how often the disk is waited for, and what is removed when."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import closing

import pytest

from monai_mriprep.errors import DiskFullError, LockedError, OutputError
from monai_mriprep.store import recorder as module
from monai_mriprep.store.attempts import Attempt, Shard
from monai_mriprep.store.description import RunDescription, read_description, write_description
from monai_mriprep.store.journal import commit_files, recover
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.recorder import GROUP_RECORDS, GROUP_SECONDS, Recorder, ShardRecorder
from tests.runs import events
from tests.store.faults import fail_at, note, refuse
from tests.store.pairs import left_in, record_of, recovered, stage

STARTED = {"event": "started", "case": "a", "pid": 7}
OPENED = {"event": "opened", "dataset_root": "/data", "cases": 3, "shard": "1-of-2", "plan": "p"}
GROUP = [("sync", "out/manifest.jsonl"), ("sync", "out/imagesTr"), ("sync", "out/labelsTr")]


class Clock:
    """A time that stands still until it is moved on."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 0.123456


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def recorder(store, clock) -> Recorder:
    recorder = Recorder(store)
    recorder.add(STARTED)
    return recorder


def finish(recorder: Recorder, case: str) -> None:
    """Do a case: its files, its entry, its record."""
    files = stage(recorder.store, name=case)
    commit_files(recorder.store, record_of(files, case), files)
    recorder.add(record_of(files, case))


def test_how_often_the_disk_is_waited_for(store, recorder, monkeypatch):
    """4 times a case: both files, the entry and its name; 3 times a group: the manifest and two folders."""
    _ = store.staging
    seen = note(monkeypatch)
    for number in range(2 * GROUP_RECORDS):
        recorder.add({**STARTED, "case": f"case_{number}"})
        finish(recorder, f"case_{number}")
    recorder.flush()
    syncs = [name for kind, name in seen if kind == "sync"]
    assert len(syncs) == 2 * (4 * GROUP_RECORDS + 3)
    assert GROUP_RECORDS == 64
    assert len(syncs) / (2 * GROUP_RECORDS) <= 4.1
    assert [(kind, name) for kind, name in seen if name.startswith("out/")] == GROUP * 2
    assert left_in(store) == []
    assert len(list(read_index(store.root).all_done())) == 2 * GROUP_RECORDS


def test_a_group_ends_a_second_after_the_last_sync(store, recorder, clock, monkeypatch):
    seen = note(monkeypatch)
    finish(recorder, "a")
    clock.now += GROUP_SECONDS
    finish(recorder, "b")
    assert len(left_in(store)) == 2
    clock.now += 0.01
    finish(recorder, "c")
    assert left_in(store) == []
    assert seen[-3:] == GROUP
    finish(recorder, "d")
    assert len(left_in(store)) == 1, "a new second has begun"
    clock.now += 60
    finish(recorder, "e")
    assert left_in(store) == [], "where cases take long, each is synced at once"


def test_what_is_started_or_failed_waits_for_nothing(store, recorder, clock, monkeypatch):
    seen = note(monkeypatch)
    clock.now += 60
    recorder.add(STARTED)
    recorder.add({"event": "failed", "case": "a", "error": "why"})
    recorder.flush()
    assert seen == []
    index = read_index(store.root)
    assert index.latest("a").error == "why"
    assert index.latest("a").time == 1060.123


def test_an_entry_goes_after_its_record_is_on_the_disk(store, recorder, monkeypatch):
    finish(recorder, "a")
    order = []
    sync, remove = recorder._sync, type(store.staging).remove
    monkeypatch.setattr(recorder, "_sync", lambda: (order.append("sync"), sync()))
    monkeypatch.setattr(type(store.staging), "remove", lambda *a: (order.append("remove"), remove(*a))[1])
    recorder.flush()
    assert order == ["sync", "remove"]
    recorder.flush()
    assert order == ["sync", "remove"], "nothing is left to do"


ERRORS = pytest.mark.parametrize(("code", "error"), [(errno.EIO, OutputError), (errno.ENOSPC, DiskFullError)])


@ERRORS
@pytest.mark.parametrize("call", ["write", "open_file"])
def test_a_record_that_cannot_be_written_stays_in_its_entry(store, recorder, monkeypatch, call, code, error):
    finish(recorder, "a")
    files = stage(store, name="b")
    commit_files(store, record_of(files, "b"), files)
    with monkeypatch.context() as patch:
        refuse(patch, call, lambda *_: True, code)
        with pytest.raises(error, match=r"manifest\.jsonl: the records cannot be written \("):
            recorder.add(record_of(files, "b"))
    recorder.flush()
    assert [done.case for done in read_index(store.root).all_done()] == ["a"]
    assert recovered(store) == ([record_of(files, "b")], ())


@ERRORS
def test_the_entries_of_a_group_stay_until_it_is_synced(store, recorder, monkeypatch, code, error):
    """A sync that fails is not tried again: it would keep nothing, and say that all is well."""
    for number in range(len(GROUP)):
        finish(recorder, f"case_{number}")
        with monkeypatch.context() as patch:
            fail_at(patch, number + 1, code)  # the first change is to open the manifest
            with pytest.raises(error, match=r"manifest\.jsonl: the records cannot be written \("):
                recorder.flush()
        recorder.flush()
        assert len(left_in(store)) == number + 1
    recover(store, store.staging, recorder.enter)
    assert left_in(store) == []
    entered_anew = [line["case"] for line in events(store.root.path)][-len(GROUP) :]
    assert sorted(entered_anew) == [f"case_{number}" for number in range(len(GROUP))]


def test_an_entry_that_cannot_be_removed_stops_nothing(store, recorder, monkeypatch):
    finish(recorder, "a")
    with monkeypatch.context() as patch:
        refuse(patch, "unlink", lambda *_: True)
        recorder.flush()
    assert len(left_in(store)) == 1
    (record,), problems = recovered(store)
    assert (record["case"], problems) == ("a", ())


def test_records_of_recovery_are_on_the_disk_when_it_returns(store, recorder, monkeypatch):
    seen = note(monkeypatch)
    recorder.enter([])
    assert seen == []
    recorder.enter([record_of(stage(store, name=name), name) for name in "ab"])
    assert seen[-3:] == GROUP
    assert {done.case for done in read_index(store.root).all_done()} == {"a", "b"}


@pytest.mark.parametrize("new", [False, True], ids=["none is there", "the next attempt has its name"])
def test_a_shard_whose_records_were_merged_while_it_is_alive_writes_no_more(store, new):
    """As where somebody has said ``--take-over`` too soon: a file without a beginning says nothing of its shard."""
    recorder = ShardRecorder(store, Shard(1, 2), {**OPENED, "writer": "a"})
    recorder.add(STARTED)
    (store.root.path / recorder.file).unlink()
    if new:
        other = ShardRecorder(store, Shard(1, 2), {**OPENED, "writer": "b"})
        other.add(STARTED)
        assert other.file == recorder.file
        other.close()
    before = [path.read_bytes() for path in store.root.path.glob("manifest*")]
    for _ in range(2):
        with pytest.raises(OutputError, match=r"is gone, .* \(--take-over\)"):
            recorder.add(STARTED)
    assert [path.read_bytes() for path in store.root.path.glob("manifest*")] == before
    recorder.close()


MINE = "manifest.0001.2-of-3.jsonl"


@pytest.fixture
def shard_recorder(store, clock) -> Iterator[ShardRecorder]:
    with closing(ShardRecorder(store, Shard(2, 3), {**OPENED, "shard": "2-of-3", "plan": "p"})) as recorder:
        yield recorder


def names(store) -> list[str]:
    return sorted(path.name for path in store.root.path.glob("manifest*"))


def test_a_shard_has_a_file_of_its_own_which_survives_a_power_cut_from_its_first_record_on(
    store, shard_recorder, monkeypatch
):
    """Whoever removes an entry of the journal relies on the name of the file, too."""
    _ = store.staging
    assert names(store) == []
    seen = note(monkeypatch)
    shard_recorder.begin()
    assert seen == [("sync", f"out/{MINE}"), ("sync", f"{store.root.path.parent.name}/out")]
    finish(shard_recorder, "a")
    shard_recorder.flush()
    assert seen[-3:] == [("sync", f"out/{MINE}"), *GROUP[1:]]
    assert names(store) == [MINE]
    index = read_index(store.root)
    assert (index.begun, index.cases()) == ({("p", 3): {2}}, {"a"})


def test_older_versions_are_kept_out_before_there_is_a_file_that_they_would_not_find(
    store, shard_recorder, monkeypatch
):
    """As in a folder of a whole run, or one that was planned."""
    facts = {"recipe": {}, "target_spacing": (3.0, 1.0, 1.0), "derivation": "", "fingerprint": "f"}
    description = RunDescription(dataset_root="/data", algorithm_version=1, statistics="table", **facts)
    write_description(store, description)
    with monkeypatch.context() as patch:
        refuse(patch, "open_file", lambda name, *_: name == MINE)
        with pytest.raises(OutputError, match=r"0001\.2-of-3\.jsonl: the records cannot be written"):
            shard_recorder.begin()
    assert read_description(store) == description.model_copy(update={"version": 3, "is_shared": True})
    shard_recorder.begin()
    shard_recorder.begin()
    assert names(store) == [MINE]


def test_of_two_that_begin_the_same_attempt_one_gets_it(store, shard_recorder, monkeypatch):
    """Where there are no locks; the other one changes nothing, and may try again."""
    other = ShardRecorder(store, Shard(2, 3), shard_recorder.opened)
    other.begin()
    other.close()
    before = (store.root.path / MINE).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(module, "next_attempt", lambda *_: Attempt(1, Shard(2, 3)))
        with pytest.raises(LockedError, match=r"0001\.2-of-3\.jsonl: another process begins this shard"):
            shard_recorder.add(STARTED)
    assert (store.root.path / MINE).read_bytes() == before
    shard_recorder.add(STARTED)
    assert names(store) == [MINE, "manifest.0002.2-of-3.jsonl"]
