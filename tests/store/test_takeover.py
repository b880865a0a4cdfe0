"""What dead writers have left is finished; what may belong to the living is not touched."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from monai_mriprep.errors import LockedError, OutputError
from monai_mriprep.formats.sealed import FORMAT_VERSION, NewerVersionError, seal
from monai_mriprep.store import takeover
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.description import Redo, RunDescription, write_description
from monai_mriprep.store.journal import commit_files, entry_name
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.recorder import Recorder, ShardRecorder
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.store.takeover import take_over
from monai_mriprep.store.writers import this_writer
from tests.runs import outputs
from tests.store.faults import Crash, crash_at, fail_at, refuse
from tests.store.pairs import by_place, commit, record_of, stage
from tests.store.test_journal import UP_TO_ENTRY
from tests.store.test_writers import CHILD

HERE = this_writer()
DEAD = replace(HERE, start="1").name
REBOOTED = replace(HERE, boot="0" * 8).name
FOREIGN = replace(HERE, host="elsewhere").name


@pytest.fixture
def recorder(store) -> Recorder:
    return Recorder(store)


@pytest.fixture
def partial(store) -> Path:
    return store.root.path / ".partial"


@pytest.fixture
def alive() -> Iterator[str]:
    """Name of another process that lives."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as it:
        yield it.stdout.readline().strip()
        it.stdin.close()


def leave_behind(store: Store, writer: str, case: str = "a", value: float = 1.0) -> dict[str, str]:
    """What a writer leaves that dies after its entry: hashes by place. And a file that it had just begun."""
    with open_store(store.root.path, writer) as other:
        files = stage(other, value, case)
        text = seal({"record": record_of(files, case), "moves": [file.move for file in files]})
        other.staging.create(entry_name(case), [text.encode()])
        stage(other, 9.0, case)
    return by_place(files)


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder, with its content."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def done_cases(store: Store) -> list[str]:
    return sorted(done.case for done in read_index(store.root).all_done())


@pytest.mark.parametrize(
    "writer", [DEAD, REBOOTED, f"{DEAD}+{'a' * 32}", HERE.name], ids=["dead", "rebooted", "of a transform", "own"]
)
def test_what_a_dead_writer_has_finished_is_recorded_and_the_rest_removed(store, recorder, partial, writer):
    expected = leave_behind(store, writer)
    assert take_over(recorder) == ()
    assert outputs(store.root.path) == expected
    assert done_cases(store) == ["a"]
    store.leave()
    assert tree(partial) == {}


def test_one_that_is_alive_is_left_alone(store, recorder, partial, alive):
    """Also where the lock is switched off, a second run removes nothing of the first."""
    leave_behind(store, alive)
    _ = store.staging
    before = tree(partial)
    (problem,) = take_over(recorder, foreign=True)
    pid = alive.split("_")[-2]
    assert problem == f"{partial / alive}: process {pid} is writing there; it is left alone"
    assert tree(partial) == before
    assert outputs(store.root.path) == {}


def test_a_part_does_not_begin_beside_a_run_of_the_whole_that_is_alive(tmp_path, alive):
    """Without locks; both would do its cases. What another machine has left is no reason to stop."""
    mine = replace(HERE, shard=Shard(1, 2)).name
    with open_store(tmp_path, mine) as store:
        store.prepare()
        recorder = ShardRecorder(store, Shard(1, 2), {})
        store.partial.make_folder(FOREIGN)
        assert "elsewhere may be writing there" in "".join(take_over(recorder))
        store.partial.make_folder(alive)
        with pytest.raises(LockedError, match="works there; wait for its end"):
            take_over(recorder)


def test_a_transform_of_this_process_is_left_alone_in_silence(store, recorder, partial):
    leave_behind(store, f"{HERE.name}+{'b' * 32}")
    _ = store.staging
    before = tree(partial)
    assert take_over(recorder, foreign=True) == ()
    assert tree(partial) == before


