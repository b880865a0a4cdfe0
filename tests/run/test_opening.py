"""How a run begins: what stops it is found before anything is changed, and what it is going to do is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import DiskFullError, OutputError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run import opening
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.opening import Opening, open_folder
from monai_mriprep.run.outlook import foresee_departures
from monai_mriprep.run.plan import plan_run
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.store import Store, make_store, open_store
from tests.runs import append_record, events, events_of, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

OTHER = Recipe(target_spacing=(2.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A dataset of three cases, and the folder that a run has made of it."""
    root = tmp_path_factory.mktemp("opening")
    preprocess(write_cases(root / "dataset", 3), root / "out", workers=0)
    return root


@pytest.fixture
def dataset(finished, tmp_path) -> Path:
    return shutil.copytree(finished / "dataset", tmp_path / "dataset")


@pytest.fixture
def out(finished, dataset) -> Path:
    """The finished folder, which knows that its dataset is this one."""
    out = shutil.copytree(finished / "out", dataset.parent / "out")
    with opened_by(dataset, out):
        return out


@contextmanager
def opened_by(dataset: Path, out: Path, confirmed: bool = False, **wanted: object) -> Iterator[Opening]:
    """What a run finds, as its session does; `wanted` is a recipe, or a redo."""
    plan = plan_run(dataset, out, **wanted)
    make_store(out)
    with open_store(out) as store:
        store.prepare()
        yield open_folder(plan, Recorder(store), confirmed=confirmed, foreign=False)
        store.leave()


def actions(found: Opening) -> dict[str, str]:
    return {case.name: decision.action for case, decision in found.decisions}


def content(out: Path) -> dict[str, bytes]:
    """Of all files but temporary ones."""
    files = (path for path in out.rglob("*") if path.is_file() and ".partial" not in path.parts)
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def runs(out: Path) -> list[dict]:
    """The records of the runs themselves."""
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == "opened"]


def remove(dataset: Path, *names: str) -> None:
    for folder in ("ImagesTr", "LabelsTr"):
        for name in names:
            (dataset / folder / f"{name}.mha").unlink()


# --- What is going to be done -----------------------------------------------------------------------------------------


def test_a_new_folder_gets_the_recipe_and_target_of_the_run(dataset, tmp_path):
    out = tmp_path / "new"
    with opened_by(dataset, out) as found:
        assert actions(found) == dict.fromkeys(("case_0", "case_1", "case_2"), "run")
        assert (found.outdated, found.retired) == (frozenset(), ())
        described = json.loads((out / "run.json").read_text())
        assert described["target_spacing"] == list(found.plan.job.target) == list(found.description.target_spacing)
        assert (described["statistics"], described["dataset_root"]) == ("computed", str(dataset))
    (run,) = runs(out)
    assert (run["dataset_root"], run["pattern"], run["cases"]) == (str(dataset), None, 3)
    assert set(content(out)) == {"run.json", "mri_statistics.csv", "manifest.jsonl"}, "and no probe is left"


def test_the_job_has_the_writer_and_the_number_of_the_redo(dataset, out):
    with opened_by(dataset, out, redo=True) as found:
        assert found.plan.job.redo == found.description.redo.number == 1
        with open_store(out) as store:
            assert found.plan.job.writer == store.writer


def test_with_nothing_to_do_nothing_is_written_and_no_place_is_tried(dataset, out, monkeypatch):
    before = content(out)
    monkeypatch.setattr(Store, "probe", lambda *_: pytest.fail("a file was moved"))
    with opened_by(dataset, out) as found:
        assert set(actions(found).values()) == {"skip"}
        assert found.index.cases() == set(), "the records are not held while the run lasts"
    assert content(out) == before


def test_cases_of_another_target_are_outdated_and_their_records_at_hand(dataset, out):
    with opened_by(dataset, out, recipe=OTHER, redo=True) as found:
        assert set(actions(found).values()) == {"redo"}
        assert found.outdated == {"case_0", "case_1", "case_2"}
        assert found.index.done("case_1").spacing == (3.0, 1.0, 1.0)
        assert found.description.target_spacing == (2.0, 1.0, 1.0)
    assert json.loads((out / "run.json").read_text())["target_spacing"] == [2.0, 1.0, 1.0]


def test_a_dataset_that_was_moved_goes_on_and_that_is_recorded(dataset, out, tmp_path):
    elsewhere = shutil.move(dataset, tmp_path / "elsewhere")
    before = runs(out)
    with opened_by(elsewhere, out) as found:
        assert found.retired == ()
    assert runs(out)[:-1] == before
    assert runs(out)[-1]["dataset_root"] == str(elsewhere)


# --- Cases that leave -------------------------------------------------------------------------------------------------


def test_a_case_that_has_left_is_retired_and_named(dataset, out):
    remove(dataset, "case_0")
    with opened_by(dataset, out) as found:
        assert found.retired == ("case_0",)
        assert set(actions(found)) == {"case_1", "case_2"}
        assert any("1 case of" in text and "left the dataset: case_0" in text for text in found.warnings)
    assert events_of(out, "retired") == ["case_0"]
    assert (runs(out)[-1]["cases"], len(list(out.glob("retired/*/case_0.npz")))) == (2, 2)


