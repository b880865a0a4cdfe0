"""Which target a run works to, given what its folder holds; and a redo that is interrupted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import OutputError
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Job
from monai_mriprep.run.engines import ThisMachine
from monai_mriprep.run.kept import Kept, Wanted, decide_target, decide_target_unlocked, kept_in
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.session import open_session
from monai_mriprep.store.description import VIRTUAL, Redo, RunDescription
from monai_mriprep.store.journal import commit_files
from monai_mriprep.store.manifest import Made, read_index
from monai_mriprep.store.store import make_store, open_store
from monai_mriprep.verify.audit import verify_output
from tests.runs import OUTPUT_FOLDERS, append_record, done_line, events, write_cases
from tests.store.pairs import record_of, stage

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


def wanted(target=(3.0, 1.0, 1.0), statistics="computed", **keys) -> Wanted:
    return Wanted(Job(Recipe(**keys), target, Path("out")), statistics, "as the dataset has it")


def described(by: Wanted, **changes) -> RunDescription:
    facts = {
        "dataset_root": "/data",
        "recipe": by.job.recipe.as_dict(),
        "target_spacing": by.job.target,
        "derivation": "as it was",
        "fingerprint": by.job.fingerprint,
        "algorithm_version": 1,
        "statistics": by.statistics,
    }
    return RunDescription(**facts | changes)


def kept(by: Wanted, **changes) -> Kept:
    """A folder with three finished cases."""
    return Kept(described(by, **changes), finished=Counter({Made(by.job.fingerprint, 0): 3}))


BIGGER = wanted((4.0, 1.0, 1.0))


def test_a_case_that_a_journal_has_finished_counts_once_and_as_it_stands_there(tmp_path):
    make_store(tmp_path)
    append_record(tmp_path, done_line("a", fingerprint="before"))
    with open_store(tmp_path) as store:
        store.prepare()
        for name in "ab":
            files = stage(store, name=name)
            commit_files(store, record_of(files, name, fingerprint="now"), files)
        assert kept_in(store, read_index(store.root)).finished == Counter({Made("now", 0): 2})


def test_without_its_description_a_folder_with_cases_of_another_recipe_is_refused():
    by = wanted()
    mixed = Kept(finished=Counter({Made(by.job.fingerprint, 0): 3, Made("another", 0): 1}))
    with pytest.raises(OutputError, match=r"4 cases are finished there; run\.json is missing"):
        decide_target(mixed, by)


def test_a_description_of_a_newer_version_is_refused_even_without_a_finished_case(tmp_path):
    by = Wanted(Job(Recipe(), (3.0, 1.0, 1.0), tmp_path), "computed", "")
    (tmp_path / "run.json").write_text(json.dumps({"version": VIRTUAL + 1}))
    with pytest.raises(NewerVersionError, match=r"run\.json: a newer version"):
        decide_target_unlocked(by)


@pytest.mark.parametrize(
    ("described_as", "redo"),
    [
        (Redo(number=2, complete=True), Redo(number=2, complete=True)),
        (Redo(number=2, complete=False), Redo(number=2, complete=False)),
        (Redo(number=1, complete=True), Redo(number=2, complete=False)),
    ],
)
def test_a_redo_is_complete_by_its_description_though_a_case_that_failed_has_older_files(described_as, redo):
    finished = Counter({Made("f", 1): 1, Made("f", 2): 5})
    assert Kept(described(wanted(), redo=described_as), finished=finished).redo == redo


def test_an_empty_folder_takes_what_is_wanted():
    decision = decide_target(Kept(), wanted())
    assert (decision.target, decision.redo, decision.is_new) == ((3.0, 1.0, 1.0), Redo(), True)
    assert decide_target(Kept(), wanted(), redo=True) == decision


def test_with_no_finished_case_any_recipe_is_taken():
    decision = decide_target(Kept(described(BIGGER)), wanted())
    assert (decision.target, decision.is_new) == ((3.0, 1.0, 1.0), True)


def test_computed_statistics_stay():
    decision = decide_target(kept(wanted()), BIGGER)
    assert (decision.target, decision.derivation, decision.is_new) == ((3.0, 1.0, 1.0), "as it was", False)
    (warning,) = decision.warnings
    assert "3 cases are finished; the headers of this dataset would give (4, 1, 1) mm: --redo" in warning


@pytest.mark.parametrize("statistics", ["table", "training"])
def test_another_target_from_elsewhere_than_the_headers_is_refused(statistics):
    like = "/training" if statistics == "training" else None
    before, now = (replace(wanted(target, statistics), like=like) for target in ((3.0, 1.0, 1.0), (4.0, 1.0, 1.0)))
    with pytest.raises(OutputError, match=r"target spacing: \(3, 1, 1\) mm -> \(4, 1, 1\) mm"):
        decide_target(kept(before, like=like), now)


def test_a_training_set_and_a_test_set_share_no_folder():
    training = wanted(statistics="training")
    test = replace(training, like="/another")
    with pytest.raises(OutputError, match=r"is the output folder of a training set; .* for a test set"):
        decide_target(Kept(described(training)), test)
    with pytest.raises(OutputError, match=r"is the output folder of a test set; .* for a training set"):
        decide_target(Kept(described(test, like="/before")), training, redo=True)
    assert not decide_target(Kept(described(test, like="/before")), test).is_new


OTHERS = {
    "a table": wanted((4.0, 1.0, 1.0), "table"),
    "said by the recipe": wanted((4.0, 1.0, 1.0), "recipe", target_spacing=(4.0, 1.0, 1.0)),
    "another rule": wanted((4.0, 1.0, 1.0), target_rule="nnunet"),
    "plans": wanted((4.0, 1.0, 1.0), "plans", target_rule="nnUNetPlans.json"),
    "another recipe, too": wanted((4.0, 1.0, 1.0), order=1),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_nothing_else_is_taken_for_the_same_statistics(other):
    with pytest.raises(OutputError, match="3 cases are finished there"):
        decide_target(kept(wanted()), other)
    decision = decide_target(kept(wanted()), other, redo=True)
    assert (decision.target, decision.redo, decision.is_new) == (
        other.job.target,
        Redo(number=1, complete=False),
        True,
    )


def test_plans_that_have_changed_do_not_change_a_folder():
    before, now = (wanted((z, 1.0, 1.0), "plans", target_rule="nnUNetPlans.json") for z in (3.0, 4.0))
    assert not decide_target(kept(before), before).is_new
    with pytest.raises(OutputError, match=r"from nnU-Net's plans -> from nnU-Net's plans"):
        decide_target(kept(before), now)


def test_a_redo_that_is_not_complete_is_gone_on_with():
    begun = kept(wanted(), redo={"number": 2, "complete": False})
    for redo in (False, True):
        decision = decide_target(begun, wanted(), redo)
        assert (decision.redo, decision.is_new) == (Redo(number=2, complete=False), False)
    other = decide_target(begun, wanted(order=1), redo=True)
    assert (other.redo, other.is_new) == (Redo(number=3, complete=False), True)


def test_a_complete_one_is_begun_anew():
    done = kept(wanted(), redo={"number": 2, "complete": True})
    assert decide_target(done, wanted(), redo=True).redo == Redo(number=3, complete=False)
    assert decide_target(done, wanted()).redo == Redo(number=2, complete=True)


def test_without_run_json_the_records_tell_the_number_of_the_redo():
    fingerprint = wanted().job.fingerprint
    both = Kept(finished=Counter({Made(fingerprint, 1): 2, Made(fingerprint, 2): 1}))
    assert decide_target(both, wanted()).redo == Redo(number=2, complete=False)
    assert decide_target(both, wanted(), redo=True).redo == Redo(number=3, complete=False)


def test_a_redo_asks_nobody_and_needs_no_folder(tmp_path):
    there = Wanted(Job(Recipe(), (3.0, 1.0, 1.0), tmp_path / "none"), "computed", "")
    assert decide_target_unlocked(there).target == decide_target_unlocked(there, redo=True).target == (3.0, 1.0, 1.0)
    assert not (tmp_path / "none").exists()


# --- A redo that is interrupted ---------------------------------------------------------------------------------------


class Interrupt(BaseException):
    """As a signal."""


def redo_until(root: Path, output: Path, count: int, recipe: Recipe) -> None:
    """Interrupt a redo once so many cases are finished."""

    def observe(result, finished, total):
        if finished == count:
            raise Interrupt

    with open_session(plan_run(root, output, recipe, redo=True)) as session:
        if count == 0:
            raise Interrupt
        execute(session, ThisMachine.limited(0), observe=observe)


def done_since(output: Path, n_events: int) -> Counter[str]:
    return Counter(event["case"] for event in events(output)[n_events:] if event["event"] == "done")


def spacings(output: Path) -> set[tuple[float, ...]]:
    files = (path for folder in OUTPUT_FOLDERS for path in (output / folder).iterdir())
    return {tuple(np.load(path)["spacing"].tolist()) for path in files}


@pytest.mark.parametrize("again", [False, True], ids=["run", "run --redo"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("keys", [{}, {"target_spacing": (2.0, 1.0, 1.0)}], ids=["same recipe", "other target"])
def test_either_command_goes_on_and_each_case_is_done_once(tmp_path, keys, count, again):
    root, output, recipe = write_cases(tmp_path / "dataset", 3), tmp_path / "out", Recipe(**keys)
    preprocess(root, output, workers=0)
    n_events = len(events(output))
    with pytest.raises(Interrupt):
        redo_until(root, output, count, recipe)
    described = json.loads((output / "run.json").read_text())
    assert described["redo"] == {"number": 1, "complete": count == 3}
    assert verify_output(output).problems == ()
    if count < 3:
        assert len(verify_output(output).unfinished) >= 1
        summary = preprocess(root, output, recipe, workers=0, redo=again)
        assert (len(summary.done), len(summary.skipped)) == (3 - count, count)
    assert done_since(output, n_events) == {"case_0": 1, "case_1": 1, "case_2": 1}
    assert json.loads((output / "run.json").read_text())["redo"] == {"number": 1, "complete": True}
    assert spacings(output) == {keys.get("target_spacing", (3.0, 1.0, 1.0))}
    assert verify_output(output).findings == ()
    assert len(preprocess(root, output, recipe, workers=0).skipped) == 3
    assert len(preprocess(root, output, recipe, workers=0, redo=True).done) == 3
    assert json.loads((output / "run.json").read_text())["redo"] == {"number": 2, "complete": True}


def test_of_a_case_that_fails_in_a_redo_no_files_of_the_other_target_stay(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    preprocess(root, output, workers=0)
    kept_label = (root / "LabelsTr/case_1.mha").read_bytes()
    (root / "LabelsTr/case_1.mha").write_text("rubbish")
    recipe = Recipe(target_spacing=(2.0, 1.0, 1.0))
    summary = preprocess(root, output, recipe, workers=0, redo=True)
    assert ([result.case for result in summary.failed], summary.retired) == (["case_1"], ("case_1",))
    assert spacings(output) == {(2.0, 1.0, 1.0)}
    assert (output / "retired/labelsTr/case_1.npz").exists()
    assert "case_1,failed" in (output / "manifest.csv").read_text()
    assert json.loads((output / "run.json").read_text())["redo"] == {"number": 1, "complete": True}
    assert preprocess(root, output, recipe, workers=0).retired == ()
    (root / "LabelsTr/case_1.mha").write_bytes(kept_label)
    assert [result.case for result in preprocess(root, output, recipe, workers=0).done] == ["case_1"]
    assert verify_output(output).findings == ()


def test_of_a_case_that_fails_with_the_same_recipe_the_files_before_stay(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    preprocess(root, output, workers=0)
    (root / "LabelsTr/case_1.mha").write_text("rubbish")
    summary = preprocess(root, output, workers=0, redo=True)
    assert (len(summary.failed), summary.retired) == (1, ())
    assert (output / "labelsTr/case_1.npz").exists()
