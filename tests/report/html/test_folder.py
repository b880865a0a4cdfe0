"""The facts of an output folder."""

from __future__ import annotations

import json
import shutil
import tracemalloc

import numpy as np
import pytest

from monai_mriprep.cohort.case import CaseNumbers, Suspect
from monai_mriprep.errors import RecordError
from monai_mriprep.measures.model import BINS, CaseMeasures, LabelMeasures
from monai_mriprep.report.html import facts
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
    page = page_of(folder)
    case = next(case for case in page.cases if case.name == "b")
    assert (case.cohort.error, case.kinds[0], case.is_done) == ("broken", "failed", False)
    assert case.cohort.grid == grid()
    assert case.cohort.measures == CaseNumbers.of(measures(7.0)).without_thumbnails()
    assert case.moments == ()


def test_what_a_card_shows_of_a_case_is_read_when_it_is_written(folder):
    with open_store(folder) as store:
        page = page_of_folder(store, read_index(store.root))
        wholes = {case.name: page.whole(case) for case in page.cases}
    assert wholes["b"].cohort.measures == measures(7.0)
    assert [(case.suspicions, case.kinds) for case in page.cases] == [
        (wholes[case.name].suspicions, wholes[case.name].kinds) for case in page.cases
    ]


def test_of_all_cases_few_numbers_are_held(tmp_path):
    """Their records take four times as much; this is what a report of many cases needs of memory."""
    rng, count = np.random.default_rng(0), 50
    for number in range(count):
        image = measures(7.0).image[0].model_dump(mode="json")
        image |= {"histogram": rng.integers(300, 10**6, BINS).tolist(), "thumbnail": "A" * 684}
        line = done_line(f"case {number}", time=2.0, measures={"image": [image], "label": None})
        append_record(tmp_path, line)
    with open_store(tmp_path) as store:
        index = read_index(store.root)
        page_of_folder(store, index)
        tracemalloc.start()
        page = page_of_folder(store, index)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(page.cases) == count
    assert held < 3800 * count


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
    was_drawn = (released / "out" / ".report").is_dir()  # since 0.6.0
    assert page.about_pictures.startswith("" if was_drawn else "The pictures show the result alone")
    assert bool(page.about_pictures) is not was_drawn


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


# --- A run of which all is known --------------------------------------------------------------------------------------


def described(tmp_path, recipe=None, **changes):
    """The folder of 0.1.0, two cases done, with other keys of its recipe and of ``run.json``."""
    root = shutil.copytree(FOLDER_OF_0_1_0 / "out", tmp_path / "described")
    description = json.loads((root / "run.json").read_text())
    description["recipe"] |= recipe or {}
    (root / "run.json").write_text(json.dumps(description | changes))
    return root


def test_cases_that_failed_or_were_excluded_are_told_apart_wherever_they_are_counted(tmp_path):
    root = described(tmp_path)
    for name in "ab":
        append_record(root, {"event": "failed", "case": name, "error": "broken"})
    for number in range(12):
        append_record(root, {"event": "retired", "case": f"out_{number:02}", "excluded": "moved" if number else ""})
    append_record(root, {"event": "retired", "case": "gone"})
    page = page_of(root)
    assert page.verdict.startswith("2 of 4 cases were preprocessed, 2 failed. ")
    counts = {"cases": 4, "done": 2, "failed": 2, "suspects": 0, "with warnings": 0, "excluded": 12, "retired": 1}
    assert counts_of(page) == counts
    assert {count.kind for count in page.counts if count.name in ("excluded", "retired")} == {None}
    assert page.paper.methods.startswith("2 MRI scans and their segmentations were preprocessed")
    assert "12 further cases were excluded. 2 further cases could not be preprocessed." in page.paper.methods
    assert facts_of(page)["Excluded"] == ("out_00", *(f"out_{n:02}: moved" for n in range(1, 10)), "and 2 more")


@pytest.mark.parametrize(("suspects", "said"), [(1, "One deserves a look."), (2, "2 deserve a look.")])
def test_the_verdict_says_how_many_deserve_a_look(suspects, said, tmp_path, monkeypatch):
    root = described(tmp_path)
    names = [case.name for case in page_of(root).cases]
    found = tuple(Suspect(name, kind, "odd") for name in names[:suspects] for kind in ("size", "spacing"))
    monkeypatch.setattr(facts, "find_suspects", lambda cases: found)
    page = page_of(root)
    assert page.verdict == f"Both cases were preprocessed. {said}"
    assert counts_of(page)["suspect" if suspects == 1 else "suspects"] == suspects


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"statistics": "computed"}, "the median spacing of the dataset (along z"),
        ({"statistics": "table", "recipe": {"target_rule": "nnunet"}}, "by the rule of nnU-Net."),
        ({"statistics": "recipe"}, "which was set beforehand."),
        ({"statistics": "training", "like": "/data/trained"}, "that of the training set."),
    ],
    ids=["computed", "nnU-Net", "recipe", "training"],
)
def test_the_paragraph_says_where_the_target_comes_from(changes, said, tmp_path):
    page = page_of(described(tmp_path, **changes))
    assert f"to 3.06 x 1 x 0.925 mm (z, y, x), {said}" in page.paper.methods
    of_training = ("with recipe and target of /data/trained",)
    assert facts_of(page).get("Test set") == (of_training if "like" in changes else None)


