"""`merge`: one run of what shards have done, and what is said where something is missing."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.cli.app import app
from monai_mriprep.errors import LockedError, RecordError
from monai_mriprep.export.splits import write_splits
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.merge import merge
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.planning import plan_cases
from monai_mriprep.run.prune import prune_output
from monai_mriprep.run.shards import split
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.writers import this_writer
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.repair import repair_output
from tests.run.test_shard_runs import N_CASES, PARTS, RECIPE, record_files, run, version
from tests.runs import done_records, events_of, left_over, outputs, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A dataset, a single run, and three shards."""
    root = tmp_path_factory.mktemp("merge")
    write_cases(root / "dataset", N_CASES)
    preprocess(root / "dataset", root / "single", RECIPE, workers=0)
    for number in range(1, PARTS + 1):
        run(root / "dataset", root / "shards", number, report=True)
    return root


@pytest.fixture
def out(made, tmp_path) -> Path:
    return shutil.copytree(made / "shards", tmp_path / "out")


def rows(out: Path) -> list[str]:
    with (out / "manifest.csv").open() as table:
        return [row["case"] for row in csv.DictReader(table)]


def own(dataset: Path, out: Path, number: int) -> list[str]:
    return sorted(case.name for case in split(plan_run(dataset, out, RECIPE).cases, Shard(number, PARTS)))


def test_what_shards_have_done_becomes_what_one_run_has_done(made, out):
    found = merge(out)
    assert (found.files, found.done, found.is_complete) == (PARTS, N_CASES, True)
    assert record_files(out) == ["manifest.jsonl"]
    assert outputs(out) == outputs(made / "single")
    assert rows(out) == rows(made / "single")
    assert json.loads((out / "dataset.json").read_text()) == json.loads((made / "single" / "dataset.json").read_text())
    assert (version(out), left_over(out)) == (1, [])
    assert sorted(events_of(out, "done")) == sorted(done_records(made / "single"))


def test_a_second_time_there_is_nothing_new(out):
    merge(out)
    before = (out / "manifest.jsonl").read_bytes()
    assert merge(out).files == 0
    assert (out / "manifest.jsonl").read_bytes() == before


def test_what_the_records_of_all_shards_say_against_the_recipe_is_told(out, monkeypatch):
    told = []
    monkeypatch.setattr("monai_mriprep.run.merge.asks_nnunet", lambda recipe: recipe == RECIPE)
    monkeypatch.setattr("monai_mriprep.run.merge.nnunet_doubts", lambda *of: told.append(tuple(of[-1])) or ["a doubt"])
    assert "a doubt" in merge(out).warnings
    assert len(told[0]) == N_CASES


def test_a_manifest_that_a_copy_made_of_links_has_too_becomes_its_own(out, tmp_path):
    merge(out)
    (tmp_path / "copy.jsonl").hardlink_to(out / "manifest.jsonl")
    merge(out)
    assert (out / "manifest.jsonl").stat().st_nlink == 1


def test_shards_that_have_never_begun_are_named_and_how_many_cases_are_missing(made, tmp_path):
    out = tmp_path / "out"
    run(made / "dataset", out, 2)
    found = merge(out)
    assert found.not_begun == ("1-of-3", "3-of-3")
    assert found.unknown == N_CASES - found.done
    assert not found.is_complete
    run(made / "dataset", out, 1)
    assert merge(out).not_begun == ("3-of-3",), "shards that were merged before count"
    run(made / "dataset", out, 3)
    assert merge(out).is_complete


def test_with_a_list_the_missing_cases_are_named(made, tmp_path):
    out = tmp_path / "out"
    plan_cases(plan_run(made / "dataset", out, RECIPE))
    run(made / "dataset", out, 2)
    run(made / "dataset", out, 1)
    assert merge(out).missing == tuple(own(made / "dataset", out, 3))


def test_a_shard_goes_by_the_list_and_opens_nothing_else_of_the_dataset(made, tmp_path):
    dataset, out = shutil.copytree(made / "dataset", tmp_path / "dataset"), tmp_path / "out"
    plan_cases(plan_run(dataset, out, RECIPE))
    names, missing = own(dataset, out, 1), own(dataset, out, 3)
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / f"{missing[0]}.mha").unlink()
    assert sorted(result.case for result in run(dataset, out, 1).done) == names


