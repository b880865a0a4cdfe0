"""What is said of a run before it is what the run then does, and saying it changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import DiskFullError, LockedError, OutputError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run import estimates
from monai_mriprep.run.dry_run import DryRun, dry_run
from monai_mriprep.run.plan import RunPlan, plan_run
from monai_mriprep.run.process import process_case
from monai_mriprep.run.session import open_session
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.store import open_store
from tests.runs import case_of, job_of, write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A dataset of three cases, and the folder that a run has made of it."""
    root = tmp_path_factory.mktemp("dry")
    preprocess(write_cases(root / "dataset", 3), root / "out", workers=0)
    return root


@pytest.fixture
def dataset(finished, tmp_path) -> Path:
    return shutil.copytree(finished / "dataset", tmp_path / "dataset")


@pytest.fixture
def out(finished, dataset) -> Path:
    """The finished folder, which knows that its dataset is this one."""
    out = shutil.copytree(finished / "out", dataset.parent / "out")
    with open_session(plan_run(dataset, out)):
        return out


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    found = {path: path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}
    return {str(path): (path.stat().st_mtime_ns, content) for path, content in found.items()}


def actions(found: DryRun) -> dict[str, tuple[str, str]]:
    return {case.case: (case.action, case.reason) for case in found.cases}


def foreseen(plan: RunPlan, retire: bool = False) -> DryRun:
    """What a dry run says; nothing is changed by it."""
    root = plan.job.output_root.parent
    before = tree(root)
    found = dry_run(plan, retire)
    assert tree(root) == before
    return found


def nothing(dataset: Path, out: Path) -> None:
    pass


def some_of_each(dataset: Path, out: Path) -> None:
    """One left, one with an output less, one whose source has changed, one that is new."""
    write_case(dataset, "case_10")
    write_case(dataset, "case_2", seed=7)
    (out / "imagesTr/case_1.npz").unlink()
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / "case_0.mha").unlink()


def no_records(dataset: Path, out: Path) -> None:
    (out / "manifest.jsonl").unlink()


def no_folder(dataset: Path, out: Path) -> None:
    shutil.rmtree(out)


CHANGES = {
    "nothing": (nothing, False, {"case_0": "skip", "case_1": "skip", "case_2": "skip"}, ()),
    "redo": (nothing, True, {"case_0": "redo", "case_1": "redo", "case_2": "redo"}, ()),
    "some of each": (some_of_each, False, {"case_1": "redo", "case_2": "redo", "case_10": "run"}, ("case_0",)),
    "no records": (no_records, False, {"case_0": "run", "case_1": "run", "case_2": "run"}, ()),
    "no folder": (no_folder, False, {"case_0": "run", "case_1": "run", "case_2": "run"}, ()),
}


@pytest.mark.parametrize(("change", "redo", "expected", "retired"), CHANGES.values(), ids=CHANGES)
def test_a_run_does_what_was_said(dataset, out, change, redo, expected, retired):
    change(dataset, out)
    plan = plan_run(dataset, out, redo=redo)
    found = foreseen(plan)
    assert {case: action for case, (action, _) in actions(found).items()} == expected
    assert list(actions(found)) == list(expected), "in natural order"
    assert (found.retired, found.target_spacing, found.derivation) == (retired, plan.job.target, plan.derivation)
    needed = 0 if found.needs is None else found.needs.output_bytes
    assert needed == sum(case.output_bytes for case in found.cases if case.action != "skip")
    assert sum("a run moves the files from before to" in text for text in found.warnings) == len(retired)
    with open_session(plan) as session:
        done = {case.name: (decision.action, decision.reason) for case, decision in session.decisions}
        assert (done, tuple(session.retired)) == (actions(found), retired)


def test_a_case_that_waits_in_a_journal_is_no_work(dataset, out):
    for folder in ("imagesTr", "labelsTr"):
        (out / folder / "case_0.npz").unlink()
    manifest = out / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if '"case": "case_0"' not in line))
    assert actions(foreseen(plan_run(dataset, out)))["case_0"] == ("run", "no record")
    process_case(job_of(out), case_of(dataset, "case_0"))
    assert actions(foreseen(plan_run(dataset, out)))["case_0"][0] == "skip"
    assert actions(foreseen(plan_run(dataset, out, redo=True)))["case_0"][0] == "run"
    with open_session(plan_run(dataset, out)) as session:
        assert session.todo == ()


def test_it_stops_where_the_run_would_with_the_same_words(dataset, out):
    for case in ("case_0", "case_1"):
        for folder in ("ImagesTr", "LabelsTr"):
            (dataset / folder / f"{case}.mha").unlink()
    plan, before = plan_run(dataset, out), tree(out)
    with pytest.raises(OutputError, match="2 of its 3 cases have left the dataset") as early:
        dry_run(plan)
    assert tree(out) == before
    with pytest.raises(OutputError) as late, open_session(plan):
        pass
    assert str(late.value) == str(early.value)
    assert foreseen(plan, retire=True).retired == ("case_0", "case_1")


def test_it_waits_for_the_end_of_a_run(dataset, out):
    plan = plan_run(dataset, out)
    with open_store(out) as store, exclusive(store.root), pytest.raises(LockedError, match="another run is alive"):
        dry_run(plan)


def test_a_folder_that_cannot_be_made_is_named(dataset, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot be written, for .*file takes no files \(it is a file\)"):
        dry_run(plan_run(dataset, tmp_path / "file" / "out"))


def test_the_estimates_are_those_of_what_is_to_be_done(dataset, out):
    assert foreseen(plan_run(dataset, out)).needs is None
    write_case(dataset, "case_3", shape=(8, 16, 18))
    plan = plan_run(dataset, out)
    found = dry_run(plan, workers=4, max_memory=2**20)
    (new,) = (case for case in found.cases if case.action == "run")
    planned = {case.name: case for case in plan.cases}["case_3"]
    assert (new.memory_bytes, new.output_bytes) == (planned.memory_bytes, found.needs.output_bytes)
    assert (found.needs.memory_bytes, found.needs.available_bytes) == (planned.memory_bytes, 2**20)
    assert (found.needs.workers, found.needs.output_root) == (4, out)
    assert found.needs.seconds > 5
    (too_large,) = (text for text in found.warnings if "not attempted" in text)
    assert too_large.startswith("case_3: ")


def test_a_lack_of_disk_stops_it_as_it_would_the_run(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(estimates, "free_bytes", lambda _: 1)
    with pytest.raises(DiskFullError):
        dry_run(plan_run(dataset, tmp_path / "new"))


def test_the_recipe_of_the_folder_is_kept(dataset, out):
    with pytest.raises(OutputError, match="a folder keeps its recipe and target"):
        dry_run(plan_run(dataset, out, Recipe(order=1)))