def test_one_of_another_host_is_named_and_left_until_it_is_taken_over(store, recorder, partial):
    expected = leave_behind(store, FOREIGN)
    _ = store.staging
    before = tree(partial)
    (problem,) = take_over(recorder)
    assert problem.startswith(f"{partial / FOREIGN}: process {HERE.pid} of elsewhere may be writing there")
    assert "--take-over" in problem
    assert tree(partial) == before
    assert take_over(recorder, foreign=True) == ()
    assert outputs(store.root.path) == expected
    assert done_cases(store) == ["a"]


def test_the_flat_folder_of_0_1_0_is_honoured(store, recorder, partial):
    """Entry and files lie in `.partial` itself, and the entry has no seal."""
    with open_store(store.root.path, DEAD) as other:
        files = stage(other)
        for file in files:
            (other.staging.path / file.move.staged).rename(partial / file.move.staged)
        other.leave()
    record = record_of(files)
    facts = {key: value for key, value in record.items() if key not in ("event", "case", "error", "warnings")}
    result = {"case": "a", "status": "done", "error": None, "warnings": [], "facts": facts}
    moves = [[file.move.staged, file.move.path] for file in files]
    (partial / entry_name("a")).write_text(json.dumps({"result": result, "moves": moves}))
    (partial / f"7-{'a' * 32}.npz").write_bytes(b"begun")
    (partial / f"{'0' * 64}.unfinished").write_bytes(b"{")
    (partial / "notes.txt").write_text("of somebody")
    (problem,) = take_over(recorder)
    assert problem == f"{partial}: no run of ours has left notes.txt there; it is left alone"
    assert outputs(store.root.path) == by_place(files)
    assert done_cases(store) == ["a"]
    store.leave()
    assert set(tree(partial)) == {"notes.txt"}


