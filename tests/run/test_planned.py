"""`plan`: what it writes, when it refuses, and that its list stands for the dataset."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from dataclasses import fields, replace
from pathlib import Path

import pytest

import monai_mriprep.formats.read
from monai_mriprep import preprocess
from monai_mriprep.errors import LockedError, MriprepWarning, OutputError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.estimates import case_seconds
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.planned import plan_cases, plan_part, planned
from monai_mriprep.run.prune import prune_output
from monai_mriprep.run.session import open_session
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.writers import this_writer
from monai_mriprep.verify.audit import verify_output
from tests.runs import write_case, write_cases

TARGET = Recipe(target_spacing=(1.5, 1.0, 1.0))


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_cases(tmp_path_factory.mktemp("planned") / "data", 3)


@pytest.fixture(scope="module")
def ran(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("ran") / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        preprocess(source, out, workers=0)
    return out


@pytest.fixture
def dataset(source, tmp_path) -> Path:
    return shutil.copytree(source, tmp_path / "data")


@pytest.fixture
def out(ran, tmp_path) -> Path:
    """A finished run of the same cases."""
    return shutil.copytree(ran, tmp_path / "out")


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


def test_what_another_version_has_planned_is_planned_again(source, tmp_path):
    out = tmp_path / "out"
    plan_cases(plan_run(source, out))
    (out / "run.json").write_text(json.dumps({**description(out), "fingerprint": "f", "algorithm_version": 0}))
    with pytest.raises(
        OutputError, match=r"cases\.jsonl: was planned by another version .*version 0 of.*plan it again"
    ):
        planned(source, out)


def test_only_a_part_goes_by_the_list(dataset, tmp_path):
    out = tmp_path / "out"
    plan_cases(plan_run(dataset, out))
    write_case(dataset, "new")
    found = {shard: [case.name for case in plan_part(dataset, out, shard=shard)[0].cases] for shard in (None, "2/2")}
    assert found == {None: ["case_0", "case_1", "case_2", "new"], "2/2": ["case_0", "case_1", "case_2"]}
    assert plan_part(dataset, out, shard="2/2")[0].shard == Shard(2, 2)
    assert plan_part(dataset, out, redo=True)[0].redo


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


def test_what_was_planned_is_read_without_the_dataset(dataset, tmp_path):
    write_case(dataset, "lonely")
    (dataset / "LabelsTr/lonely.mha").unlink()
    (tmp_path / "exclude.txt").write_text("case_1  # motion\n")
    settings = {"exclude": tmp_path / "exclude.txt"}
    plan = plan_run(dataset, tmp_path / "out", TARGET, **settings)
    plan_cases(plan)
    hidden = dataset.rename(tmp_path / "away")
    found, retire = planned(dataset, tmp_path / "out", TARGET, **settings)
    hidden.rename(dataset)
    assert not retire
    for field in fields(plan):
        if field.name != "exclusions":
            assert getattr(found, field.name) == getattr(plan, field.name), field.name
    assert found.exclusions.by_name == plan.exclusions.by_name


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_a_shard_of_what_was_planned_opens_nothing_but_its_own_scans(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    plan_cases(plan_run(source, out))
    opened, listed = [], []
    read = monai_mriprep.formats.read.regular_file_size
    monkeypatch.setattr("monai_mriprep.formats.read.regular_file_size", lambda path: opened.append(path) or read(path))
    scandir, listdir = os.scandir, os.listdir
    monkeypatch.setattr("os.scandir", lambda path=".": listed.append(path) or scandir(path))
    monkeypatch.setattr("os.listdir", lambda path=".": listed.append(path) or listdir(path))
    monkeypatch.setattr("monai_mriprep.run.plan.survey_dataset", None)
    summary = preprocess(source, out, workers=0, shard="2/3")
    (done,) = summary.done
    assert {path.name for path in opened} == {f"{done.case}.mha"}
    assert not [path for path in listed if str(source) in str(path)]


def test_a_run_of_the_whole_looks_itself_and_drops_the_list(source, out):
    plan_cases(plan_run(source, out))
    with open_session(plan_run(source, out)):
        pass
    assert not (out / "cases.jsonl").exists()
    assert description(out)["plan"] is None
    assert verify_output(out).findings == ()


def test_a_run_of_the_whole_forgets_a_list_that_is_gone(source, out):
    """Removed by somebody, or by another run without locks."""
    plan_cases(plan_run(source, out))
    (out / "cases.jsonl").unlink()
    assert "cases.jsonl" in str(verify_output(out).findings)
    with open_session(plan_run(source, out)):
        pass
    assert verify_output(out).findings == ()
    assert description(out)["plan"] is None


def test_a_test_set_is_planned_too(source, ran, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(source / "ImagesTr", images)
    plan = plan_run(images, tmp_path / "out", like=ran)
    plan_cases(plan)
    found, _ = planned(images, tmp_path / "out", like=ran)
    assert (found.cases, found.roles, found.wanted) == (plan.cases, plan.roles, plan.wanted)
    with pytest.raises(OutputError, match="--like"):
        planned(images, tmp_path / "out")


def test_another_run_than_the_planned_one_is_refused(source, tmp_path):
    out = tmp_path / "out"
    assert planned(source, out) is None
    plan_cases(plan_run(source, out))
    assert planned(source, out) is not None
    (tmp_path / "exclude.txt").write_text("case_1\n")
    others = {
        r"order: 3 -> 1": {"recipe": Recipe(order=1)},
        r"pattern": {"recipe": Recipe(pattern="(?P<case>case_.)")},
        r"the dataset .* -> ": {"dataset_root": tmp_path},
        r"--exclude": {"exclude": tmp_path / "exclude.txt"},
    }
    for said, other in others.items():
        with pytest.raises(OutputError, match=rf"cases\.jsonl: was planned otherwise: .*{said}.*plan it again"):
            planned(**{"dataset_root": source, "output_root": out, **other})


def test_where_run_json_is_damaged_a_shard_says_who_writes_it_again(source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text("{")
    with pytest.raises(OutputError, match=r"run.json: cannot be read .*; `run` without --shard writes it again"):
        planned(source, out)


def test_a_folder_without_a_list_is_not_planned(source, ran):
    assert planned(source, ran) is None


def test_verify_tells_of_a_changed_list(source, out):
    plan_cases(plan_run(source, out))
    (out / "cases.jsonl").write_text("{}")
    (finding,) = verify_output(out).findings
    assert (finding.subject, finding.is_unfinished) == ("cases.jsonl", False)


def test_what_is_pruned_is_named_by_no_list(dataset, out):
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / "case_0.mha").unlink()
    plan_cases(plan_run(dataset, out), retire=True)
    with open_session(plan_run(dataset, out), retire=True):
        pass
    plan_cases(plan_run(dataset, out))
    assert "cases.jsonl" in prune_output(out, dry_run=True).files
    assert (out / "cases.jsonl").exists()
    assert "cases.jsonl" in prune_output(out).files
    assert not (out / "cases.jsonl").exists()
    assert description(out)["plan"] is None
