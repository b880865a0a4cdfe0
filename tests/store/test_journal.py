"""Image and label appear together or not at all, wherever a crash or an error falls; and what an entry may say."""

from __future__ import annotations

import errno
import json
import os
from contextlib import closing, suppress

import pytest

from monai_mriprep.errors import OutputError
from monai_mriprep.formats.sealed import FORMAT_VERSION, NewerVersionError, seal
from monai_mriprep.store.journal import LARGEST_ENTRY, commit_files, entry_name, pending_records, recover, recover_case
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.store import Store, open_store
from tests.runs import outputs
from tests.store.faults import Crash, crash_at, fail_at, note, refuse
from tests.store.pairs import by_place, commit, left_in, record_of, recovered, stage

CASE = "case \udcff\n"


@pytest.fixture(params=["second names", "no second names"])
def links(request, monkeypatch) -> None:
    """On a file system where a file can have a second name, and on one where it cannot."""
    if request.param == "no second names":
        refuse(monkeypatch, "link", lambda *_: True, errno.EPERM)


@pytest.fixture
def root(store):
    return store.root.path


UP_TO_ENTRY = 9
"""Changes of `commit_files` before its first move: open and sync each file; open, write, sync and rename the entry, and
sync its folder."""


@pytest.mark.usefixtures("links")
def test_a_crash_at_any_step_leaves_both_files_or_none(store, root, monkeypatch):
    """The old pair or the new one, after recovery; and a record for the new one exactly if it is there."""
    crashes = 0
    while True:
        old = stage(store, 0.0)
        commit(store, old)
        new = stage(store, 1.0)
        with monkeypatch.context() as patch:
            crash_at(patch, crashes)
            try:
                commit(store, new)
            except Crash:
                crashed = True
            else:
                crashed = False
        if not crashed:
            break
        with open_store(root, store.writer) as again:  # as the next process does
            records, problems = recovered(again)
        assert problems == ()
        assert outputs(root) == by_place(new if records else old), crashes
        assert records in ([], [record_of(new)])
        assert left_in(store) == []
        crashes += 1
    assert crashes >= 9, "four syncs, two second names or moves, two moves, and what is removed"


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("before", [True, False], ids=["a pair before", "none before"])
def test_recovery_may_crash_at_any_step_too(store, root, monkeypatch, before):
    moved = 0
    while True:  # from the entry on, after each further step
        if before:
            commit(store, stage(store, 0.0))
        new = stage(store, 1.0)
        with monkeypatch.context() as patch:
            crash_at(patch, UP_TO_ENTRY + moved)
            try:
                commit_files(store, record_of(new), new)
            except Crash:
                pass
            else:
                break
        crash_in_recovery(store, monkeypatch)
        records, problems = recovered(store)
        assert (records, problems) == ([record_of(new)], ())
        assert outputs(root) == by_place(new)
        assert left_in(store) == []
        for place in by_place(new):
            (root / place).unlink()
        moved += 1
    assert moved >= (4 if before else 2)


