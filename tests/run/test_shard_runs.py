"""Parts of a run beside each other: each does its own cases, and all of them together what one run does."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import LockedError, OutputError, RecipeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.engines import ThisMachine
from monai_mriprep.run.merge import merge
from monai_mriprep.run.plan import RunPlan, plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.session import RunSummary, open_session
from monai_mriprep.run.shards import split
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.description import SHARED
from monai_mriprep.store.writers import this_writer
from monai_mriprep.verify.audit import verify_output
from tests.runs import case_of, done_records, left_over, outputs, write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

RECIPE = Recipe(target_spacing=(2.0, 1.0, 1.0))
N_CASES, PARTS = 5, 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A dataset, and what a single run makes of it."""
    root = tmp_path_factory.mktemp("shards")
    preprocess(write_cases(root / "dataset", N_CASES), root / "out", RECIPE, workers=0, report=False)
    return root


@pytest.fixture(scope="module")
def parts(whole) -> Path:
    """The same in three parts, none merged."""
    for number in range(1, PARTS + 1):
        run(whole / "dataset", whole / "parts", number)
    return whole / "parts"


@pytest.fixture
def out(parts, tmp_path) -> Path:
    return shutil.copytree(parts, tmp_path / "out")


def run(dataset: Path, out: Path, number: int, count: int = PARTS, **options) -> RunSummary:
    options = {"recipe": RECIPE, "workers": 0, "report": False, **options}
    return preprocess(dataset, out, shard=f"{number}/{count}", **options)


def first_part(dataset: Path, out: Path) -> RunPlan:
    return replace(plan_run(dataset, out, RECIPE), shard=Shard(1, PARTS))


def record_files(out: Path) -> list[str]:
    return sorted(path.name for path in out.glob("manifest*.jsonl"))


def version(out: Path) -> int:
    return json.loads((out / "run.json").read_text())["version"]


def test_each_part_does_its_own_cases_and_writes_records_alone(whole, tmp_path):
    plan = plan_run(whole / "dataset", tmp_path / "out", RECIPE)
    summary = run(whole / "dataset", tmp_path / "out", 2)
    mine = {case.name for case in split(plan.cases, Shard(2, PARTS))}
    assert {result.case for result in summary.done} == mine == done_records(tmp_path / "out").keys()
    assert record_files(tmp_path / "out") == ["manifest.0001.2-of-3.jsonl"]
    assert not any((tmp_path / "out" / name).exists() for name in ("manifest.csv", "dataset.json", "report.html"))
    assert left_over(tmp_path / "out") == []


def test_all_parts_together_make_what_one_run_makes(whole, parts):
    assert outputs(parts) == outputs(whole / "out")
    assert done_records(parts).keys() == done_records(whole / "out").keys()
    assert len(record_files(parts)) == PARTS


def test_the_folder_is_whole_before_it_is_merged(parts):
    report = verify_output(parts, workers=1)
    assert not report.problems
    assert len(report.intact) == N_CASES


def test_versions_that_would_not_find_the_records_are_kept_out(whole, out):
    assert version(out) == SHARED
    preprocess(whole / "dataset", out, RECIPE, workers=0, report=False)
    assert version(out) == 1


def test_a_whole_run_merges_and_does_no_case_again(whole, out):
    summary = preprocess(whole / "dataset", out, RECIPE, workers=0, report=False)
    assert (len(summary.done), len(summary.skipped)) == (0, N_CASES)
    assert record_files(out) == ["manifest.jsonl"]
    assert len(json.loads((out / "dataset.json").read_text())["training"]) == N_CASES


def test_the_same_part_again_has_nothing_to_do(whole, out):
    summary = run(whole / "dataset", out, 1)
    assert (len(summary.done), summary.shard) == (0, "1-of-3")
    assert record_files(out)[-1] == "manifest.0004.1-of-3.jsonl"  # over all parts


def test_another_recipe_is_refused_though_no_case_is_finished(whole, tmp_path):
    """The first part makes run.json, the others compare."""
    out = tmp_path / "out"
    with open_session(first_part(whole / "dataset", out)):
        pass
    before = (out / "run.json").read_bytes()
    with pytest.raises(OutputError, match=r"changed: target spacing.*`plan --redo`, when all shards are merged"):
        run(whole / "dataset", out, 2, recipe=Recipe(target_spacing=(3.0, 1.0, 1.0)))
    assert (out / "run.json").read_bytes() == before
    assert record_files(out) == ["manifest.0001.1-of-3.jsonl"]


