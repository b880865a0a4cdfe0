"""`plan`: what it writes, and when it refuses."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep.errors import LockedError, OutputError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.estimates import case_seconds
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.planned import planned
from monai_mriprep.run.planning import plan_cases
from monai_mriprep.run.session import open_session
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.writers import this_writer
from monai_mriprep.verify.audit import verify_output
from tests.runs import write_case

TARGET = Recipe(target_spacing=(1.5, 1.0, 1.0))


def state(out: Path) -> dict[str, str]:
    """Every file, with the hash of its bytes."""
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def description(out: Path) -> dict:
    return json.loads((out / "run.json").read_text())


def test_a_new_folder_gets_its_recipe_its_target_and_the_list(dataset, tmp_path):
    plan = plan_run(dataset, tmp_path / "out")
    found = plan_cases(plan)
    assert set(state(tmp_path / "out")) == {".lock", "run.json", "cases.jsonl", "mri_statistics.csv"}
    assert description(tmp_path / "out")["plan"] == {"sha256": found.sha256, "cases": 3}
    assert (found.cases, found.finished, found.target_spacing) == (3, 0, (3, 1, 1))
    assert found.seconds == pytest.approx(sum(map(case_seconds, plan.cases)))
    assert found.memory_bytes == max(case.memory_bytes for case in plan.cases)


def test_the_same_dataset_gives_the_same_list(dataset, tmp_path):
    first, again = (plan_cases(plan_run(dataset, tmp_path / "out")) for _ in range(2))
    assert first.sha256 == again.sha256


def test_of_a_folder_with_finished_cases_only_the_list_and_run_json_change(source, out):
    before = state(out)
    found = plan_cases(plan_run(source, out))
    after = state(out)
    assert {name for name in after if after[name] != before.get(name)} <= {"cases.jsonl", "run.json", ".lock"}
    assert before.keys() < after.keys()
    assert (found.cases, found.finished) == (3, 3)
    assert verify_output(out).findings == ()


def test_another_recipe_is_refused_and_nothing_changes(source, out):
    before = state(out)
    with pytest.raises(OutputError, match="a folder keeps its recipe and target"):
        plan_cases(plan_run(source, out, TARGET))
    assert state(out) == before


def test_a_redo_begins_anew(source, out):
    found = plan_cases(plan_run(source, out, TARGET, redo=True))
    assert found.finished == 0
    assert description(out)["redo"] == {"number": 1, "complete": False}
    plan, _ = planned(source, out, TARGET)
    with open_session(plan) as session:
        assert [case.name for case in session.todo] == ["case_0", "case_1", "case_2"]


def test_cases_that_left_are_refused_until_they_are_confirmed(dataset, out):
    for name in ("case_0", "case_1"):
        for folder in ("ImagesTr", "LabelsTr"):
            (dataset / folder / f"{name}.mha").unlink()
    before = state(out)
    plan = plan_run(dataset, out)
    with pytest.raises(OutputError, match="--retire"):
        plan_cases(plan)
    assert {**state(out), ".lock": ""} == {**before, ".lock": ""}
    found = plan_cases(plan, retire=True)
    assert found.retired == ("case_0", "case_1")
    assert (out / "imagesTr/case_0.npz").is_file()
    assert any("the first shard moves the files" in warning for warning in found.warnings)
    assert planned(dataset, out)[1]


def test_a_finished_folder_keeps_the_table_of_its_target(dataset, out):
    before = (out / "mri_statistics.csv").read_bytes()
    for number in range(4):  # most of them are other ones now
        write_case(dataset, f"other_{number}", spacing=(5.0, 2.0, 2.0))
    assert plan_cases(plan_run(dataset, out)).cases == 7
    assert (out / "mri_statistics.csv").read_bytes() == before


def test_a_run_that_is_alive_there_is_not_disturbed(source, out):
    plan = plan_run(source, out)
    with open_session(plan), pytest.raises(LockedError):
        plan_cases(plan)


def test_records_of_shards_are_merged_first(source, out):
    (out / "manifest.0001.1-of-2.jsonl").write_bytes((out / "manifest.jsonl").read_bytes())
    before = state(out)
    with pytest.raises(OutputError, match=r"1 file of records of shards that are not merged.*`merge"):
        plan_cases(plan_run(source, out))
    assert state(out) == before


def test_a_shard_that_may_be_alive_elsewhere_is_not_disturbed(source, out):
    there = replace(this_writer(), host="elsewhere", machine="0" * 8, shard=Shard(1, 2))
    (out / ".partial" / there.name).mkdir(parents=True)
    with pytest.raises(LockedError, match="of elsewhere works on shard 1-of-2"):
        plan_cases(plan_run(source, out))
