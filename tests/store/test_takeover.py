"""What dead writers have left is finished; what may belong to the living is not touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep.errors import OutputError
from monai_mriprep.formats.sealed import NewerVersionError, seal
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.store.takeover import take_over
from monai_mriprep.store.writers import this_writer
from tests.runs import outputs
from tests.store.faults import Crash, crash_at, fail_at, refuse
from tests.store.pairs import by_place, record_of, stage
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
    moves = [[file.move.staged, f"{file.move.folder}/{file.move.name}"] for file in files]
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
        patch.setattr("monai_mriprep.formats.sealed.FORMAT_VERSION", 2)
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
            patch.setattr("monai_mriprep.store.takeover.this_writer", lambda: replace(HERE, start="2"))
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
        for path in partial.iterdir():  # what this process has renamed, as the next one finds it
            if "+" in path.name:
                path.rename(partial / f"{DEAD}+{path.name[-32:]}")
        take_over(recorder)
        assert outputs(store.root.path) == expected, number
        assert read_index(store.root).done("a").outputs["image"].sha256 == expected["imagesTr/a.npz"], number
        assert set(tree(partial)) == {store.writer}
