"""Journals and folders of writers that anybody may have made: what fits is finished, nothing else is moved or read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monai_mriprep.formats.sealed import seal
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.writers import _start_of, this_writer
from tests.hostile import Outside, Site
from tests.runs import ROLE_FOLDERS, counts, events, outputs

CASE = "case_1"
OWN = this_writer()
PARENT = str(os.getppid())
DEAD = replace(OWN, start="1").name

FINISHED = {
    "a process that is gone": DEAD,
    "this process": OWN.name,
    "an earlier boot": replace(OWN, boot="0" * 8).name,
    "a process whose id was given again": replace(OWN, pid=PARENT, start="1").name,
    "the flat folder of 0.3.0": "",
}
"""Folders in .partial that a run takes over."""

LEFT_ALONE = {
    "a process that lives": (replace(OWN, pid=PARENT, start=_start_of(os.getppid()) or "").name, "is writing there"),
    "another host": (replace(OWN, host="elsewhere").name, "cannot be asked"),
    "another container": (replace(OWN, pids="0" * 8).name, "cannot be asked"),
    "another folder of this process": (f"{OWN.name}+{'a' * 32}", ""),
}
"""Folders that it does not take over, and what it says of them."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Site:
    return Site.make(tmp_path_factory.mktemp("finished"))


class Interrupted:
    """A folder in which a writer has died when case_1 was finished, before one file of it was in place."""

    def __init__(self, site: Site, writer: str) -> None:
        self.site, self.expected = site, outputs(site.output)
        self.folder = site.output / ".partial" / writer
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = (site.output / "manifest.jsonl").read_text().splitlines(keepends=True)
        (site.output / "manifest.jsonl").write_text("".join(line for line in lines if f'"{CASE}"' not in line))
        facts = next(event for event in FACTS[site.dataset] if (event["event"], event["case"]) == ("done", CASE))
        self.record = {key: value for key, value in facts.items() if key != "time"}
        self.moves = [
            [f"{number}-{'a' * 32}.npz", folder, f"{CASE}.npz"]
            for number, folder in enumerate(reversed(ROLE_FOLDERS.values()))
        ]
        for staged, folder, name in self.moves:
            (site.output / folder / name).rename(self.folder / staged)

    def enter(self, moves: object = None, record: object = None, name: str = entry_name(CASE)) -> None:
        """Write the entry."""
        facts = {"record": self.record if record is None else record, "moves": self.moves if moves is None else moves}
        (self.folder / name).write_text(seal(facts))

    def enter_as_0_1_0(self, moves: list[list[str]]) -> None:
        """The form up to 0.3.0, without a seal."""
        heads = ("event", "case", "error", "warnings")
        facts = {key: value for key, value in self.record.items() if key not in heads}
        head = {"case": CASE, "status": "done", "error": None, "warnings": []}
        entry = {"result": {**head, "facts": facts}, "moves": moves}
        (self.folder / entry_name(CASE)).write_text(json.dumps(entry))


FACTS: dict[Path, list[dict[str, Any]]] = {}


@pytest.fixture
def interrupted(finished, tmp_path) -> Callable[[str], Interrupted]:
    FACTS[finished.dataset] = events(finished.output)
    return lambda writer: Interrupted(finished.copied(tmp_path), writer)


@pytest.mark.parametrize("writer", FINISHED.values(), ids=FINISHED)
def test_what_a_dead_writer_has_finished_is_recorded(interrupted, writer):
    left = interrupted(writer)
    left.enter()
    status, text = left.site.run()
    assert status == 0, text
    assert counts(text) == {"done": 0, "already done": 2}
    assert outputs(left.site.output) == left.expected
    assert list((left.site.output / ".partial").iterdir()) == []
    assert left.site.verify()[0] == 0


