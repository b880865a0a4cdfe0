"""Excluded cases are out of everything that is made of the dataset, and the list is all the confirmation it takes."""

from __future__ import annotations

import csv
import json
import shutil
from itertools import count
from pathlib import Path

import pytest

from monai_mriprep import open_dataset, preprocess
from monai_mriprep.errors import DatasetError, OutputError, RecordError
from monai_mriprep.export.nnunet_raw import export_nnunet
from monai_mriprep.export.splits import write_splits
from monai_mriprep.report.outlook import check_text, dry_run_text
from monai_mriprep.run import departures
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.dry_run import dry_run
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.prune import prune_output
from monai_mriprep.run.session import RunSummary, open_session
from monai_mriprep.store.retirement import retire_output
from monai_mriprep.verify.audit import verify_output
from tests.runs import events, outputs, write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A dataset of four cases, two of them of another spacing, and the folder that a run has made of it."""
    root = tmp_path_factory.mktemp("excluded")
    write_cases(root / "data", 3)
    write_case(root / "data", "case_0", spacing=(6.0, 2.0, 2.0))
    write_case(root / "data", "case_3", spacing=(6.0, 2.0, 2.0), seed=3)
    preprocess(root / "data", root / "out", workers=0)
    return root


@pytest.fixture
def place(finished, tmp_path) -> Path:
    """The same, at home here, and a list of two of the cases."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    with open_session(plan_run(tmp_path / "data", tmp_path / "out")):
        pass
    (tmp_path / "exclude.txt").write_text("case_0  # the label lies in the air\r\n\r\ncase_3\r\n")
    return tmp_path


def target_of(out: Path) -> list[float]:
    return json.loads((out / "run.json").read_text())["target_spacing"]


def run(place: Path, out: str = "out", **options) -> RunSummary:
    return preprocess(place / "data", place / out, workers=0, **options)


def exclude(place: Path, **options) -> RunSummary:
    return run(place, exclude=place / "exclude.txt", **options)


def listed(out: Path) -> list[str]:
    with (out / "manifest.csv").open() as file:
        in_table = [row["case"] for row in csv.DictReader(file)]
    in_list = [pair["case"] for pair in json.loads((out / "dataset.json").read_text())["training"]]
    assert in_table == in_list
    return in_list


def told(place: Path, **options) -> list[str]:
    return list(run(place, **options).warnings)


def test_finished_cases_retire_without_being_asked_for(place):
    out = place / "out"
    before = outputs(out)
    summary = exclude(place)
    assert (summary.done, summary.excluded, summary.retired) == ((), ("case_0", "case_3"), ("case_0", "case_3"))
    assert sorted(summary.skipped) == listed(out) == ["case_1", "case_2"]
    assert outputs(out) == {name: digest for name, digest in before.items() if "_1" in name or "_2" in name}
    retired = {event["case"]: event for event in events(out) if event["event"] == "retired"}
    assert {case: event["excluded"] for case, event in retired.items()} == {
        "case_0": "the label lies in the air",
        "case_3": "",
    }
    assert retired["case_0"]["files"] == ["retired/imagesTr/case_0.npz", "retired/labelsTr/case_0.npz"]
    assert (out / "retired/imagesTr/case_0.npz").exists()
    found = verify_output(out)
    assert (found.findings, found.cases, found.retired) == ((), 2, 4)


def test_the_same_list_again_changes_nothing(place):
    exclude(place)
    before = (place / "out/manifest.jsonl").read_bytes()
    summary = exclude(place)
    assert (summary.retired, summary.excluded, len(summary.skipped)) == ((), ("case_0", "case_3"), 2)
    assert (place / "out/manifest.jsonl").read_bytes() == before


