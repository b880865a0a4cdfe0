"""The facts of an output folder."""

from __future__ import annotations

import json
import shutil

import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.report.html.folder import page_of_folder
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from tests.report.html.pages import grid, measures
from tests.runs import FOLDER_OF_0_1_0, append_record, done_line

RELEASED = sorted(FOLDER_OF_0_1_0.parent.glob("folder_of_*"))
OPENED = {
    "event": "opened",
    "dataset_root": "/data/scans",
    "cases": 4,
    "versions": {"monai-mriprep": "0.6.0"},
    "orphans": 3,
    "declared_labels": [0, 1],
    "time": 1.0,
}


def page_of(root):
    with open_store(root) as store:
        return page_of_folder(store, read_index(store.root))


def counts_of(page) -> dict[str, int]:
    return {count.name: count.number for count in page.counts}


def facts_of(page) -> dict[str, tuple[str, ...]]:
    return {fact.name: fact.values for fact in page.facts}


@pytest.fixture
def folder(tmp_path):
    """One case is done, one has failed, one was begun, one has left; the run had four cases."""
    append_record(tmp_path, {**OPENED, "warnings": ["image c has no label"]})
    append_record(tmp_path, done_line("a", warnings=["a label voxel was negative"], time=2.0))
    failed = {"event": "failed", "case": "b", "error": "broken", "source_grid": grid().to_json(), "time": 3.0}
    append_record(tmp_path, {**failed, "measures": measures(7.0).model_dump(mode="json")})
    append_record(tmp_path, {"event": "started", "case": "c", "time": 4.0})
    append_record(tmp_path, done_line("z", time=5.0))
    append_record(tmp_path, {"event": "retired", "case": "z", "time": 6.0})
    append_record(tmp_path, {"event": "retired", "case": "y", "time": 7.0, "excluded": "moved"})
    return tmp_path


def test_a_case_that_is_done_has_the_facts_of_its_record(folder):
    case = next(case for case in page_of(folder).cases if case.name == "a")
    record = done_line("a")
    assert case.is_done
    assert case.warnings == ("a label voxel was negative",)
    assert case.cohort.grid.to_json() == record["source_grid"]
    assert case.cohort.target_grid.to_json() == record["target_grid"]
    assert case.cohort.before == {int(value): count for value, count in record["labels"]["before"].items()}
    assert [one.mean for one in case.moments] == [record["foreground"]["mean"]]


def test_a_case_that_failed_has_its_error_and_what_could_be_seen_of_it(folder):
    case = next(case for case in page_of(folder).cases if case.name == "b")
    assert (case.cohort.error, case.kinds[0], case.is_done) == ("broken", "failed", False)
    assert case.cohort.grid == grid()
    assert case.cohort.measures == measures(7.0)
    assert case.moments == ()


def test_a_case_that_was_begun_says_so(folder):
    case = next(case for case in page_of(folder).cases if case.name == "c")
    assert (case.kinds, case.is_done) == (("warning",), False)
    assert "the same command resumes" in case.warnings[0]


def test_labels_are_compared_with_those_that_the_dataset_declares(folder):
    case = next(case for case in page_of(folder).cases if case.name == "a")
    assert case.cohort.declared == (0, 1)
    assert "label_undeclared" in {suspect.kind for suspect in case.suspicions}  # it holds 2


def test_the_verdict_counts_every_case_of_the_dataset(folder):
    page = page_of(folder)
    assert [case.name for case in page.cases] == ["b", "a", "c"]
    assert page.verdict.startswith("1 of 4 cases was preprocessed, 1 failed. ")
    counts = counts_of(page)
    assert counts.pop("suspect") == sum(bool(case.reasons) for case in page.cases) == 1
    assert counts == {
        "cases": 4,
        "done": 1,
        "failed": 1,
        "with warnings": 2,
        "not finished": 2,
        "skipped (no partner)": 3,
        "excluded": 1,
        "retired": 1,
    }
    assert page.notes == ("image c has no label",)


def test_a_folder_without_run_json_has_a_page(folder):
    page = page_of(folder)
    assert (page.title, page.target, page.paper) == ("scans", None, None)
    facts = facts_of(page)
    assert (facts["Dataset"], facts["Output"]) == (("/data/scans",), (str(folder.resolve()),))
    assert facts["Excluded"] == ("y: moved",)


def test_a_damaged_run_json_is_told(folder):
    (folder / "run.json").write_text("{")
    assert "run.json: cannot be read" in page_of(folder).notes[-1]


def test_a_recipe_that_is_not_known_here_is_told(tmp_path):
    root = shutil.copytree(FOLDER_OF_0_1_0 / "out", tmp_path / "out")
    described = json.loads((root / "run.json").read_text())
    described["recipe"]["steps"] = [{"step": "nobody_has_it"}]
    (root / "run.json").write_text(json.dumps(described))
    page = page_of(root)
    assert "nobody_has_it" in page.notes[-1]
    assert (page.paper, page.target) == (None, (3.06, 1.0, 0.925))


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.name)
def test_folders_of_every_release_have_a_page(released, tmp_path):
    page = page_of(shutil.copytree(released / "out", tmp_path / "out"))
    assert page.verdict.startswith("Both cases were preprocessed.")
    assert facts_of(page)["Target spacing"] == (
        "3.06 x 1 x 0.925 mm (z y x)",
        "median (3.3, 1, 0.925), z/x = 3.568 >= 3, anisotropic: z from the 10th percentile (computed from headers)",
    )
    assert facts_of(page)["Recipe"] == ("the default",)
    assert "2 MRI scans and their segmentations were preprocessed" in page.paper.methods
    assert page.about_pictures.startswith("The pictures show the result alone")


def test_a_recipe_is_told_where_it_differs_from_the_default(tmp_path):
    root = shutil.copytree(FOLDER_OF_0_1_0 / "out", tmp_path / "out")
    described = json.loads((root / "run.json").read_text())
    described["recipe"] |= {"grid": "nnunet", "order": [0, 3, 3]}
    (root / "run.json").write_text(json.dumps(described))
    assert facts_of(page_of(root))["Recipe"] == (
        "as by default, but for (default -> here)",
        "grid: 'monai' -> 'nnunet'",
        "order: 3 -> [0, 3, 3]",
    )


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no record of a case; give the output folder of a run"):
        page_of(tmp_path)


def test_ratings_of_two_datasets_are_kept_apart(folder, tmp_path):
    old = page_of(shutil.copytree(FOLDER_OF_0_1_0 / "out", tmp_path / "out"))
    assert old.key != page_of(folder).key
