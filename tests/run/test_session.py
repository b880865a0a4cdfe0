"""A session: what a run finds in its output folder, does again, records and leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import DatasetError, DiskFullError, LockedError
from monai_mriprep.run.engines import ThisMachine
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.process import process_case
from monai_mriprep.run.session import open_session
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.store import open_store
from monai_mriprep.verify.audit import verify_output
from tests.run.works import hang
from tests.runs import done_line, errors_of, events, events_of, left_over, outputs, write_case, write_cases


def run(root: Path, output: Path, redo: bool = False, case_timeout: float | None = None, **options):
    with open_session(plan_run(root, output, redo=redo)) as session:
        return execute(session, ThisMachine.limited(0, timeout=case_timeout), **options)


@pytest.mark.filterwarnings("ignore:.*mri_statistics")
def test_only_what_changed_is_done_again(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    assert len(preprocess(root, output, workers=0).done) == 3
    before = outputs(output)
    (output / "labelsTr" / "case_1.npz").write_bytes(b"damaged")
    again = preprocess(root, output, workers=0)
    assert [result.case for result in again.done] == ["case_1"]
    assert sorted(again.skipped) == ["case_0", "case_2"]
    assert outputs(output) == before


def test_what_a_worker_finished_is_recorded_at_the_end_though_nobody_received_it(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"

    def interrupt(session) -> None:
        for case in session.todo:
            process_case(session.plan.job, case)  # the journal has it, the main process does not
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_session(plan_run(root, output)) as session:
        interrupt(session)
    assert len(events_of(output, "done")) == 1
    assert len(json.loads((output / "dataset.json").read_text())["training"]) == 1
    assert left_over(output) == []
    assert len(run(root, output).done) == 1


def test_what_a_worker_finished_is_known_though_nobody_received_it(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    with open_session(plan_run(root, output)) as session:
        first, second = session.todo
        result = process_case(session.plan.job, first)
        assert json.dumps(session.finished(first.name).record()) == json.dumps(result.record())
        assert session.finished(second.name) is None


def test_a_copy_made_of_links_is_told_apart_once_nobody_else_writes(tmp_path):
    """A run that is refused leaves the records alone: what the other one appends meanwhile would be lost."""
    root, output = write_cases(tmp_path / "dataset", 1), tmp_path / "out"
    run(root, output)
    manifest, copy = output / "manifest.jsonl", tmp_path / "copy.jsonl"
    copy.hardlink_to(manifest)
    with open_store(output) as store, exclusive(store.root):
        with pytest.raises(LockedError):
            run(root, output)
        assert manifest.samefile(copy)
    before = copy.read_bytes()
    write_cases(root, 2)
    run(root, output)
    assert copy.read_bytes() == before
    assert manifest.read_bytes().startswith(before)
    assert len(manifest.read_bytes()) > len(before)


def test_a_full_disk_that_takes_no_record_stops_the_run(tmp_path, monkeypatch):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"

    def full(session, result) -> None:
        msg = "no space for the record"
        raise DiskFullError(msg)

    with open_session(plan_run(root, output)) as session:
        monkeypatch.setattr(type(session), "record", full)
        summary = execute(session, ThisMachine.limited(0))
        monkeypatch.undo()
    assert summary.stopped == "no space for the record"
    assert len(run(root, output).skipped) == 1


def test_lists_that_cannot_be_made_at_the_end_hide_no_error(tmp_path, caplog):
    """They are derived from the records, which a newer version has gone on with here; older lists are removed."""
    root, output = write_cases(tmp_path / "dataset", 1), tmp_path / "out"
    run(root, output)
    newer = '{"version": 7, "event": "unheard"'
    line = f'{newer}, "digest": "{hashlib.sha256(newer.encode()).hexdigest()[:16]}"}}\n'

    def interrupted() -> None:
        with (output / "manifest.jsonl").open("a") as file:
            file.write(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_session(plan_run(root, output)):
        interrupted()
    assert "newer version" in caplog.messages[-1]
    assert caplog.messages[-1].endswith("; manifest.csv and dataset.json cannot be made of them")
    assert not (output / "manifest.csv").exists()
    assert not (output / "dataset.json").exists()


EDITS = {
    "outputs are a number": lambda line: line | {"outputs": 5},
    "an output is a number": lambda line: line | {"outputs": {**line["outputs"], "image": 5}},
    "an output is missing": lambda line: line | {"outputs": {"label": line["outputs"]["label"]}},
    "a size is text": lambda line: line | {"sources": {**line["sources"], "image": {"size": "big"}}},
    "no time": lambda line: {key: value for key, value in line.items() if key != "time"},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_case_whose_record_was_edited_is_done_again(tmp_path, edit):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    run(root, output)
    before = outputs(output)
    lines = [
        edit(event) if event["case"] == "case_1" and event["event"] == "done" else event for event in events(output)
    ]
    (output / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = run(root, output)
    assert ([result.case for result in summary.done], summary.skipped) == (["case_1"], ("case_0",))
    assert outputs(output) == before
    assert run(root, output).done == ()
    assert verify_output(output).findings == ()


def test_an_edited_record_of_a_case_that_has_left_the_dataset_is_in_no_summary(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 1), tmp_path / "out"
    run(root, output)
    with (output / "manifest.jsonl").open("a") as file:
        file.write(json.dumps(done_line("gone", outputs=5)) + "\n")
    assert run(root, output).skipped == ("case_0",)
    assert "gone" not in (output / "manifest.csv").read_text() + (output / "dataset.json").read_text()


def test_redo_does_everything_again(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    run(root, output)
    assert len(run(root, output, redo=True).done) == 2


def test_fail_fast_stops(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    for label in (root / "LabelsTr").iterdir():
        label.write_text("rubbish")
    assert len(run(root, output, fail_fast=True).failed) == 1
    assert len(run(root, output).failed) == 3


def test_a_torn_manifest_loses_one_record_at_most(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    run(root, output)
    manifest = output / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert len(run(root, output).done) == 1
    assert len(run(root, output).skipped) == 3


ODD = [
    " ",
    "a b",
    "é",
    "☃",
    "'\"`$(x)",
    "-rf",
    "--help",
    "a\nb",
    "a\tb",
    "%s{0}",
    "*",
    "\\",
    "a" * 200,
    "CON",
    "a.b.c",
    "\udcff",
]


def test_stems_with_odd_characters(tmp_path):
    root, output = tmp_path / "dataset", tmp_path / "out"
    for name in ODD:
        try:
            write_case(root, name)
        except OSError:
            pytest.skip(f"the file system does not take the name {name!r}")
    summary = run(root, output)
    assert summary.failed == ()
    assert {path.removesuffix(".npz") for path in os.listdir(output / "imagesTr")} == set(ODD)  # noqa: PTH208
    assert sorted(events_of(output, "done")) == sorted(ODD)
    assert len(run(root, output).skipped) == len(ODD)


def test_a_dataset_of_links(tmp_path):
    write_cases(tmp_path / "store", 2)
    root = tmp_path / "dataset"
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True)
        for path in (tmp_path / "store" / folder).iterdir():
            (root / folder / path.name).symlink_to(path)
    (tmp_path / "link").symlink_to(root)
    assert len(run(tmp_path / "link", tmp_path / "out").done) == 2


def test_loops_of_links(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    image = root / "ImagesTr" / "case_0.mha"
    image.unlink()
    image.symlink_to(image.name)
    summary = run(root, output)
    assert [result.case for result in summary.done] == ["case_1"]
    assert "case_0.mha: the file cannot be found" in errors_of(output)["case_0"]

    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DatasetError, match="link"):
        plan_run(tmp_path / "loop", output)


def test_a_huge_claim_of_one_case_does_not_stop_the_run(tmp_path):
    """Its voxels would fill any disk, but it is refused for its memory alone."""
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    write_case(root, "liar", (4, 8, 9), (9000.0, 9000.0, 9000.0))
    summary = run(root, output)
    assert len(summary.done) == 3
    assert "not attempted" in errors_of(output)["liar"]


def test_an_observer_that_fails_changes_nothing(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    seen = []

    def observe(result, finished, total):
        seen.append((result.case, finished, total))
        msg = "no display"
        raise RuntimeError(msg)

    summary = run(root, output, observe=observe)
    assert seen == [("case_0", 1, 2), ("case_1", 2, 2)]
    assert [result.case for result in summary.done] == events_of(output, "done") == ["case_0", "case_1"]


def test_an_engine_of_ones_own_works_on_as_many_cases_as_fit(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    counts = []

    def backwards(work, cases):
        for case in list(cases)[::-1]:
            yield work(case)

    class Backwards(ThisMachine):
        def mapper(self, at_once, total):
            counts.append((at_once, total))
            return backwards

    with open_session(plan_run(root, output)) as session:
        summary = execute(session, Backwards(2, 2**40))
    assert counts == [(2, 3)]
    assert [result.case for result in summary.done] == events_of(output, "done") == ["case_2", "case_1", "case_0"]
    assert verify_output(output).findings == ()


def test_results_go_through_what_the_caller_gives_before_they_are_recorded(tmp_path):
    root, output, ended = write_cases(tmp_path / "dataset", 2), tmp_path / "out", []

    def through(results):
        try:
            for result in results:
                yield replace(result, warnings=("uploaded",))
        finally:
            ended.append(events_of(output, "done"))

    assert [result.warnings for result in run(root, output, through=through).done] == [("uploaded",)] * 2
    assert [event["warnings"] for event in events(output) if event["event"] == "done"] == [["uploaded"]] * 2
    assert len(ended) == 1


def test_without_workers_a_case_over_the_limit_is_ended_too(tmp_path, monkeypatch):
    root, output = write_cases(tmp_path / "dataset", 1), tmp_path / "out"
    monkeypatch.setattr("monai_mriprep.run.under_way.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("monai_mriprep.run.preprocess.process_case", lambda job, case: hang())
    (result,) = run(root, output, case_timeout=0.2).failed
    assert "the limit of --case-timeout" in result.error
    assert "tried twice" in errors_of(output)["case_0"]
