"""The records of several writers become one file, whatever happens on the way."""

from __future__ import annotations

import errno
import time
from contextlib import suppress
from dataclasses import replace
from itertools import count

import pytest

from monai_mriprep.errors import LockedError, OutputError
from monai_mriprep.formats.sealed import seal
from monai_mriprep.store import takeover
from monai_mriprep.store.attempts import Attempt, Shard
from monai_mriprep.store.description import RunDescription, read_description, write_description
from monai_mriprep.store.journal import commit_files
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.merging import merge_records
from monai_mriprep.store.record_lines import append_lines
from monai_mriprep.store.store import Store, open_store
from tests.runs import done_line
from tests.store.faults import Crash, crash_at, fail_at, note
from tests.store.pairs import record_of, stage

DESCRIPTION = RunDescription(
    dataset_root="/data",
    recipe={},
    target_spacing=(3.0, 1.0, 1.0),
    derivation="",
    fingerprint="f",
    algorithm_version=1,
    statistics="computed",
)
FILES = [Attempt(number, Shard(part, 2)).file for number, part in ((1, 1), (1, 2), (2, 1))]


def opened(file: str) -> str:
    facts = {"event": "opened", "dataset_root": "/data", "cases": 3, "writer": file, "time": 1.5}
    return seal({**facts, "shard": Attempt.of(file).shard.__str__(), "plan": "p"})


@pytest.fixture
def store(store) -> Store:
    """With records of before, of two parts, and of a second attempt of one, whose first one a crash has torn."""
    append_lines(store.root, [seal(done_line("a", peak_mib=1.0))])
    for number, file in enumerate(FILES):
        append_lines(
            store.root, [opened(file), seal(done_line("a", peak_mib=2.0 + number)), seal(done_line(file))], file
        )
    with (store.root.path / FILES[0]).open("ab") as torn:
        torn.write(b'{"version": 1, "event": "do')
    write_description(store, DESCRIPTION, is_shared=True)
    return store


def lines(store: Store) -> list[bytes]:
    return (store.root.path / "manifest.jsonl").read_bytes().splitlines()


def parts(store: Store) -> list[str]:
    return sorted(path.name for path in store.root.path.glob("manifest.*.jsonl"))


def expected(store: Store) -> list[bytes]:
    files = ["manifest.jsonl", *FILES]
    return [line for file in files for line in (store.root.path / file).read_bytes().splitlines()]


def test_they_become_one_file_in_their_order(store):
    wanted, before = expected(store), read_index(store.root)
    assert merge_records(store) == 3
    assert lines(store) == wanted
    assert parts(store) == []
    after = read_index(store.root)
    assert after.latest("a").peak_mib == 4.0
    assert (after.cases(), after.begun, after.nameless) == (before.cases(), before.begun, [])
    assert read_description(store).version == 1


def test_older_versions_are_let_in_when_the_files_have_gone_for_good(store, monkeypatch):
    """A file that a power cut brings back would count after all that was recorded since."""
    _ = store.staging
    calls, root = note(monkeypatch), f"{store.root.path.parent.name}/out"
    merge_records(store)
    place = [calls.index(("move", f"out/{name}")) for name in ("manifest.jsonl", "run.json")]
    assert calls[place[0] : place[1]].count(("sync", root)) == 2, "of the merged file, and of those that were removed"


def test_without_any_nothing_is_written(store):
    merge_records(store)
    before = (store.root.path / "manifest.jsonl").stat()
    assert merge_records(store) == 0
    assert (store.root.path / "manifest.jsonl").stat().st_ino == before.st_ino


def test_a_crash_at_any_step_loses_no_line_and_doubles_none(store, monkeypatch):
    wanted = expected(store)
    contents = {name: (store.root.path / name).read_bytes() for name in ("manifest.jsonl", "run.json", *FILES)}
    for number in count():
        for name, content in contents.items():
            (store.root.path / name).write_bytes(content)
        with monkeypatch.context() as patch:
            crash_at(patch, number)
            with suppress(Crash):
                merge_records(store)
                break
        index = read_index(store.root)  # of somebody who reads meanwhile
        assert index.latest("a").peak_mib == 4.0
        assert index.cases() == {"a", *FILES}
        assert read_description(store).is_shared or not parts(store)
        merge_records(store)
        assert lines(store) == wanted
        assert parts(store) == []
        assert not read_description(store).is_shared
    assert number > 8


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_error_at_any_step_is_told_and_the_next_call_goes_on(store, monkeypatch, code):
    wanted = expected(store)
    contents = {name: (store.root.path / name).read_bytes() for name in ("manifest.jsonl", "run.json", *FILES)}
    for number in count():
        for name, content in contents.items():
            (store.root.path / name).write_bytes(content)
        with monkeypatch.context() as patch:
            fail_at(patch, number, code)
            try:
                merge_records(store)
            except OutputError:
                pass
            else:
                break
        merge_records(store)
        assert lines(store) == wanted