def crash_in_recovery(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovery crashes at its first step, the next one at its second, and so on; one that ends records nothing."""
    for number in range(8):
        with monkeypatch.context() as patch, suppress(Crash):
            crash_at(patch, number)
            recover(store, store.staging, lambda _: crash_now())


def crash_now() -> None:
    raise Crash


def test_recovery_finishes_every_case_that_was_decided(store, root, monkeypatch):
    """Two workers may die in one moment."""
    for name in "abc":
        files = stage(store, name=name)
        with monkeypatch.context() as patch:
            crash_at(patch, UP_TO_ENTRY)
            with pytest.raises(Crash):
                commit_files(store, record_of(files, name), files)
    assert outputs(root) == {}
    pending = {record.case: {file.path for file in record.outputs.values()} for record in pending_records(store)}
    assert pending == {name: {f"imagesTr/{name}.npz", f"labelsTr/{name}.npz"} for name in "abc"}
    records, problems = recovered(store)
    assert sorted(record["case"] for record in records) == ["a", "b", "c"]
    assert problems == ()
    assert sorted(outputs(root)) == [f"{folder}/{name}.npz" for folder in ("imagesTr", "labelsTr") for name in "abc"]


def test_an_entry_where_versions_up_to_0_3_0_put_it_counts_too(store):
    files, entry = stage(store), entry_name("a")
    commit_files(store, record_of(files), files)
    store.staging.move(entry, store.partial, entry)
    assert [record.case for record in pending_records(store)] == ["a"]


def test_an_entry_in_a_folder_that_is_no_writers_does_not_count(store):
    """Nobody would ever put its case in place."""
    files, entry = stage(store), entry_name("a")
    commit_files(store, record_of(files), files)
    store.make_folders(["mine"], store.partial)
    with closing(store.partial.folder("mine")) as mine:
        store.staging.move(entry, mine, entry)
    assert list(pending_records(store)) == []


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("forever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_an_error_at_any_step_leaves_both_files_or_none(store, root, monkeypatch, code, forever):
    """As it was before, in place and cleared away, or finished; what a broken disk prevents, recovery does."""
    failures = 0
    while True:
        old = stage(store, 0.0)
        commit(store, old)
        new = stage(store, 1.0)
        with monkeypatch.context() as patch:
            fail_at(patch, failures, code, forever)
            try:
                commit_files(store, record_of(new), new)
            except OutputError:
                failed = True
            else:
                failed = False
        if failed and not forever:
            assert outputs(root) == by_place(old), failures
            assert left_in(store) == [], failures
        records, _ = recovered(store)
        assert outputs(root) == by_place(new if records else old), failures
        assert records in ([], [record_of(new)])
        assert records or failed
        assert left_in(store) == []
        if not failed and failures > 20:
            break
        failures += 1


def test_both_are_synced_before_the_entry_and_the_entry_before_the_first_move(store, monkeypatch):
    files = stage(store)
    seen = note(monkeypatch)
    commit_files(store, record_of(files), files)
    staged = [("sync", f"{store.writer}/{file.move.staged}") for file in files]
    entry = f"{store.writer}/{entry_name('a')}"
    assert seen[:2] == staged
    assert [kind for kind, _ in seen] == ["sync", "sync", "sync", "move", "sync", "move", "move"]
    assert seen[3:] == [
        ("move", entry),
        ("sync", f".partial/{store.writer}"),
        ("move", "labelsTr/a.npz"),
        ("move", "imagesTr/a.npz"),
    ]


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("before", [True, False], ids=["a pair before", "none before"])
def test_if_the_second_file_cannot_be_moved_the_first_goes_back(store, root, monkeypatch, before):
    old = stage(store, 0.0) if before else ()
    if before:
        commit(store, old)
    files = stage(store, 1.0)
    with monkeypatch.context() as patch:
        refuse(patch, "rename", lambda name, *_: name == files[1].move.staged)
        with pytest.raises(OutputError, match=r"imagesTr/a\.npz: the finished file cannot be put there \(Permission"):
            commit_files(store, record_of(files), files)
    assert outputs(root) == by_place(old)
    assert left_in(store) == []


def test_what_cannot_go_back_either_is_finished_later(store, root, monkeypatch):
    commit(store, stage(store, 0.0))
    files = stage(store, 1.0)
    with monkeypatch.context() as patch:
        refuse(patch, "rename", lambda name, *_: name in (files[1].move.staged, "a.npz"))
        with pytest.raises(OutputError):
            commit_files(store, record_of(files), files)
    records, problems = recovered(store)
    assert (records, problems) == ([record_of(files)], ())
    assert outputs(root) == by_place(files)
    assert left_in(store) == []


def test_a_folder_that_has_gone_is_noticed_before_the_first_move(store, root):
    files = stage(store)
    (root / "imagesTr").rmdir()
    (root / "imagesTr").symlink_to(root / "labelsTr")
    with pytest.raises(OutputError, match=r"imagesTr: the folder cannot be opened \(it is a link\)"):
        commit_files(store, record_of(files), files)
    assert list((root / "labelsTr").iterdir()) == []
    assert left_in(store) == []


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_what_stands_in_the_way_is_set_aside(store, root, tmp_path, caplog, what):
    place, target = root / "imagesTr" / "a.npz", tmp_path / "foreign"
    target.write_text("foreign")
    {"folder": place.mkdir, "link": lambda: place.symlink_to(target), "pipe": lambda: os.mkfifo(place)}[what]()
    files = stage(store)
    commit(store, files)
    assert outputs(root) == by_place(files)
    assert target.read_text() == "foreign"
    assert os.path.lexists(root / "a.npz.set-aside")
    (message,) = caplog.messages
    assert message.startswith(f"{place} is a {what}, which cannot be used here; it is set aside as {root}/a.npz.set-")


def test_one_blocked_case_does_not_block_the_others(store, root, monkeypatch):
    pairs = {name: stage(store, name=name) for name in "abc"}
    for name, files in pairs.items():
        with monkeypatch.context() as patch:
            crash_at(patch, UP_TO_ENTRY)
            with pytest.raises(Crash):
                commit_files(store, record_of(files, name), files)
    with monkeypatch.context() as patch:
        refuse(patch, "rename", lambda name, folder, new, *_: new == "b.npz")
        records, (problem,) = recovered(store)
    assert {record["case"] for record in records} == {"a", "c"}
    assert problem.startswith(f"{store.staging.path / entry_name('b')}: a finished case waits to be put in place (")
    assert "labelsTr/b.npz" in problem
    assert left_in(store) == sorted([entry_name("b"), *(file.move.staged for file in pairs["b"])])
    (record,), problems = recovered(store)
    assert (record["case"], problems) == ("b", ())
    assert left_in(store) == []
    assert len(outputs(root)) == 6


# --- What an entry says ----------------------------------------------------------------------------------------------


def plant(store: Store, text: str, case: str = "a") -> str:
    """Write an entry; its name."""
    store.staging.create(entry_name(case), [text.encode(errors="surrogatepass")])
    return entry_name(case)


ONE_PLACE = {"result": {"case": "a", "status": "done", "warnings": []}, "moves": [["a.npz"]]}
RUBBISH = (
    *("", "{", "null", "[]", "{}", '{"moves": []}', '{"moves": [], "result": 5}', json.dumps(ONE_PLACE)),
    *("[" * 100_000, '{"record": ' + "9" * 5000 + "}", seal({}), seal({"record": {}, "moves": 5})),
    seal({"record": [["a", 1]], "moves": {}}),
    seal({"record": {"event": "opened", "dataset_root": "", "cases": 1}, "moves": []}),
    seal({"record": {"event": "failed", "case": "a", "error": "why"}, "moves": []}),
)


@pytest.mark.parametrize("text", RUBBISH, ids=range(len(RUBBISH)))
def test_a_garbled_entry_decides_nothing(store, root, text):
    name = plant(store, text)
    records, (problem,) = recovered(store)
    assert records == []
    assert problem.startswith(f"{store.staging.path / name}: this entry of the journal cannot be used (")
    assert problem.endswith("); its case is done again")
    assert left_in(store) == []
    assert outputs(root) == {}


def test_an_entry_whose_bit_has_flipped_is_noticed(store, root):
    files = stage(store)
    text = bytearray(seal({"record": record_of(files), "moves": [file.move for file in files]}).encode())
    for place in range(0, len(text), 7):
        changed = text.copy()
        changed[place] ^= 1 << place % 8
        store.staging.create(entry_name("a"), [changed])
        assert list(pending_records(store)) == []
        store.staging.remove(entry_name("a"))


def moves_with(index: int, **changes: str):
    """The moves of two files, one with changes; to be made of staged ones."""

    def change(files):
        moves = [file.move for file in files]
        moves[index] = moves[index]._replace(**changes)
        return moves

    return change


CRAFTED = {
    "a path for a name": moves_with(0, name="../../victim"),
    "an absolute path": moves_with(0, name="/tmp/victim.npz"),
    "another folder": moves_with(0, folder="..", name="victim.npz"),
    "a folder of temporary files": moves_with(0, folder=".partial"),
    "a foreign file": moves_with(0, staged="../../victim"),
    "a name that is not ours": moves_with(0, staged="victim"),
    "the entry itself": moves_with(0, staged=entry_name("a")),
    "another file's place": moves_with(0, name="b.npz"),
    "one place twice": lambda files: [files[0].move, files[0].move],
    "one place once more": lambda files: [files[0].move, files[1].move, files[0].move],
    "one of two": lambda files: [files[0].move],
    "both swapped": lambda files: [
        files[0].move._replace(staged=files[1].move.staged),
        files[1].move._replace(staged=files[0].move.staged),
    ],
}


@pytest.mark.parametrize("moves", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_entry_moves_nothing(store, root, moves):
    victim = root.parent / "victim"
    image, label = stage(store, 0.0)[1], stage(store, 1.0)[0]
    content = store.staging.read(label.move.staged)  # so that not even the checksum gives it away
    victim.write_bytes(content)
    store.staging.create("victim", [content])
    old = stage(store, 5.0, name="b")
    commit(store, old, "b")
    plant(store, seal({"record": record_of((label, image)), "moves": moves((label, image))}))
    records, problems = recovered(store)
    assert records == []
    assert "cannot be used" in problems[0]
    assert outputs(root) == by_place(old)
    assert victim.read_bytes() == content
    assert left_in(store) == ["victim"]
    assert "victim there; it is left alone" in problems[1]


@pytest.mark.parametrize("name", ["\ud800.npz", "x" * 252 + ".npz", ".hidden.npz", "a\0.npz", "sub/a.npz", "..npz/"])
def test_a_name_that_no_file_can_have_is_refused(store, root, name):
    files = stage(store)
    record = record_of(files)
    record["outputs"]["label"]["path"] = f"labelsTr/{name}"
    moves = moves_with(0, name=name)(files)
    plant(store, seal({"record": record, "moves": moves}))
    records, (problem,) = recovered(store)
    assert records == []
    assert "cannot be used" in problem
    assert outputs(root) == {}


def test_files_that_are_not_those_of_the_record_are_not_moved(store, root):
    files, others = stage(store, 0.0), stage(store, 1.0)
    plant(store, seal({"record": record_of(others), "moves": [file.move for file in files]}))
    records, (problem,) = recovered(store)
    assert records == []
    assert "is not the file that it tells of" in problem
    assert (outputs(root), left_in(store)) == ({}, [])


def test_files_that_are_missing_everywhere_are_named(store):
    files = stage(store)
    for file in files:
        store.staging.remove(file.move.staged)
    plant(store, seal({"record": record_of(files), "moves": [file.move for file in files]}))
    records, (problem,) = recovered(store)
    assert records == []
    assert "labelsTr/a.npz: No such file" in problem


@pytest.mark.parametrize("what", ["folder", "link", "pipe", "large file"])
def test_an_entry_that_is_no_small_file_is_not_read(store, root, tmp_path, what):
    place, target = store.staging.path / entry_name("a"), tmp_path / "foreign"
    files = stage(store)
    target.write_text(seal({"record": record_of(files), "moves": [file.move for file in files]}))
    if what == "large file":
        place.touch()
        os.truncate(place, LARGEST_ENTRY + 1)
    else:
        {"folder": place.mkdir, "link": lambda: place.symlink_to(target), "pipe": lambda: os.mkfifo(place)}[what]()
    records, (problem, *more) = recovered(store)
    assert records == []
    assert "this entry of the journal cannot be used (it cannot be read: " in problem
    assert outputs(root) == {}
    assert target.exists()
    assert left_in(store) == ([] if what == "large file" else [entry_name("a")])
    assert len(more) == (what != "large file")


@pytest.mark.parametrize("number", range(3))
def test_what_a_failing_disk_does_not_let_us_see_waits(store, root, monkeypatch, number):
    """The entry, or one of its files: nothing is thrown away, and the next run finishes the case."""
    files = stage(store)
    plant(store, seal({"record": record_of(files), "moves": [file.move for file in files]}))
    before = left_in(store)
    hidden = [entry_name("a"), *(file.move.staged for file in files)][number]
    with monkeypatch.context() as patch:
        refuse(patch, "open_file", lambda name, *_: name == hidden, errno.EIO)
        records, (problem,) = recovered(store)
        assert [record.case for record in pending_records(store)] == ([] if number == 0 else ["a"])
    assert (records, left_in(store)) == ([], before)
    assert problem.endswith(": a finished case waits to be put in place ([Errno 5] Input/output error)")
    assert recovered(store) == ([record_of(files)], ())
    assert outputs(root) == by_place(files)


def test_an_entry_of_a_newer_version_is_refused_and_left(store, monkeypatch):
    files = stage(store)
    with monkeypatch.context() as patch:
        patch.setattr("monai_mriprep.formats.sealed.format_of", lambda facts: FORMAT_VERSION + 1)
        name = plant(store, seal({"record": record_of(files), "moves": [file.move for file in files]}))
    before = left_in(store)
    with pytest.raises(NewerVersionError, match=rf"{name}: a newer version .* update monai-mriprep"):
        recovered(store)
    assert left_in(store) == before


def test_an_entry_of_0_3_0_is_finished(store, root):
    files = stage(store)
    record = record_of(files, CASE, warnings=["a warning"])
    facts = {key: value for key, value in record.items() if key not in ("event", "case", "error", "warnings")}
    result = {"case": CASE, "status": "done", "error": None, "warnings": ["a warning"], "facts": facts}
    moves = [[file.move.staged, file.move.path] for file in files]
    plant(store, json.dumps({"result": result, "moves": moves}), CASE)
    assert recovered(store) == ([record], ())
    assert outputs(root) == by_place(files)


# --- One case, waste, and records ------------------------------------------------------------------------------------


def test_a_case_that_a_dead_worker_has_finished(store, root, monkeypatch):
    files = stage(store)
    with monkeypatch.context() as patch:
        crash_at(patch, UP_TO_ENTRY + 1)
        with pytest.raises(Crash):
            commit_files(store, record_of(files), files)
    assert recover_case(store, "b") is None
    assert recover_case(store, "a") == record_of(files)
    assert outputs(root) == by_place(files)
    assert recover_case(store, "a") == record_of(files), "the entry stays until the manifest has the record"


def test_a_case_is_not_taken_for_another(store):
    files = stage(store)
    plant(store, seal({"record": record_of(files, "b"), "moves": [file.move for file in files]}), "a")
    assert recover_case(store, "a") is None


def test_a_case_that_cannot_be_put_in_place_is_not_finished(store, monkeypatch):
    files = stage(store)
    plant(store, seal({"record": record_of(files), "moves": [file.move for file in files]}))
    refuse(monkeypatch, "rename", lambda *_: True)
    assert recover_case(store, "a") is None


def test_waste_is_cleared_away_and_foreign_files_are_not(store, root):
    stage(store)
    for name in ("0" * 64 + ".unfinished", "manifest.csv", f"7-{'a' * 32}.json", f"7-{'a' * 32}.old"):
        store.staging.create(name, [b"{"])
    foreign = ["a.npz", "notes.txt", "7-abc.npz", "f" * 63 + ".journal", "folder"]
    for name in foreign[:-1]:
        store.staging.create(name, [b"foreign"])
    store.staging.make_folder("folder")
    records, (problem,) = recovered(store)
    assert records == []
    assert left_in(store) == sorted(foreign)
    named = ", ".join(sorted(foreign)[:3])
    assert problem == f"{store.staging.path}: no run of ours has left {named} and 2 more there; it is left alone"
    assert outputs(root) == {}


def test_entries_stay_until_the_records_are_on_the_disk(store):
    files = stage(store)
    commit_files(store, record_of(files), files)

    def keep(records):
        assert records == [record_of(files)]
        raise OutputError

    with pytest.raises(OutputError):
        recover(store, store.staging, keep)
    assert left_in(store) == [entry_name("a")]


def test_records_pass_through_the_journal_unchanged(store):
    files = stage(store)
    record = record_of(files, CASE, warnings=["a warning"])
    commit_files(store, record, files)
    (found,), _ = recovered(store)
    assert found == record
    Recorder(store).add(found)
    done = read_index(store.root).done(CASE)
    assert done.warnings == ("a warning",)
    assert done.outputs["image"].sha256 == files[1].sha256
