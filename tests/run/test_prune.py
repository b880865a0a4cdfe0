"""What retired cases have left is deleted, and nothing else."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import LockedError, OutputError, RecordError
from monai_mriprep.export.splits import write_splits
from monai_mriprep.formats import sealed
from monai_mriprep.formats.sealed import NewerVersionError, seal
from monai_mriprep.report.text import prune_text
from monai_mriprep.run.prune import prune_output
from monai_mriprep.store import calls
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.pictures import write_picture
from monai_mriprep.store.store import open_store
from monai_mriprep.store.writers import this_writer
from monai_mriprep.verify.audit import verify_output
from tests.runs import outputs, write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

NAMES = ("10_1", "11_1", "12_1")


@pytest.fixture
def root(tmp_path) -> Path:
    for seed, name in enumerate(NAMES):
        write_case(tmp_path / "dataset", name, seed=seed)
    return tmp_path / "dataset"


@pytest.fixture
def output(root, tmp_path) -> Path:
    """A finished folder, whose first case has left, and whose last one has got a label of another name."""
    output = tmp_path / "out"
    preprocess(root, output, workers=0)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder / "10_1.mha").unlink()
    (root / "LabelsTr/12_1.mha").rename(root / "LabelsTr/12_1_seg.mha")
    preprocess(root, output, workers=0, retire=True)
    return output


def test_pictures_of_the_cases_go_and_so_does_the_report_that_shows_them(output):
    with open_store(output) as store:
        for case in NAMES:
            write_picture(store, case, b"picture")
    (output / "report.html").write_text("shows them")
    before = prune_output(output, dry_run=True)
    assert (output / "report.html").exists()
    summary = prune_output(output)
    assert sorted(path.name for path in (output / ".report").iterdir()) == ["11_1.webp", "12_1.webp"]
    assert not (output / "report.html").exists()
    assert before.files == summary.files
    assert "report.html" in summary.files
    assert summary.warnings == ()


def test_pictures_and_pages_are_found_again_where_a_prune_was_ended(output, monkeypatch):
    with open_store(output) as store:
        write_picture(store, "10_1", b"picture")
    (output / "report").mkdir()
    for name in ("report.html", "report/page-0001.html", "report/page-0002.html", "report/mine.html"):
        (output / name).write_text("10_1")
    refuse_after(monkeypatch, "unlink", 4)
    with pytest.raises(OutputError):
        prune_output(output)
    monkeypatch.undo()
    prune_output(output)
    assert not (output / ".report" / "10_1.webp").exists()
    assert [path.name for path in output.rglob("*.html")] == ["mine.html"]


def refuse_after(monkeypatch, call: str, count: int) -> None:
    """Let a call of the system fail after so many."""
    before, left = getattr(calls, call), iter(range(count))

    def counted(*arguments):
        if next(left, None) is None:
            raise OSError(5, "refused")
        return before(*arguments)

    monkeypatch.setattr(calls, call, counted)


def test_warnings_of_runs_that_name_a_file_of_the_case_go_too(root, output):
    (root / "ImagesTr/11_1.mha").unlink()
    preprocess(root, output, workers=0, retire=True)
    assert any(b"11_1.mha" in line for line in lines(output) if b'"opened"' in line)
    summary = prune_output(output)
    assert summary.run_warnings == 1
    assert mentions(output, "11_1") == mentions(output, "10_1") == []
    assert "deleted: 1 warning of runs that named files of theirs" in prune_text(summary)


@pytest.mark.parametrize("cases", [(), ("12_1",)])
def test_a_dry_run_says_what_would_be_deleted_and_deletes_nothing(output, cases):
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    said = prune_output(output, cases, dry_run=True)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    assert any(line.startswith("would be deleted: retired/") for line in prune_text(said, is_dry=True))
    assert prune_output(output, cases) == said


def lines(output: Path) -> list[bytes]:
    return (output / "manifest.jsonl").read_bytes().splitlines(keepends=True)


def mentions(output: Path, name: str) -> list[str]:
    """Files whose name or content has this text."""
    found = []
    for path in output.rglob("*"):
        text = b"" if path.is_dir() else path.read_bytes()
        if name in path.name or name.encode() in text:
            found.append(str(path.relative_to(output)))
    return sorted(found)


def test_nothing_of_a_case_that_left_stays_and_all_of_the_others(output):
    before, records = outputs(output), lines(output)
    assert len(mentions(output, "10_1")) == 3  # both files, and the records
    summary = prune_output(output)
    assert summary.cases == ("10_1", "12_1")
    assert sorted(summary.files) == sorted(
        f"retired/{folder}/{name}.npz" for folder in ("imagesTr", "labelsTr") for name in ("10_1", "12_1")
    )
    assert (mentions(output, "10_1"), summary.warnings) == ([], ())
    assert outputs(output) == before
    kept = lines(output)
    assert kept == [line for line in records if line in set(kept)], "line by line what it was"
    assert summary.records == len(records) - len(kept) == 6  # of each case: started, done, retired
    assert verify_output(output).findings == ()


def test_a_case_that_lives_on_keeps_what_came_after(root, output):
    prune_output(output, ["12_1"])
    kept = [json.loads(line) for line in lines(output)]
    assert [line["event"] for line in kept if line.get("case") == "12_1"] == ["started", "done"]
    assert len(mentions(output, "10_1")) == 3
    assert sorted(preprocess(root, output, workers=0).skipped) == ["11_1", "12_1"]
    with pytest.raises(RecordError, match=r"not retired: 12_1\."):
        prune_output(output, ["12_1"])


@pytest.mark.parametrize("names", [["11_1"], ["10_1", "unheard of"], ["../dataset"]])
def test_a_case_that_is_not_retired_is_refused_and_nothing_is_deleted(output, names):
    before = lines(output), sorted(output.rglob("*"))
    with pytest.raises(RecordError, match="nothing was deleted"):
        prune_output(output, names)
    assert (lines(output), sorted(output.rglob("*"))) == before


def test_a_journal_that_is_taken_over_later_brings_nothing_back(root, output):
    facts = json.loads(next(line for line in lines(output) if b'"done"' in line and b'"10_1"' in line))
    record = {key: value for key, value in facts.items() if key not in ("version", "digest", "time")}
    with open_store(output, replace(this_writer(), host="elsewhere").name) as store:
        moves = [
            [f"1-{n * 32}.npz", *file["path"].split("/")]
            for n, file in zip("ab", record["outputs"].values(), strict=True)
        ]
        for staged, folder, name in moves:
            retired = output / "retired" / folder / name
            store.staging.create(staged, [retired.read_bytes()])
        store.staging.create(entry_name("10_1"), [seal({"record": record, "moves": moves}).encode()])
        os.utime(store.staging.path / entry_name("10_1"), (1, 1))
    warnings = prune_output(output).warnings
    assert any("of elsewhere may be writing there" in warning for warning in warnings)
    summary = preprocess(root, output, workers=0, take_over=True)
    assert any(warning.endswith("not put in place: 10_1") for warning in summary.warnings)
    assert mentions(output, "10_1") == []
    assert list((output / ".partial").iterdir()) == []


def test_records_of_a_newer_version_are_named(output, monkeypatch):
    monkeypatch.setattr(sealed, "format_of", lambda facts: sealed.FORMAT_VERSION + 1)
    newer = sealed.seal({"event": "retired", "case": "10_1", "time": 1.5, "files": []})
    monkeypatch.undo()
    (output / "manifest.jsonl").write_bytes(b"".join(lines(output)) + newer.encode() + b"\n")
    with pytest.raises(NewerVersionError, match=r"out/manifest\.jsonl, line \d+: a newer version"):
        prune_output(output)


def test_a_second_one_finds_nothing(output):
    prune_output(output)
    before = lines(output)
    summary = prune_output(output)
    assert (summary.cases, summary.files, summary.records) == ((), (), 0)
    assert lines(output) == before


def test_damaged_lines_of_the_case_go_too(output):
    damaged = b'{"event": "done", "case": "10_1", "time"\n'
    (output / "manifest.jsonl").write_bytes(damaged + b"".join(lines(output)))
    prune_output(output)
    assert mentions(output, "10_1") == []


@pytest.mark.parametrize("number", range(6))
def test_a_prune_that_fails_is_finished_by_the_next(output, monkeypatch, number):
    """The n-th unlink or rename fails; the records go last, so the same command finds what is left."""
    before, n_calls = outputs(output), iter(range(100))

    def failing(name):
        real = getattr(calls, name)

        def call(*arguments):
            if next(n_calls) == number:
                raise OSError(5, "Input/output error")
            return real(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("unlink", "rename"):
            patch.setattr(calls, name, failing(name))
        with suppress(OutputError):
            prune_output(output)
    prune_output(output)
    assert (mentions(output, "10_1"), outputs(output)) == ([], before)


def test_what_it_cannot_delete_is_named(output):
    (output / "dataset.json").write_text(json.dumps({"training": [{"case": name} for name in NAMES]}))
    write_splits(output, folds=2)
    (output / "run.json.set-aside").write_text("10_1")
    (output / "retired/imagesTr/other.npz").write_bytes(b"")
    unknown, splits, aside = prune_output(output, ["10_1"]).warnings
    assert "retired/imagesTr/other.npz" in unknown
    assert "splits_final.json names 10_1; split again" in splits
    assert "run.json.set-aside" in aside
    assert (output / "retired/imagesTr/other.npz").exists()


def test_no_link_in_retired_is_followed(output, tmp_path):
    outside = tmp_path / "outside"
    (output / "retired/imagesTr").rename(outside)
    (output / "retired/imagesTr").symlink_to(outside)
    prune_output(output)
    assert sorted(path.name for path in outside.iterdir()) == ["10_1.npz", "12_1.npz"]


def test_it_waits_for_no_run_and_needs_records(tmp_path, output):
    with open_store(output) as store, exclusive(store.root), pytest.raises(LockedError):
        prune_output(output)
    write_cases(tmp_path / "else", 1)
    with pytest.raises(RecordError, match=r"no manifest\.jsonl there"):
        prune_output(tmp_path / "else")
    assert sorted(path.name for path in (tmp_path / "else").iterdir()) == ["ImagesTr", "LabelsTr"]


def test_a_table_and_a_list_that_a_crash_has_left_behind_are_made_anew(output):
    row = "10_1," + "done," * 5 + "\n"
    with (output / "manifest.csv").open("a", encoding="utf-8") as table:
        table.write(row)
    (output / "dataset.json").write_text(json.dumps({"training": [{"image": "imagesTr/10_1.npz"}]}), encoding="utf-8")
    prune_output(output)
    assert mentions(output, "10_1") == []
    assert "11_1" in (output / "dataset.json").read_text(encoding="utf-8")


def test_a_case_that_lives_on_is_not_named_in_the_note_on_splits(output):
    (output / "splits_final.json").write_text(json.dumps([{"train": ["10_1", "11_1"], "val": ["12_1"]}]))
    summary = prune_output(output)
    (note,) = (text for text in summary.warnings if "splits_final.json" in text)
    assert "10_1" in note
    assert "12_1" not in note.replace(str(output), "")