@pytest.mark.parametrize("what", ["file", "link", "pipe"])
def test_what_only_has_the_name_of_a_writer_is_named_and_left(store, recorder, partial, tmp_path, what):
    """A link would lead out of the folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"7-{'a' * 32}.npz").write_bytes(b"foreign")
    place = partial / DEAD
    {"file": place.touch, "link": lambda: place.symlink_to(outside), "pipe": lambda: os.mkfifo(place)}[what]()
    expected = leave_behind(store, REBOOTED)
    (problem,) = take_over(recorder, foreign=True)
    assert problem == f"{partial}: no run of ours has left {DEAD} there; it is left alone"
    assert os.path.lexists(place)
    assert len(tree(outside)) == 1
    assert outputs(store.root.path) == expected, "it stops nothing"


def test_foreign_things_in_a_dead_writers_folder_stay(store, recorder, partial):
    expected = leave_behind(store, DEAD)
    (partial / DEAD / "folder").mkdir()
    (partial / DEAD / "folder" / "file").write_text("content")
    (partial / DEAD / f"7-{'a' * 32}.npz").symlink_to(partial / DEAD / "folder" / "file")
    (problem,) = take_over(recorder)
    assert f"no run of ours has left 7-{'a' * 32}.npz, folder there; it is left alone" in problem
    assert outputs(store.root.path) == expected
    (kept,) = (path for path in partial.iterdir() if any(path.iterdir()))
    assert sorted(tree(kept)) == [f"7-{'a' * 32}.npz", "folder", "folder/file"]


def test_of_two_processes_one_gets_it(store, recorder, partial, monkeypatch):
    leave_behind(store, DEAD)
    move = type(store.partial).move

    def quicker(folder, name, *rest):
        shutil.rmtree(partial / name)
        move(folder, name, *rest)

    monkeypatch.setattr(type(store.partial), "move", quicker)
    assert take_over(recorder) == ()


def test_one_that_cannot_be_taken_over_is_named_and_stops_nothing(store, recorder, partial, monkeypatch):
    leave_behind(store, DEAD)
    expected = leave_behind(store, REBOOTED, "b")
    refuse(monkeypatch, "rename", lambda name, *_: name == DEAD)
    (problem,) = take_over(recorder)
    assert problem == f"{partial / DEAD}: what a dead run has left there cannot be used (Permission denied)"
    assert outputs(store.root.path) == expected


def test_what_a_newer_version_has_left_is_refused_and_stays(store, recorder, partial, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("monai_mriprep.formats.sealed.format_of", lambda facts: FORMAT_VERSION + 1)
        leave_behind(store, DEAD)
    before = set(tree(partial / DEAD))
    with pytest.raises(NewerVersionError, match="update monai-mriprep"):
        take_over(recorder)
    (kept,) = (path for path in partial.iterdir() if any(path.iterdir()))
    assert set(tree(kept)) == before


def test_take_over_may_crash_at_any_step(store, recorder, partial, monkeypatch):
    """As long as the one who crashed is dead then, the next one finishes it."""
    _ = store.staging
    recorder.add({"event": "started", "case": "a"})
    for number in range(100):
        expected = leave_behind(store, DEAD, value=float(number))
        with monkeypatch.context() as patch:
            patch.setattr("monai_mriprep.store.writers.this_writer", lambda: replace(HERE, start="2"))
            crash_at(patch, number)
            try:
                take_over(recorder)
            except Crash:
                crashed = True
            else:
                crashed = False
        take_over(recorder)
        assert outputs(store.root.path) == expected, number
        assert read_index(store.root).done("a").outputs["image"].sha256 == expected["imagesTr/a.npz"]
        assert set(tree(partial)) == {store.writer}
        if not crashed:
            break
    assert number > 15


def test_an_error_at_any_step_stops_the_run_in_words_or_is_named(store, recorder, partial, monkeypatch):
    _ = store.staging
    recorder.add({"event": "started", "case": "a"})
    for number in range(60):
        expected = leave_behind(store, DEAD, value=float(number))
        with monkeypatch.context() as patch:
            fail_at(patch, number, 5)
            try:
                take_over(recorder)
            except OutputError as error:
                assert "Input/output error" in str(error)  # noqa: PT017 - most steps raise nothing
        take_over(recorder)  # also what this process has renamed
        assert outputs(store.root.path) == expected, number
        assert read_index(store.root).done("a").outputs["image"].sha256 == expected["imagesTr/a.npz"], number
        assert set(tree(partial)) == {store.writer}


@pytest.mark.parametrize("what", [".journal", ".npz"])
def test_what_cannot_be_cleared_away_is_tried_again_by_the_same_process(store, recorder, partial, monkeypatch, what):
    expected = leave_behind(store, DEAD)
    _ = store.staging
    with monkeypatch.context() as patch:
        refuse(patch, "unlink", lambda name, _: name.endswith(what), errno.EIO)
        take_over(recorder)
    assert len(set(tree(partial)) - {store.writer}) > 1
    assert take_over(recorder) == ()
    assert outputs(store.root.path) == expected
    assert done_cases(store) == ["a"]
    assert set(tree(partial)) == {store.writer}


# --- Cases that later runs have gone on without ----------------------------------------------------------------------


def age(partial: Path) -> None:
    """What stands in the journals was written an hour ago."""
    then = time.time() - 3600
    for path in (*partial.glob("*/*.journal"), *partial.glob("*_*")):
        os.utime(path, (then, then))


def start_anew(store: Store, number: int) -> None:
    """As ``--redo`` does."""
    description = RunDescription(
        dataset_root="/data",
        recipe={},
        target_spacing=(1.0, 1.0, 1.0),
        derivation="",
        fingerprint="f",
        algorithm_version=1,
        statistics="recipe",
        redo=Redo(number=number, complete=False),
    )
    write_description(store, description)


def done_since(recorder: Recorder) -> None:
    """By a later run, to the same bytes."""
    files = stage(recorder.store)
    commit(recorder.store, files)
    recorder.add(record_of(files))


SINCE = {
    "redo": lambda recorder: start_anew(recorder.store, 1),
    "done": done_since,
    "done, then begun": lambda recorder: [done_since(recorder), recorder.add({"event": "started", "case": "a"})],
    "failed": lambda recorder: recorder.add({"event": "failed", "case": "a", "error": "why"}),
    "retired": lambda recorder: recorder.add({"event": "retired", "case": "a", "files": []}),
    "pruned": lambda recorder: recorder.add({"event": "opened", "dataset_root": "/data", "cases": 1}),
}


@pytest.mark.parametrize("writer", [DEAD, FOREIGN, HERE.name], ids=["dead", "foreign", "own"])
@pytest.mark.parametrize("happens", SINCE.values(), ids=SINCE)
def test_a_case_that_later_runs_have_gone_on_without_is_dropped(store, recorder, partial, happens, writer):
    happens(recorder)
    manifest = (store.root.path / "manifest.jsonl").read_bytes() if store.root.is_file("manifest.jsonl") else b""
    before = outputs(store.root.path)
    times = {path: path.stat().st_mtime_ns for path in store.root.path.glob("*Tr/*")}
    leave_behind(store, writer)
    age(partial)
    (problem,) = take_over(recorder, foreign=True)
    assert problem.endswith(": 1 finished case older than the records or the last --redo, and not put in place: a")
    assert outputs(store.root.path) == before
    assert {path: path.stat().st_mtime_ns for path in store.root.path.glob("*Tr/*")} == times
    assert not manifest or (store.root.path / "manifest.jsonl").read_bytes() == manifest
    store.leave()
    assert tree(partial) == {}


STILL_GOOD = {
    "the same redo": lambda recorder: start_anew(recorder.store, 0),
    "begun": lambda recorder: recorder.add({"event": "started", "case": "a"}),
    "another case": lambda recorder: recorder.add({"event": "failed", "case": "b", "error": "why"}),
    "a garbled run.json": lambda recorder: recorder.store.replace("run.json", [b"{"]),
}


@pytest.mark.parametrize("happens", STILL_GOOD.values(), ids=STILL_GOOD)
def test_one_that_they_have_not_is_put_in_place(store, recorder, partial, happens):
    expected = leave_behind(store, DEAD)
    age(partial)
    happens(recorder)
    assert take_over(recorder) == ()
    assert outputs(store.root.path) == expected
    assert done_cases(store) == ["a"]


def test_records_that_are_older_than_the_entry_say_nothing(store, recorder):
    """A power cut may have lost the one that the case was begun, and that of the entry itself."""
    done_since(recorder)
    recorder.add({"event": "retired", "case": "b", "files": []})
    recorder.add({"event": "opened", "dataset_root": "/data", "cases": 2})
    time.sleep(0.01)
    expected = leave_behind(store, DEAD, value=2.0) | leave_behind(store, DEAD, "b", value=3.0)
    assert take_over(recorder) == ()
    assert outputs(store.root.path) == expected


def test_one_that_has_been_recorded_is_put_in_place_again(store, recorder, partial):
    with open_store(store.root.path, DEAD) as other:
        files = stage(other)
        commit_files(other, record_of(files), files)
    recorder.add(record_of(files))
    age(partial)
    assert take_over(recorder) == ()
    assert outputs(store.root.path) == by_place(files)
    assert done_cases(store) == ["a"]


@pytest.mark.parametrize("links", [True, False], ids=["second names", "no second names"])
@pytest.mark.parametrize("before", [True, False], ids=["a pair before", "none before"])
def test_what_was_moved_of_a_dropped_case_is_taken_back(store, recorder, partial, monkeypatch, links, before):
    """Wherever the run before has crashed, and wherever this one does."""
    start_anew(store, 1)
    if not links:
        refuse(monkeypatch, "link", lambda *_: True, errno.EPERM)
    for step, again in product(range(UP_TO_ENTRY, UP_TO_ENTRY + 8), range(25)):
        if (step + again) % 4:  # the others take seconds, and pass, too
            continue
        old = stage(store, 0.0) if before else ()
        if before:
            commit(store, old)
        with open_store(store.root.path, DEAD) as other:
            new = stage(other, 1.0)
            with monkeypatch.context() as patch, suppress(Crash):
                crash_at(patch, step)
                commit_files(other, record_of(new), new)
        with monkeypatch.context() as patch, suppress(Crash):
            crash_at(patch, again)
            take_over(recorder)
        take_over(recorder)
        left = outputs(store.root.path)
        assert left in (by_place(old), {}), (step, again)
        assert left or step > UP_TO_ENTRY + 4 or not before, "the pair before is back until one file of it is gone"
        assert set(tree(partial)) <= {store.writer}
        assert done_cases(store) == []


def test_what_cannot_be_taken_back_waits(store, recorder, partial, monkeypatch):
    start_anew(store, 1)
    old = stage(store, 0.0)
    commit(store, old)
    with open_store(store.root.path, DEAD) as other:
        new = stage(other, 1.0)
        with monkeypatch.context() as patch, suppress(Crash):
            crash_at(patch, UP_TO_ENTRY + 2)  # the label has its place
            commit_files(other, record_of(new), new)
    mixed = outputs(store.root.path)
    assert mixed not in (by_place(old), by_place(new))
    with monkeypatch.context() as patch:
        refuse(patch, "rename", lambda name, *_: name == "a.npz", errno.EIO)
        (problem,) = take_over(recorder)
    assert "a finished case waits to be put in place (" in problem
    assert "an outdated case cannot be taken back" in problem
    assert outputs(store.root.path) == mixed
    (problem,) = take_over(recorder)
    assert "not put in place: a" in problem
    assert outputs(store.root.path) == by_place(old)


def test_of_two_of_one_case_the_newer_one_counts(store, recorder, partial):
    leave_behind(store, REBOOTED, value=1.0)
    age(partial)
    expected = leave_behind(store, DEAD, value=2.0)
    for path in (partial / DEAD, *(partial / DEAD).glob("*.journal")):
        os.utime(path, (time.time() - 60,) * 2)
    (problem,) = take_over(recorder)
    assert "not put in place: a" in problem
    assert outputs(store.root.path) == expected


def test_records_that_cannot_be_read_say_nothing_of_an_entry(store, recorder, partial, monkeypatch):
    recorder.add({"event": "failed", "case": "a", "error": "why"})
    leave_behind(store, DEAD)
    age(partial)
    index = read_index(store.root)
    monkeypatch.setattr("monai_mriprep.store.takeover.read_index", lambda _: index)
    with monkeypatch.context() as patch:
        refuse(patch, "open_file", lambda name, *_: name == "manifest.jsonl", errno.EIO)
        (problem,) = take_over(recorder)
    assert "a finished case waits" in problem
    (problem,) = take_over(recorder)
    assert "not put in place: a" in problem


def test_what_a_worker_of_a_dead_run_writes_late_goes_at_the_end(store, recorder, partial, monkeypatch):
    (partial / DEAD).mkdir(parents=True)
    whole, late = takeover.recover, "1-" + "0" * 32 + ".npz"

    def too_early(store, staging, *rest):
        problems = whole(store, staging, *rest)
        if "+" in staging.path.name:
            staging.create(late, [b"half a file"])
        return problems

    monkeypatch.setattr(takeover, "recover", too_early)
    take_over(recorder)
    monkeypatch.undo()
    assert [path.name for path in partial.rglob("*.npz")] == [late]
    takeover.clear_taken(recorder)
    assert list(partial.iterdir()) in ([], [partial / store.writer])