def test_they_take_no_part_in_the_statistics_of_a_new_folder(place):
    new = exclude(place, out="new")
    assert {result.case for result in new.done} == {"case_1", "case_2"}
    assert (new.excluded, new.retired) == (("case_0", "case_3"), ())
    assert target_of(place / "new") == [3, 1, 1]
    assert listed(place / "new") == ["case_1", "case_2"]
    assert not (place / "new/retired").exists()
    assert verify_output(place / "new").findings == ()


def test_a_folder_keeps_its_target(place):
    before = target_of(place / "out")
    assert before != [3, 1, 1]
    assert any("the target spacing stays" in message for message in exclude(place).warnings)
    assert target_of(place / "out") == before


def test_a_table_counts_as_it_stands(place):
    shutil.copy(place / "out/mri_statistics.csv", place / "data")
    exclude(place, out="new")
    assert target_of(place / "new") == target_of(place / "out")


@pytest.mark.parametrize("out", ["out", "new"], ids=["finished before", "never tried"])
def test_a_run_without_the_list_says_who_is_back_and_does_them(place, out):
    exclude(place, out=out)
    warnings = told(place, out=out, redo=out == "new")  # the headers of all cases give another target
    (back,) = (message for message in warnings if "excluded" in message)
    assert back == (
        "2 cases that an earlier run excluded are back: case_0, case_3; to leave them out, give --exclude the list "
        "that names them"
    )
    assert listed(place / out) == ["case_0", "case_1", "case_2", "case_3"]
    assert not any("excluded" in message for message in told(place, out=out))


def test_who_retires_by_a_list_does_not_count_for_the_tenth(place):
    for folder in ("ImagesTr", "LabelsTr"):
        (place / "data" / folder / "case_1.mha").unlink()
    assert set(exclude(place).retired) == {"case_0", "case_1", "case_3"}


def test_others_that_leave_still_have_to_be_confirmed(place):
    for folder in ("ImagesTr", "LabelsTr"):
        (place / "data" / folder / "case_1.mha").unlink()
        (place / "data" / folder / "case_0.mha").unlink()
    (place / "exclude.txt").write_text("case_3\n")
    before = (place / "out/manifest.jsonl").read_bytes()
    with pytest.raises(OutputError, match="2 of its 4 cases have left the dataset: case_0, case_1; "):
        exclude(place)
    assert (place / "out/manifest.jsonl").read_bytes() == before


def test_a_listed_case_whose_scans_are_gone_too_is_confirmed_and_told(place):
    for name in ("case_0", "case_3"):
        for folder in ("ImagesTr", "LabelsTr"):
            (place / "data" / folder / f"{name}.mha").unlink()
    summary = exclude(place)
    assert (summary.retired, summary.excluded) == (("case_0", "case_3"), ())
    assert sum("has no case 'case_" in message for message in summary.warnings) == 2


@pytest.fixture
def half_way(place, monkeypatch) -> Path:
    """The run has failed between the two files of the second case."""
    calls = count(1)

    def retire_or_fail(store, output):
        if next(calls) == 4:
            msg = "the disk went away"
            raise OutputError(msg)
        return retire_output(store, output)

    with monkeypatch.context() as patched:
        patched.setattr(departures, "retire_output", retire_or_fail)
        with pytest.raises(OutputError, match="the disk went away"):
            exclude(place)
    return place


def test_what_a_crash_has_interrupted_the_next_run_finishes(half_way):
    assert exclude(half_way).retired == ("case_0", "case_3")
    assert len(list((half_way / "out/retired").rglob("*.npz"))) == 4
    assert verify_output(half_way / "out").findings == ()


def test_what_a_crash_has_interrupted_a_run_without_the_list_mends(half_way, finished):
    assert {result.case for result in run(half_way).done} == {"case_0", "case_3"}
    assert outputs(half_way / "out") == outputs(finished / "out")


