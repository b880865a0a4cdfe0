"""What `plan` has written stands for the dataset, and is compared with what a shard is given."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

import monai_mriprep.formats.read
from monai_mriprep import preprocess
from monai_mriprep.errors import OutputError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.planned import plan_part, planned
from monai_mriprep.run.planning import plan_cases
from monai_mriprep.run.prune import prune_output
from monai_mriprep.run.session import open_session
from monai_mriprep.store.attempts import Shard
from monai_mriprep.verify.audit import verify_output
from tests.runs import write_case

TARGET = Recipe(target_spacing=(1.5, 1.0, 1.0))


def description(out: Path) -> dict:
    return json.loads((out / "run.json").read_text())


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