def test_a_derivation_of_one_clause_is_shown_whole(tmp_path):
    page = page_of(described(tmp_path, derivation="set by the recipe"))
    assert facts_of(page)["Target spacing"] == ("3.06 x 1 x 0.925 mm (z y x)", "set by the recipe")


def test_the_last_run_says_the_versions_the_day_and_the_dataset(tmp_path):
    root = described(tmp_path)
    assert "monai-mriprep 0.1.0, monai 1.6.1" in facts_of(page_of(root))["Versions"][0]
    append_record(root, OPENED | {"dataset_root": "/moved/scans", "cases": 1, "time": 1.7e9})
    page = page_of(root)
    found = facts_of(page)
    assert (found["Versions"], found["Dataset"]) == (("monai-mriprep 0.6.0",), ("/moved/scans",))
    assert found["Last run"][0].startswith("2023-11-1")  # the 14th in London
    assert counts_of(page)["cases"] == 2, "the folder has more cases than the dataset of its last run"
    assert "preprocessed with monai-mriprep 0.6.0, following" in page.paper.methods


def test_classes_are_compared_under_the_numbers_of_the_recipe(tmp_path):
    root = described(tmp_path, {"label_map": {"2": 1}})
    append_record(root, done_line("a", labels={"before": {"0": 52, "2": 8}, "after": {"0": 84, "1": 16}}))
    case = next(case for case in page_of(root).cases if case.name == "a")
    assert case.cohort.classes_kept == {1: (pytest.approx(16), pytest.approx(16))}  # 8 voxels of 2 mm^3, 16 of 1
    assert [(one.mean, one.std, one.voxels) for one in case.moments] == [(1.5, 0.5, 100)]


def test_a_failed_case_is_compared_in_its_label_too(folder):
    label = LabelMeasures(components={3: 1}, touches=(), outside=0.0, centre=(0, 0, 0.0), voxel=1.0)
    failed = {"event": "failed", "case": "b", "error": "broken", "labels": {"before": {"0": 9, "3": 5}}}
    seen = {"measures": CaseMeasures(image=(), label=label).model_dump(mode="json"), "warnings": ["odd"]}
    append_record(folder, failed | seen)
    case = next(case for case in page_of(folder).cases if case.name == "b")
    assert case.cohort.classes == {3: 5.0}
    assert case.warnings == ("odd",)
    assert "label_undeclared" in {suspect.kind for suspect in case.suspicions}  # 0 and 1 are declared


def test_a_test_set_has_no_labels(tmp_path):
    root = described(tmp_path, {"channels": ["t2w", "adc"]})
    text = (root / "manifest.jsonl").read_text().splitlines()
    (root / "manifest.jsonl").write_text("")
    for line in (json.loads(line) for line in text if '"done"' in line):
        del line["outputs"]["label"], line["sources"]["label"]
        line["outputs"]["image"]["path"] = f"imagesTs/{line['case']}.npz"
        append_record(root, line | {"labels": {"before": {}, "after": {}}})
    page = page_of(root)
    assert [(case.is_done, case.cohort.before, case.cohort.after) for case in page.cases] == [(True, None, None)] * 2
    assert page.paper.methods.startswith("2 MRI scans of 2 channels each (t2w, adc) were preprocessed")
    assert page.channels == ("t2w", "adc")


def test_voxels_of_a_label_that_a_rebuilt_record_does_not_know_are_no_empty_label(folder):
    append_record(folder, done_line("a", labels={"before": {}, "after": {"0": 9, "2": 1}}))
    case = next(case for case in page_of(folder).cases if case.name == "a")
    assert (case.cohort.before, case.cohort.after) == (None, {0: 9, 2: 1})


def test_damaged_lines_are_told(folder):
    with (folder / "manifest.jsonl").open("a") as file:
        file.write('{"event": "done", "case": "c", }\n')
    assert "manifest.jsonl cannot be trusted" in page_of(folder).notes[-1]


def test_where_a_run_has_drawn_pictures_nothing_is_said_of_them(tmp_path):
    root = described(tmp_path)
    append_record(root, done_line("a", measures=measures(5.0).model_dump(mode="json"), time=1.8e9))
    assert page_of(root).about_pictures == ""


def test_ratings_of_another_recipe_or_dataset_are_kept_apart(tmp_path):
    first = page_of(described(tmp_path)).key
    (tmp_path / "described").rename(tmp_path / "elsewhere")
    assert page_of(tmp_path / "elsewhere").key == first, "the folder may move"
    others = {"fingerprint": "another"}, {"dataset_root": "/data/other"}
    for place, change in zip("ab", others, strict=True):
        assert page_of(described(tmp_path / place, **change)).key != first


def test_empty_labels_that_are_too_many_to_be_suspects_are_noted(tmp_path):
    for number in range(6):
        labels = {"before": {"0": 60}, "after": {"0": 100}}
        append_record(tmp_path, done_line(f"case_{number}", labels=labels))
    page = page_of(tmp_path)
    assert page.notes[-1].startswith("6 of 6 labels hold no class, only background: case_0")
    assert counts_of(page)["suspects"] == 0