def test_of_parts_that_begin_at_once_one_makes_run_json_and_the_others_are_held_to_it(whole, tmp_path, monkeypatch):
    """Both have found none there; of the one that comes second the recipe is another."""
    from monai_mriprep.run import opening

    out, kept_in = tmp_path / "out", opening.kept_in

    def beaten(store, index):
        kept = kept_in(store, index)
        monkeypatch.setattr(opening, "kept_in", kept_in)
        shutil.copy(made / "run.json", out)
        return kept

    made = tmp_path / "made"
    run(whole / "dataset", made, 1)
    monkeypatch.setattr(opening, "kept_in", beaten)
    assert run(whole / "dataset", out, 2).done
    shutil.rmtree(out)
    monkeypatch.setattr(opening, "kept_in", beaten)
    with pytest.raises(OutputError, match="changed: target spacing"):
        run(whole / "dataset", out, 2, recipe=Recipe(target_spacing=(3.0, 1.0, 1.0)))


def test_all_cases_again_is_not_for_a_part(whole, tmp_path):
    with pytest.raises(RecipeError, match="run `plan --redo` before them"):
        run(whole / "dataset", tmp_path / "out", 1, redo=True)
    assert not (tmp_path / "out").exists()


def test_the_first_part_alone_retires_what_has_left_the_dataset(whole, out, tmp_path):
    dataset = shutil.copytree(whole / "dataset", tmp_path / "dataset")
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / "case_0.mha").unlink()
    assert run(dataset, out, 2, retire=True).retired == ()
    assert run(dataset, out, 1, retire=True).retired == ("case_0",)
    assert "case_0" not in done_records(out)


def test_a_mistake_in_the_dataset_stops_every_part(whole, out, tmp_path):
    dataset = write_cases(tmp_path / "dataset", 1)
    for number in (1, 2):
        with pytest.raises(OutputError, match="--retire"):
            run(dataset, out, number)


def stage(out: Path, **changes) -> str:
    """A folder of temporary files, as another process has it that works on shard 2 of 3."""
    name = replace(this_writer(), shard=Shard(2, 3), **changes).name
    (out / ".partial" / name).mkdir()
    return name


def test_what_another_machine_may_be_doing_is_refused_until_it_is_taken_over(whole, out):
    name = stage(out, host="elsewhere")
    assert run(whole / "dataset", out, 1).shard  # another part is no business of its
    with pytest.raises(LockedError, match=r"of elsewhere works on shard 2-of-3, or did, .* --take-over clears up"):
        run(whole / "dataset", out, 2)
    with pytest.raises(LockedError, match="--take-over"):
        preprocess(whole / "dataset", out, RECIPE, workers=0, report=False)
    assert (out / ".partial" / name).exists()
    run(whole / "dataset", out, 2, take_over=True)
    assert left_over(out) == []


def test_what_a_dead_process_has_left_is_taken_over(whole, out):
    stage(out, start="1")
    run(whole / "dataset", out, 1)
    assert len(left_over(out)) == 1
    run(whole / "dataset", out, 2)
    assert left_over(out) == []


def test_a_part_that_is_alive_is_refused_whatever_is_said(whole, out):
    import os

    from monai_mriprep.store import writers

    parent = os.getppid()
    stage(out, pid=str(parent), start=writers._start_of(parent))
    for options in ({}, {"take_over": True}):
        with pytest.raises(LockedError, match="works on shard 2-of-3; wait for its end"):
            run(whole / "dataset", out, 2, **options)


def test_another_number_of_parts_is_refused_until_all_are_merged(whole, out):
    """They would share cases; as with ``--shard auto`` in a part of an array."""
    with pytest.raises(OutputError, match=r"records of one of 3 shards, and this is one of 2; give the same"):
        run(whole / "dataset", out, 1, 2)
    assert left_over(out) == []
    merge(out)
    assert run(whole / "dataset", out, 1, 2).skipped


def test_another_number_of_parts_is_refused_while_one_of_them_may_be_at_work(whole, tmp_path):
    """It has no records yet."""
    out = tmp_path / "out"
    run(whole / "dataset", out, 1)
    for path in out.glob("manifest*"):
        path.unlink()
    stage(out, host="elsewhere")
    with pytest.raises(LockedError, match="of elsewhere works on shard 2-of-3"):
        run(whole / "dataset", out, 1, 2)