def test_a_file_that_another_finished_case_has_too_stays_where_it_is(dataset, out):
    """As after a lost record: the label of a case that left is that of one that is there."""
    line = next(event for event in events(out) if (event["event"], event["case"]) == ("done", "case_0"))
    outputs = line["outputs"] | {"image": {**line["outputs"]["image"], "path": "imagesTr/old.npz"}}
    shutil.copy(out / "imagesTr/case_0.npz", out / "imagesTr/old.npz")
    append_record(out, {**line, "case": "old", "outputs": outputs})
    before = (out / "labelsTr/case_0.npz").read_bytes()
    with opened_by(dataset, out) as found:
        assert found.retired == ("old",)
    assert (out / "labelsTr/case_0.npz").read_bytes() == before
    assert [path.name for path in (out / "retired/imagesTr").iterdir()] == ["old.npz"]


def test_a_case_whose_label_was_renamed_is_retired_and_new(dataset, out):
    (dataset / "LabelsTr/case_0.mha").rename(dataset / "LabelsTr/case_0_seg.mha")
    with opened_by(dataset, out) as found:
        assert found.retired == ("case_0",)
        assert actions(found) == {"case_0": "run", "case_1": "skip", "case_2": "skip"}
        assert found.outdated == frozenset(), "nothing of it is left in place"
        assert any("got outputs of another name, to be done again: case_0" in text for text in found.warnings)


def test_more_may_leave_where_that_is_confirmed(dataset, out):
    remove(dataset, "case_0", "case_1")
    with opened_by(dataset, out, confirmed=True) as found:
        assert found.retired == ("case_0", "case_1")


# --- What stops a run -------------------------------------------------------------------------------------------------


def two_cases_less(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove(dataset, "case_0", "case_1")


def no_space(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        msg = "no space for 2 cases"
        raise DiskFullError(msg)

    remove(dataset, "case_0")
    write_cases(dataset / "more", 5)
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / "more" / folder / "case_4.mha").rename(dataset / folder / "case_4.mha")
    monkeypatch.setattr(opening, "check_space", full)


def no_place(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        msg = "finished files cannot be moved there"
        raise OutputError(msg)

    no_space(dataset, monkeypatch)
    monkeypatch.setattr(Store, "probe", refused)


STOPS = {
    "departures": (two_cases_less, OutputError, "2 of its 3 cases have left the dataset"),
    "space": (no_space, DiskFullError, "no space for 2 cases"),
    "place": (no_place, OutputError, "finished files cannot be moved there"),
}


@pytest.mark.parametrize(("change", "error", "message"), STOPS.values(), ids=STOPS)
def test_what_stops_a_run_is_found_before_anything_is_changed(dataset, out, monkeypatch, change, error, message):
    before = content(out)
    change(dataset, monkeypatch)
    with pytest.raises(error, match=message), opened_by(dataset, out):
        pass
    assert content(out) == before


def test_another_target_stops_it(dataset, out):
    before = content(out)
    with pytest.raises(OutputError, match="3 cases are finished there"), opened_by(dataset, out, recipe=OTHER):
        pass
    assert content(out) == before


def test_a_folder_that_another_run_has_finished_meanwhile_stops_it(dataset, tmp_path):
    out = tmp_path / "new"
    plan = plan_run(dataset, out)
    preprocess(write_cases(tmp_path / "other", 3, spacing=(5.0, 1.0, 1.0)), out, workers=0)
    before = content(out)
    with open_store(out) as store, pytest.raises(OutputError, match="changed since this run was planned; start it"):
        open_folder(plan, Recorder(store), confirmed=True, foreign=False)
    assert content(out) == before


# --- Before the lock --------------------------------------------------------------------------------------------------


def refusal_of(act: Callable[[], object]) -> str:
    with pytest.raises(OutputError) as caught:
        act()
    return str(caught.value)


def test_check_is_refused_where_a_run_is_with_the_same_words(dataset, out):
    remove(dataset, "case_0", "case_1")
    plan, before = plan_run(dataset, out), content(out)
    early = refusal_of(lambda: foresee_departures(plan.wanted, dataset, plan.cases))
    assert content(out) == before
    with open_store(out) as store:
        store.prepare()
        assert refusal_of(lambda: open_folder(plan, Recorder(store), confirmed=False, foreign=False)) == early


def test_check_names_those_whom_a_run_would_retire(dataset, out):
    remove(dataset, "case_0")
    plan, before = plan_run(dataset, out), content(out)
    (warning,) = foresee_departures(plan.wanted, dataset, plan.cases)
    assert f"1 case of {out} left the dataset: case_0; a run moves the files from before to {out}/retired" in warning
    assert warning in check_dataset(dataset, output_root=out).warnings
    assert content(out) == before


def test_it_is_not_refused_where_nobody_leaves_or_there_is_no_folder(dataset, out, tmp_path):
    for place in (out, tmp_path / "none"):
        plan = plan_run(dataset, place)
        assert foresee_departures(plan.wanted, dataset, plan.cases) == ()
    assert not (tmp_path / "none").exists()


def test_volumes_whose_records_are_lost_are_not_replaced_without_a_word(dataset, out):
    (out / "manifest.jsonl").unlink()
    with opened_by(dataset, out) as found:
        assert set(actions(found).values()) == {"run"}
        (warning,) = [text for text in found.warnings if "volumes there" in text]
    assert "6 volumes there, and no records in manifest.jsonl" in warning
    assert "`repair` rebuilds them" in warning
    with opened_by(dataset, out) as found:
        assert any("volumes there" in text for text in found.warnings), "nothing is recorded of a case yet"