@pytest.mark.parametrize(("writer", "said"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_may_be_of_somebody_alive_is_left(interrupted, writer, said):
    left = interrupted(writer)
    left.enter()
    before = {path.name: path.read_bytes() for path in left.folder.iterdir()}
    status, text = left.site.run()
    assert status == 0, text
    assert counts(text) == {"done": 1, "already done": 1}
    assert said in text
    assert {path.name: path.read_bytes() for path in left.folder.iterdir()} == before
    assert outputs(left.site.output) == left.expected


def test_a_writer_of_another_host_is_taken_over_when_the_user_says_so(interrupted):
    left = interrupted(LEFT_ALONE["another host"][0])
    left.enter()
    assert "`run --take-over` clears up after it" in left.site.run()[1]
    status, text = left.site.run("--take-over")
    assert status == 0, text
    assert "cannot be asked" not in text
    assert list((left.site.output / ".partial").iterdir()) == []
    assert outputs(left.site.output) == left.expected
    assert left.site.verify()[0] == 0


def test_a_thousand_writers_have_died(interrupted):
    left = interrupted(DEAD)
    left.enter()
    for start in range(2, 1002):
        folder = left.folder.with_name(replace(OWN, start=str(start)).name)
        folder.mkdir()
        (folder / f"7-{'b' * 32}.npz").write_bytes(b"")
    status, text = left.site.run()
    assert status == 0, text
    assert counts(text) == {"done": 0, "already done": 2}
    assert list((left.site.output / ".partial").iterdir()) == []


def crafted(outside: Outside) -> dict[str, Callable[[list[list[str]]], object]]:
    """Moves that no run would write, made of those that it did write."""
    there, up = str(outside.file), f"../../../{outside.root.name}/file"
    return {
        "from outside": lambda moves: [[there, *moves[0][1:]], moves[1]],
        "from above": lambda moves: [[up, *moves[0][1:]], moves[1]],
        "to outside": lambda moves: [[moves[0][0], str(outside.folder), moves[0][2]], moves[1]],
        "to above": lambda moves: [[moves[0][0], "../outside/folder", moves[0][2]], moves[1]],
        "to a name above": lambda moves: [[*moves[0][:2], up + ".npz"], moves[1]],
        "to an absolute name": lambda moves: [[*moves[0][:2], there + ".npz"], moves[1]],
        "to a folder of ours": lambda moves: [[moves[0][0], ".partial", moves[0][2]], moves[1]],
        "to the output folder": lambda moves: [[moves[0][0], ".", "run.json"], moves[1]],
        "a name that is not ours": lambda moves: [["notes.npz", *moves[0][1:]], moves[1]],
        "one file for both": lambda moves: [moves[0], [moves[0][0], *moves[1][1:]]],
        "one place for both": lambda moves: [moves[0], [moves[1][0], *moves[0][1:]]],
        "one alone": lambda moves: moves[:1],
        "each twice": lambda moves: moves * 2,
        "the label as image": lambda moves: [[moves[0][0], *moves[1][1:]], [moves[1][0], *moves[0][1:]]],
        "numbers": lambda moves: [[1, 2, 3]],
        "none": lambda moves: [],
        "no list": lambda moves: {"a": 5},
    }


@pytest.mark.parametrize("writer", [DEAD, OWN.name, ""], ids=["dead", "own", "flat"])
@pytest.mark.parametrize("number", range(17))
def test_a_crafted_entry_moves_nothing(interrupted, tmp_path, writer, number):
    outside, left = Outside(tmp_path / "outside"), interrupted(writer)
    kind, change = list(crafted(outside).items())[number]
    assert number < 16 or len(crafted(outside)) == 17, "no more than the test counts"
    left.enter(change(left.moves))
    finish_without(left, outside, kind)


@pytest.mark.parametrize("number", range(9))
def test_a_crafted_entry_in_the_form_of_0_1_0_moves_nothing(interrupted, tmp_path, number):
    outside, left = Outside(tmp_path / "outside"), interrupted("")
    kind, change = list(crafted(outside).items())[number]
    left.enter_as_0_1_0([[staged, f"{folder}/{name}"] for staged, folder, name in change(left.moves)])
    finish_without(left, outside, kind)


def finish_without(left: Interrupted, outside: Outside, kind: str) -> None:
    """A run says that the entry is of no use, does the case again, and leaves alone what is not ours."""
    notes = [left.folder / "notes.txt", left.site.output / ".partial" / "mine.npz"]
    for path in notes:
        path.write_bytes(b"of somebody")
    with outside.untouched():
        assert left.site.verify()[0] in (0, 1), kind
        status, text = left.site.run()
        assert status == 0, (kind, text)
    assert "cannot be used" in text, kind
    assert counts(text) == {"done": 1, "already done": 1}, kind
    assert "notes.txt" in text
    assert "mine.npz" in text
    assert len(list((left.site.output / ".partial").rglob("notes.txt"))) == 1, "under the name of the taker, perhaps"
    assert notes[1].read_bytes() == b"of somebody"
    assert outputs(left.site.output) == left.expected, kind


FILES = {
    "a link to the outside": lambda path, outside: path.symlink_to(outside.file),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "another file": lambda path, _: path.write_bytes(b"another"),
    "a huge file": lambda path, _: (path.touch(), os.truncate(path, 1 << 40)),
    "nothing": lambda path, _: None,
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("number", range(2))
def test_a_staged_file_that_is_not_the_recorded_one_is_not_moved(interrupted, tmp_path, what, number):
    outside, left = Outside(tmp_path / "outside"), interrupted(DEAD)
    left.enter()
    path = left.folder / left.moves[number][0]
    path.unlink()
    FILES[what](path, outside)
    finish_without(left, outside, what)


ENTRIES = {
    "a link to the outside": lambda path, outside: path.symlink_to(outside.folder / "run.json"),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "100 MB": lambda path, _: (path.touch(), os.truncate(path, 100 << 20)),
    "brackets": lambda path, _: path.write_bytes(b"[" * 100_000),
    "digits": lambda path, _: path.write_bytes(b'{"record": ' + b"9" * 5000),
    "of another kind": lambda path, _: path.write_text(seal({"record": [1], "moves": 5})),
    "a case that is no text": lambda path, _: path.write_text(seal({"record": {"case": 5}, "moves": []})),
}


@pytest.mark.parametrize("what", ENTRIES)
def test_an_entry_that_is_none_decides_nothing(interrupted, tmp_path, what):
    outside, left = Outside(tmp_path / "outside"), interrupted(DEAD)
    ENTRIES[what](left.folder / entry_name(CASE), outside)
    finish_without(left, outside, what)


def test_a_case_that_is_entered_twice_is_finished_once(interrupted):
    left = interrupted(DEAD)
    left.enter()
    left.enter(name=entry_name("another"))
    status, text = left.site.run()
    assert status == 0, text
    assert outputs(left.site.output) == left.expected
    assert list((left.site.output / ".partial").iterdir()) == []
    assert left.site.verify()[0] == 0