def test_a_first_line_that_a_crash_has_torn_loses_nothing(store):
    for part in (1, 2):
        (store.root.path / Attempt(3, Shard(part, 2)).file).write_bytes(b'{"ver')
    merge_records(store)
    assert read_index(store.root).cases() == {"a", *FILES}
    assert read_index(store.root).nameless == []


def test_an_empty_file_goes(store):
    (store.root.path / Attempt(3, Shard(1, 2)).file).touch()
    merge_records(store)
    assert parts(store) == []


def test_a_shard_that_begins_meanwhile_keeps_its_file(store, monkeypatch):
    """Where there are no locks."""
    late = Attempt(3, Shard(2, 2)).file

    def begin(*_):
        append_lines(store.root, [opened(late), seal(done_line("late"))], late)

    with monkeypatch.context() as patch:
        patch.setattr("monai_mriprep.store.merging.refuse_shards", begin)
        merge_records(store)
    assert parts(store) == [late]
    assert read_description(store).is_shared
    assert read_index(store.root).cases() == {"a", "late", *FILES}


def test_a_part_that_may_be_under_way_is_waited_for(store, tmp_path):
    from monai_mriprep.store.writers import this_writer

    foreign = replace(this_writer(), host="elsewhere", shard=Shard(2, 2)).name
    store.make_folders([foreign], store.partial)
    with pytest.raises(LockedError, match="--take-over"):
        merge_records(store)
    assert parts(store) == FILES
    assert merge_records(store, foreign=True) == 3


def made(store: Store, file: str, value: float) -> None:
    """Do the case ``x`` and record it in a file."""
    files = stage(store, value, "x")
    record = record_of(files, "x", peak_mib=value)
    commit_files(store, record, files)
    append_lines(store.root, [seal({**record, "time": 2.0})], file)


def test_of_two_records_of_a_case_the_one_counts_whose_files_are_there(store):
    """Somebody was wrongly told to have ended: its files came last, its record stands in the earlier file."""
    made(store, FILES[2], 7.0)
    time.sleep(0.02)  # the clock of files ticks
    made(store, FILES[0], 5.0)
    assert read_index(store.root).latest("x").peak_mib == 7.0
    merge_records(store)
    assert read_index(store.root).latest("x").peak_mib == 5.0
    assert len(lines(store)) == len(set(lines(store))) + 1
    before = lines(store)
    late = Attempt(9, Shard(1, 2)).file
    append_lines(store.root, [opened(late)], late)
    merge_records(store)
    assert lines(store)[:-1] == before


def test_a_late_shard_finds_the_folder_closed_to_older_versions(store, monkeypatch):
    """It begins without locks, when the merge has seen no files and has not yet opened the folder to them."""
    from monai_mriprep.store import merging

    late = Attempt(3, Shard(2, 2)).file

    def settle(*arguments):
        settled(*arguments)
        append_lines(store.root, [opened(late)], late)

    settled = merging.settle_description
    monkeypatch.setattr(merging, "settle_description", settle)
    merge_records(store)
    assert parts(store) == [late]
    assert read_description(store).is_shared


def test_somebody_else_who_may_be_merging_is_waited_for(store):
    """Without locks, of two that merge at once, the second would replace what the first has appended."""
    from monai_mriprep.store.writers import this_writer

    foreign = replace(this_writer(), host="elsewhere").name
    store.make_folders([foreign], store.partial)
    with pytest.raises(LockedError, match=r"of elsewhere works there, or did, .* with `merge` or `run`"):
        merge_records(store)
    assert parts(store) == FILES
    assert merge_records(store, foreign=True) == 3
    assert merge_records(store) == 0, "with nothing to merge it is no reason to stop"


def test_who_merges_is_seen_by_others_before_it_looks_for_them(store, monkeypatch):
    """Else, where there are no locks, of two that begin at once neither would find the other."""
    store.leave()
    seen = []
    monkeypatch.setattr(takeover, "_refuse", lambda store, *_: seen.append(store.partial.status(store.writer)))
    with open_store(store.root.path) as again:
        takeover.refuse_whole(again)
    assert seen
    assert None not in seen