def test_shards_of_another_list_are_named(made, tmp_path):
    dataset, out = shutil.copytree(made / "dataset", tmp_path / "dataset"), tmp_path / "out"
    run(dataset, out, 1)
    for folder in ("ImagesTr", "LabelsTr"):
        shutil.copy(dataset / folder / "case_0.mha", dataset / folder / "more.mha")
    run(dataset, out, 2)
    run(dataset, out, 3)
    found = merge(out)
    assert found.other_lists == ("1-of-3",)
    assert not found.is_complete
    for number in range(1, PARTS + 1):
        run(dataset, out, number)
    assert merge(out).is_complete


def test_a_case_that_failed_was_attempted_and_the_run_is_not_complete(tmp_path):
    dataset, out = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    path = dataset / "ImagesTr" / "case_1.mha"
    path.write_bytes(path.read_bytes()[:-20])
    for number in range(1, PARTS + 1):
        run(dataset, out, number)
    found = merge(out)
    assert (found.done, found.failed, found.missing, found.unknown) == (1, ("case_1",), (), 0)
    assert not found.is_complete


def test_shards_of_another_machine_are_waited_for_until_they_are_taken_over(out):
    name = replace(this_writer(), shard=Shard(2, PARTS), host="elsewhere").name
    (out / ".partial" / name).mkdir()
    with pytest.raises(LockedError, match="works on shard 2-of-3"):
        merge(out)
    assert merge(out, foreign=True).is_complete
    assert left_over(out) == []


def test_a_list_that_was_changed_is_told_and_stops_nothing(made, tmp_path):
    out = tmp_path / "out"
    plan_cases(plan_run(made / "dataset", out, RECIPE))
    run(made / "dataset", out, 2)
    (out / "cases.jsonl").write_text("{}")
    found = merge(out)
    assert found.unknown == N_CASES - found.done
    assert any("cases.jsonl" in warning for warning in found.warnings)


def test_a_folder_that_is_no_runs_is_refused_and_stays_as_it_is(tmp_path):
    with pytest.raises(RecordError, match="give the output folder of a run"):
        merge(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_redo_is_complete_when_all_its_shards_are_merged(made, out):
    merge(out)
    other = Recipe(target_spacing=(3.0, 1.0, 1.0))
    plan_cases(plan_run(made / "dataset", out, other, redo=True))
    for number in (1, 2):
        run(made / "dataset", out, number, recipe=other)
    found = merge(out)
    assert set(found.missing) == set(done_records(made / "single")) - {
        case for case, record in done_records(out).items() if record.redo == 1
    }
    assert not json.loads((out / "run.json").read_text())["redo"]["complete"]
    run(made / "dataset", out, 3, recipe=other)
    assert merge(out).is_complete
    assert json.loads((out / "run.json").read_text())["redo"] == {"number": 1, "complete": True}
    assert {record.spacing for record in done_records(out).values()} == {(3.0, 1.0, 1.0)}


def test_other_commands_work_before_it(made, out, tmp_path):
    assert verify_output(out, workers=1).problems == ()
    assert write_splits(out, 2) == write_splits(shutil.copytree(made / "single", tmp_path / "single"), 2)
    assert repair_output(out).rebuilt == ()
    assert record_files(out) == ["manifest.jsonl"]


def test_what_is_deleted_is_deleted_from_the_files_of_shards_too(made, out, tmp_path):
    dataset = shutil.copytree(made / "dataset", tmp_path / "dataset")
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / "case_0.mha").unlink()
    run(dataset, out, 1, retire=True)
    assert prune_output(out, dry_run=True).cases == ("case_0",)
    assert len(record_files(out)) > 1
    prune_output(out)
    texts = (path.read_text() for path in out.glob("manifest*"))
    assert not any("case_0" in text for text in texts)


def test_the_command_writes_the_report_and_says_what_is_missing(made, tmp_path, capsys):
    def call(*arguments: object) -> tuple[int, str]:
        status = app([str(word) for word in arguments], prog_name="monai-mriprep", standalone_mode=False)
        return status, capsys.readouterr().out

    out = tmp_path / "our scans"
    for number in (1, 2):
        status, told = call("run", made / "dataset", out, "--target", "2,1,1", "-w", 0, "--shard", f"{number}/3")
        assert status == 0
        assert told.splitlines()[-1] == f"next          monai-mriprep merge '{out}', when all shards have ended"
        assert not (out / "report.html").exists()
    status, told = call("merge", out, "--no-report")
    assert status == 1
    assert "not begun     shards 3-of-3" in told
    call("run", made / "dataset", out, "--target", "2,1,1", "-w", 0, "--shard", "3/3")
    status, told = call("merge", out)
    assert (status, "missing" in told) == (0, False)
    assert (out / "report.html").is_file()