def test_where_another_recipe_has_come_meanwhile_a_part_stops_and_merge_tells(whole, tmp_path, monkeypatch):
    """Of a file system without second names and locks: two have given run.json its name, one after the other."""
    from monai_mriprep.run import opening

    out, other = tmp_path / "out", tmp_path / "other"
    run(whole / "dataset", other, 1, recipe=Recipe(target_spacing=(3.0, 1.0, 1.0)))
    create = opening.create_description

    def beaten(*arguments):
        assert create(*arguments)
        shutil.copy(other / "run.json", out)
        return True

    with monkeypatch.context() as patch:
        patch.setattr(opening, "create_description", beaten)
        with pytest.raises(OutputError, match="changed: target spacing"):
            run(whole / "dataset", out, 2)
    run(whole / "dataset", out, 1, recipe=Recipe(target_spacing=(3.0, 1.0, 1.0)))
    run(whole / "dataset", whole / "third", 2)
    for folder in ("imagesTr", "labelsTr", "."):
        for path in (whole / "third" / folder).glob("*.npz" if folder != "." else "manifest.*"):
            shutil.copy2(path, out / folder / path.name.replace("0001.2", "0009.2"))
    strange = done_records(whole / "third").keys()
    found = merge(out)
    assert strange
    assert strange <= set(found.missing)
    assert not found.is_complete


def test_who_was_given_up_too_soon_stops_and_records_no_failures(whole, tmp_path):
    out = tmp_path / "out"
    with open_session(first_part(whole / "dataset", out)) as session:
        session.store.partial.move(session.store.writer, session.store.partial, "taken")
        with pytest.raises(OutputError, match=r"is gone, .* \(--take-over\), and has taken its place"):
            execute(session, ThisMachine.limited(0))
    assert '"failed"' not in "".join(path.read_text() for path in out.glob("manifest*"))


def test_a_run_of_the_whole_that_is_alive_stops_a_part(whole, out):
    """Where there are no locks, which would say so first."""
    import os

    from monai_mriprep.store import writers

    parent = os.getppid()
    (out / ".partial" / replace(this_writer(), pid=str(parent), start=writers._start_of(parent)).name).mkdir()
    with pytest.raises(LockedError, match="works there; wait for its end"):
        run(whole / "dataset", out, 2)


def test_a_disk_that_fails_does_not_say_that_another_has_taken_over(whole, tmp_path, monkeypatch):
    from monai_mriprep.store.folder import Folder

    with open_session(first_part(whole / "dataset", tmp_path / "out")) as session:
        with monkeypatch.context() as patch:
            patch.setattr(Folder, "status", lambda *_: (_ for _ in ()).throw(OSError(5, "I/O error")))
            session.store.require_staging()
        session.store.require_staging()


def test_a_part_of_more_parts_than_cases_has_nothing_to_do(whole, tmp_path):
    summary = run(whole / "dataset", tmp_path / "out", 9, 9)
    assert summary.done == summary.failed == summary.skipped == ()


def test_what_only_has_the_name_of_records_is_set_aside(whole, out, tmp_path):
    (tmp_path / "victim").write_text("content")
    (out / "manifest.0009.1-of-3.jsonl").symlink_to(tmp_path / "victim")
    (out / "manifest.0009.2-of-3.jsonl").mkdir()
    run(whole / "dataset", out, 2)
    assert (out / "manifest.0009.1-of-3.jsonl.set-aside").is_symlink()
    assert (out / "manifest.0009.2-of-3.jsonl.set-aside").is_dir()
    assert (tmp_path / "victim").read_text() == "content"
    assert len(done_records(out)) == N_CASES


def test_a_case_that_fails_in_a_part_is_recorded_there(tmp_path):
    write_case(tmp_path / "dataset", "good")
    write_case(tmp_path / "dataset", "bad")
    path = case_of(tmp_path / "dataset", "bad").sources["image"][0]
    path.write_bytes(path.read_bytes()[:-20])
    failed = [
        result.case for number in (1, 2) for result in run(tmp_path / "dataset", tmp_path / "out", number, 2).failed
    ]
    assert failed == ["bad"]