def test_a_dry_run_says_what_the_run_does(place):
    plan = plan_run(place / "data", place / "out", exclude=place / "exclude.txt")
    found = dry_run(plan)
    assert (found.excluded, found.retired) == (("case_0", "case_3"), ("case_0", "case_3"))
    assert [case.case for case in found.cases] == ["case_1", "case_2"]
    lines = list(dry_run_text(found))
    assert {"exclude: case_0", "exclude: case_3", "retire: case_0", "retire: case_3"} <= set(lines)
    assert "2 already done, 2 excluded, 2 to retire" in lines[-1]
    assert any(
        message.startswith(f"2 cases of {place / 'out'} excluded: case_0, case_3; ") for message in found.warnings
    )


def test_training_on_scans_leaves_them_out_and_works_to_the_same_target(place):
    exclude(place, out="new")
    items, _, derivation = open_dataset(place / "data", exclude=place / "exclude.txt")
    assert [Path(item["image"]).stem for item in items] == ["case_1", "case_2"]
    assert list(derivation.spacing) == target_of(place / "new")


def test_check_leaves_them_out(place):
    report = check_dataset(place / "data", exclude=place / "exclude.txt", output_root=place / "out")
    assert ([case.case for case in report.cases], report.excluded) == (["case_1", "case_2"], ("case_0", "case_3"))
    assert report.fatal == ()
    assert "2 of 2 cases can be preprocessed, 2 excluded" in list(check_text(report))[-1]


def test_a_test_set_has_excluded_cases_too(place):
    options = {"like": place / "out", "exclude": place / "exclude.txt"}
    summary = preprocess(place / "data/ImagesTr", place / "test", workers=0, **options)
    assert {result.case for result in summary.done} == {"case_1", "case_2"}


def test_nothing_of_them_is_left_after_prune(place):
    exclude(place)
    assert prune_output(place / "out").cases == ("case_0", "case_3")
    assert "case_0" not in (place / "out/manifest.jsonl").read_text()
    assert list((place / "out/retired").rglob("*.npz")) == []


def test_a_list_that_names_everybody_is_refused(place):
    (place / "exclude.txt").write_text("".join(f"case_{number}\n" for number in range(4)))
    with pytest.raises(DatasetError, match=r"exclude\.txt: excludes each case of .*data \(4\); keep one at least"):
        exclude(place)
    assert listed(place / "out") == [f"case_{number}" for number in range(4)]


def test_folds_and_export_leave_them_out_before_a_run_has(place, caplog):
    (place / "exclude.txt").write_text("case_0\ncase_7\n")
    export_nnunet(place / "out", place / "Dataset001_A")
    folds = write_splits(place / "out", 3, "[0-9]", exclude=place / "exclude.txt")
    assert sorted(case for fold in folds for case in fold.val) == ["case_1", "case_2", "case_3"]
    again = export_nnunet(place / "out", place / "Dataset001_A", place / "exclude.txt")
    assert (again.removed, again.kept) == (("case_0",), ("case_1", "case_2", "case_3"))
    assert not list((place / "Dataset001_A").rglob("case_0*"))
    assert [record.getMessage().partition("; ")[0] for record in caplog.records if record.levelname == "WARNING"] == [
        f"{place / 'exclude.txt'}, line 2: {place / 'out'} has no case 'case_7'"
    ] * 2


@pytest.mark.parametrize("out", ["out", "new"], ids=["finished before", "never tried"])
def test_the_list_fits_a_folder_that_has_followed_it(place, out, caplog):
    exclude(place, out=out)
    caplog.clear()
    folds = write_splits(place / out, 2, "[0-9]", exclude=place / "exclude.txt")
    export_nnunet(place / out, place / "Dataset001_A", place / "exclude.txt")
    assert [fold.val for fold in folds] in ([("case_1",), ("case_2",)], [("case_2",), ("case_1",)])
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_an_export_of_nobody_is_refused(place):
    (place / "exclude.txt").write_text("".join(f"case_{number}\n" for number in range(4)))
    with pytest.raises(RecordError, match=r"exclude\.txt: excludes each case of .*out \(4\)"):
        export_nnunet(place / "out", place / "Dataset001_A", place / "exclude.txt")
