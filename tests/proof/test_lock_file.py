"""A lock is read as anybody's text: whatever was done to it is refused, with the line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.errors import MriprepError, RecordError
from monai_mriprep.formats.sealed import seal
from monai_mriprep.proof import lock_file
from monai_mriprep.proof.lock_file import chosen_names, read_lock
from tests.proof.locks import edited


@pytest.fixture
def lock(place) -> Path:
    return place / "data.lock"


def lines_of(lock: Path) -> list[str]:
    return lock.read_text().splitlines(keepends=True)


def rewritten(lock: Path, lines: list[str]) -> Path:
    lock.write_text("".join(lines))
    return lock


def problem_of(lock: Path) -> str:
    with pytest.raises(RecordError) as found:
        read_lock(lock)
    return str(found.value)


def test_it_is_read_as_it_was_written(lock):
    found = read_lock(lock)
    assert list(found.lines) == list(found.head.cases) == ["case_0", "case_1"]
    assert json.loads(lines_of(lock)[-1])["sha256"] == found.sha256
    assert chosen_names(found, ["case_1", "case_1"]) == ("case_1",)
    with pytest.raises(RecordError, match="tells of no case case_7; it has case_0, case_1"):
        chosen_names(found, ["case_7"])
    with pytest.raises(RecordError, match="nothing would be compared"):
        chosen_names(found, [])


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_changed_line_is_named(lock, number):
    lines = lines_of(lock)
    lines[number] = lines[number].replace("a", "b", 1)
    assert f"data.lock, line {number + 1}: " in problem_of(rewritten(lock, lines))
    assert "its digest is" in problem_of(lock)


def test_a_changed_recipe_or_version_is_named_by_its_line(lock):
    text = lock.read_text()
    for before, now in (('"order": 3', '"order": 1'), ('"torch": "', '"torch": "9.')):
        lock.write_text(text.replace(before, now, 1))
        assert "line 1: is not as `lock` writes what all cases share, or was changed since" in problem_of(lock)


def test_a_line_that_was_taken_away_added_moved_or_cut_off_is_named(lock):
    head, one, two, end = lines_of(lock)
    assert "lacks the line of case_1" in problem_of(rewritten(lock, [head, one, end]))
    assert "lacks the line of case_1" in problem_of(rewritten(lock, [head, one]))
    assert "lacks the line of case_0, case_1" in problem_of(rewritten(lock, [head]))
    assert "line 4: tells of the case case_1 again" in problem_of(rewritten(lock, [head, one, two, two, end]))
    assert "a line was moved or added" in problem_of(rewritten(lock, [head, two, one, end]))
    assert "a line was moved or added" in problem_of(rewritten(lock, [head, one, two, end, one]))
    assert "line 4: is cut off" in problem_of(rewritten(lock, [head, one, two, end[:-9]]))
    assert "its last line is missing: it was cut off" in problem_of(rewritten(lock, [head, one, two]))
    assert "line 1: " in problem_of(rewritten(lock, []))


def test_a_line_of_another_lock_is_noticed(lock):
    head, one, two, end = lines_of(lock)
    facts = json.loads(one)
    facts["outputs"]["image"]["sha256"] = "0" * 64
    other = seal({key: facts[key] for key in facts if key not in ("version", "digest")})
    assert "its last line has the hash of other ones" in problem_of(rewritten(lock, [head, f"{other}\n", two, end]))


def test_a_newer_lock_says_so(lock):
    edited(lock, lambda facts: facts.update(lock=2) if "lock" in facts else None)
    assert "a newer version of monai-mriprep has written it (lock 2)" in problem_of(lock)


@pytest.mark.parametrize(
    "path",
    [
        "../dataset/ImagesTr/case_0.mha",
        "/etc/passwd",
        "ImagesTr/../../x",
        "",
        "a//b",
        "a\0b",
        ".",
        "a/./b",
        "\udc00\ud800",
    ],
    ids=["parent", "absolute", "within", "empty", "double", "nul", "dot", "inner dot", "no name"],
)
def test_no_source_leads_out_of_the_dataset(lock, path):
    def change(facts):
        if facts.get("case") == "case_0":
            facts["sources"]["image"]["path"] = path

    assert "line 2: is not as `lock` writes a case" in problem_of(edited(lock, change))


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "", ".."])
def test_no_file_of_voxels_lies_elsewhere_than_its_header(lock, name):
    def change(facts):
        if facts.get("case") == "case_0":
            facts["sources"]["image"]["data"] = [{"name": name, "size": 1, "sha256": "0" * 64}]

    assert "line 2: is not as `lock` writes a case" in problem_of(edited(lock, change))


@pytest.mark.parametrize(
    "path", ["../x.npz", "imagesTr/../../x.npz", "labelsTr/x.npz", "imagesTr/x.txt", "imagesTs/x.npz"]
)
def test_no_output_lies_elsewhere_than_in_the_folder_of_its_role(lock, path):
    def change(facts):
        if facts.get("case") == "case_0":
            facts["outputs"]["image"]["path"] = path

    assert "line 2: is not as `lock` writes a case" in problem_of(edited(lock, change))


@pytest.mark.parametrize(
    "change",
    [
        {"case": "x" * 300},
        {"sources": {}},
        {"outputs": {"image": {}}},
        {"trace": [1]},
        {"spacing": [1, 2]},
        {"foreground": None},
        {"classes": "x"},
        {"case": 7},
    ],
    ids=["name", "sources", "outputs", "trace", "spacing", "foreground", "classes", "number"],
)
def test_what_is_no_case_is_refused(lock, change):
    def applied(facts):
        if facts.get("case") == "case_0":
            facts.update(change)

    assert "line 2: is not as `lock` writes a case" in problem_of(edited(lock, applied))


@pytest.mark.parametrize("part", ["sources", "outputs"])
def test_sources_and_volumes_are_of_the_same_roles(lock, part):
    def change(facts):
        if facts.get("case") == "case_0":
            del facts[part]["label"]

    assert "line 2: is not as `lock` writes a case" in problem_of(edited(lock, change))


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": 1},
        {"target_spacing": [0, 1, 1]},
        {"cases": ["case_1", "case_0"]},
        {"cases": ["case_0", "case_0", "case_1"]},
        {"cases": "case_0"},
        {"made": [{}]},
        {"fingerprint": "zz"},
        {"lock": 0},
        {"lock": True},
    ],
    ids=["recipe", "target", "order", "twice", "text", "made", "fingerprint", "zero", "bool"],
)
def test_what_is_no_first_line_is_refused(lock, change):
    assert "data.lock" in problem_of(edited(lock, lambda facts: facts.update(change) if "lock" in facts else None))


@pytest.mark.parametrize(
    "change", [{"virtual": True}, {"is_test": True}, {"outputs": {}}], ids=["virtual", "test set", "no volumes"]
)
def test_a_case_has_the_files_that_the_first_line_says(lock, change):
    """Else a lock without arrays would be proven, and nothing was compared."""

    def applied(facts):
        if change.keys() & facts.keys() and facts.get("case") != "case_1":
            facts.update(change)

    assert "line 2: its sources or volumes are not those that" in problem_of(edited(lock, applied))


def test_lines_and_files_without_end_are_refused_early(lock, monkeypatch):
    monkeypatch.setattr(lock_file, "LONGEST_LINE", 500)
    assert "line 1: is cut off, or longer than any line of a lock" in problem_of(lock)
    monkeypatch.setattr(lock_file, "LONGEST_LINE", 1 << 24)
    monkeypatch.setattr(lock_file, "LARGEST", 3000)
    assert "is cut off, or longer than any line of a lock" in problem_of(lock)
    assert "line 1" in problem_of(Path("/dev/zero"))
    assert "cannot be read" in problem_of(lock.parent)
    assert "cannot be read" in problem_of(lock.parent / "none")


def test_bytes_that_somebody_has_thrown_in_are_an_error_of_ours(lock):
    """Whatever byte is changed, it is refused: every line is sealed, and all of them together."""
    content, rng = lock.read_bytes(), np.random.default_rng(0)
    for position in rng.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[position] = (changed[position] + rng.integers(1, 256)) % 256
        lock.write_bytes(changed)
        with pytest.raises(MriprepError):
            read_lock(lock)
    lock.write_bytes(os.urandom(1000))
    assert "line 1" in problem_of(lock)
    for text in ("[" * 100_000, '{"a": ' * 100_000, "1" * 100_000, '{"version": 1, "sha256": 7}'):
        lock.write_text(f"{text}\n")
        assert "line 1" in problem_of(lock)
