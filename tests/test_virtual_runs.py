"""Runs that write records alone: what every command makes of a folder without volumes."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep import preprocess, restore
from monai_mriprep.errors import OutputError, RecordError
from monai_mriprep.export.nnunet_raw import export_nnunet
from monai_mriprep.export.splits import write_splits
from monai_mriprep.formats import sealed
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.recipe import Recipe
from monai_mriprep.report.comparison import comparison_text
from monai_mriprep.report.html.write import write_report
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.dry_run import dry_run
from monai_mriprep.run.merge import merge
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.planning import plan_cases
from monai_mriprep.run.process import process_case
from monai_mriprep.run.prune import prune_output
from monai_mriprep.run.session import open_session
from monai_mriprep.store import description
from monai_mriprep.store.description import VIRTUAL, read_description
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.compare import compare_outputs
from monai_mriprep.verify.repair import repair_output
from tests.runs import (
    OUTPUT_FOLDERS,
    append_record,
    done_line,
    done_records,
    events,
    outputs,
    record_of,
    write_case,
    write_cases,
)

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

RECIPE = Recipe(target_spacing=(2.0, 1.0, 0.8))


def run(dataset: Path, out: Path, **given):
    return preprocess(dataset, out, RECIPE, workers=0, **{"report": False, **given})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_cases(tmp_path_factory.mktemp("virtual") / "data", 3)


@pytest.fixture(scope="module")
def made(dataset) -> Path:
    """A virtual folder, which no test changes."""
    out = dataset.parent / "out"
    assert len(run(dataset, out, virtual=True, report=True).done) == 3
    return out


@pytest.fixture(scope="module")
def beside(dataset) -> Path:
    """The same with volumes."""
    run(dataset, dataset.parent / "volumes", report=True)
    return dataset.parent / "volumes"


def facts(out: Path) -> list[dict]:
    """What the records say of the cases, but for their files and what depends on the machine."""
    without = {"outputs", "seconds", "peak_mib", "time"}
    done = (event for event in events(out) if event["event"] == "done")
    return [{key: value for key, value in event.items() if key not in without} for event in done]


def version_of(out: Path) -> int:
    return json.loads((out / "run.json").read_text())["version"]


def test_all_is_recorded_and_no_volume_written(made, beside):
    assert facts(made) == facts(beside)
    assert all(record.outputs == {} for record in done_records(made).values())
    assert sorted(path.name for path in made.iterdir()) == [
        ".lock", ".partial", ".report", "manifest.csv", "manifest.jsonl", "run.json"
    ]  # fmt: skip
    assert len(list((made / ".report").iterdir())) == 3


def test_the_next_run_has_nothing_to_do_until_a_source_changes(tmp_path):
    dataset, out = write_cases(tmp_path / "data", 2), tmp_path / "out"
    run(dataset, out, virtual=True)
    assert run(dataset, out, virtual=True).skipped == ("case_0", "case_1")
    write_case(dataset, "case_1", seed=9)
    assert [result.case for result in run(dataset, out, virtual=True).done] == ["case_1"]


def test_versions_before_refuse_it(made, monkeypatch):
    assert version_of(made) == VIRTUAL == 4
    with open_store(made) as store:
        monkeypatch.setattr(sealed, "FORMAT_VERSION", 2)
        with pytest.raises(NewerVersionError, match="a newer version of monai-mriprep has written it"):
            read_index(store.root)
        monkeypatch.setattr(description, "VIRTUAL", 3)
        with pytest.raises(NewerVersionError, match=r"run\.json: a newer version .*\(format 4\)"):
            read_description(store)


def test_a_record_without_files_still_has_the_sources_of_a_case():
    assert record_of(done_line(outputs={})).outputs == {}
    sources = done_line()["sources"]
    record_of(done_line(outputs={}, sources={"image": sources["image"]}))
    with pytest.raises(OutputError, match="not of the same roles"):
        record_of(done_line(outputs={}, sources={"label": sources["label"]}))


def test_a_folder_is_virtual_or_has_volumes(dataset, made, beside):
    with pytest.raises(OutputError, match=r"changed: --virtual: given -> left out.*--redo .*another output folder"):
        run(dataset, made)
    for redo in (False, True):
        with pytest.raises(OutputError, match=r"there are volumes, and --virtual makes none; choose another output"):
            run(dataset, beside, virtual=True, redo=redo)
    assert outputs(beside), "they are there"


def test_a_redo_makes_volumes_of_a_virtual_folder_and_goes_on_where_it_was_interrupted(dataset, beside, tmp_path):
    out = tmp_path / "out"
    run(dataset, out, virtual=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_mriprep.run.preprocess._log", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(dataset, out, redo=True)
    assert [result.case for result in run(dataset, out).done] == ["case_1", "case_2"]
    assert arrays(out) == arrays(beside)
    assert version_of(out) == 1
    assert len(json.loads((out / "dataset.json").read_text())["training"]) == 3


def arrays(out: Path) -> dict[str, list[int]]:
    return {case: [file.crc32 for file in record.outputs.values()] for case, record in done_records(out).items()}


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_dry_run_and_a_check_need_no_disk(dataset, tmp_path):
    found = dry_run(plan_run(dataset, tmp_path / "out", RECIPE, virtual=True))
    checked = check_dataset(dataset, RECIPE, virtual=True)
    assert (checked.status, checked.needs.output_bytes) == ("ready", 0)
    assert check_dataset(dataset, RECIPE).needs.output_bytes > 0
    assert [case.action for case in found.cases] == ["run"] * 3
    assert found.needs.output_bytes == 0
    assert dry_run(plan_run(dataset, tmp_path / "out", RECIPE)).needs.output_bytes > 0


def test_a_folder_whose_volumes_were_removed_becomes_virtual_by_a_redo(dataset, beside, tmp_path):
    out = shutil.copytree(beside, tmp_path / "out")
    for folder in OUTPUT_FOLDERS:
        shutil.rmtree(out / folder)
    with pytest.raises(OutputError, match="changed: --virtual: left out -> given"):
        run(dataset, out, virtual=True)
    assert len(run(dataset, out, virtual=True, redo=True).done) == 3
    assert not (out / "dataset.json").exists()
    assert verify_output(out).findings == ()


def test_without_its_description_the_records_say_what_it_is(dataset, made, tmp_path):
    out = shutil.copytree(made, tmp_path / "out")
    (out / "run.json").unlink()
    with pytest.raises(OutputError, match="or are those of a virtual one"):
        run(dataset, out)
    assert len(run(dataset, out, virtual=True).skipped) == 3
    assert version_of(out) == VIRTUAL


def test_a_source_that_was_moved_is_read_again_for_training_reads_it_there(tmp_path):
    dataset, out = write_cases(tmp_path / "data", 2), tmp_path / "out"
    run(dataset, out, virtual=True)
    (dataset / "LabelsTr" / "case_1.mha").rename(dataset / "LabelsTr" / "case_1_seg.mha")
    summary = run(dataset, out, virtual=True)
    assert [result.case for result in summary.done] == ["case_1"]
    (tmp_path / "link").symlink_to(dataset)
    assert len(run(tmp_path / "link", out, virtual=True, retire=True).skipped) == 2
    assert verify_output(out).findings == ()


def test_a_record_of_the_other_kind_is_found(dataset, beside, tmp_path):
    out = shutil.copytree(beside, tmp_path / "out")
    (record,) = (event for event in events(out) if (event["event"], event["case"]) == ("done", "case_1"))
    append_record(out, {**record, "outputs": {}})
    assert any("or --virtual than the last run: case_1" in one.problem for one in verify_output(out).problems)
    assert [result.case for result in run(dataset, out).done] == ["case_1"]
    assert verify_output(out).findings == ()


def test_it_is_compared_by_what_was_done(dataset, made, beside, tmp_path):
    found = compare_outputs(made, beside)
    assert found.is_equal
    assert "no volumes in A: what was done to images is compared, not arrays" in list(comparison_text(found))
    preprocess(dataset, tmp_path / "out", Recipe(target_spacing=(2.0, 1.0, 0.8), order=1), workers=0, virtual=True)
    other = compare_outputs(made, tmp_path / "out")
    assert [one.arrays for one in other.changed] == [("image",)] * 3
    assert "no volumes in A and B: what was done to images is compared, not arrays" in list(comparison_text(other))


def test_there_is_nothing_to_repair_from(made):
    with pytest.raises(RecordError, match=r"no volumes there .* the same run makes its records again"):
        repair_output(made)


def test_it_is_split_and_its_sources_are_exported(dataset, made, tmp_path):
    out = shutil.copytree(made, tmp_path / "out")
    (fold, _) = write_splits(out, folds=2)
    assert sorted((*fold.train, *fold.val)) == ["case_0", "case_1", "case_2"]
    found = export_nnunet(out, tmp_path / "Dataset001_Some")
    assert (len(found.exported), found.refused) == (3, ())
    image = SimpleITK.ReadImage(str(tmp_path / "Dataset001_Some" / "imagesTr" / "case_0_0000.nii.gz"))
    source = SimpleITK.ReadImage(str(dataset / "ImagesTr" / "case_0.mha"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), SimpleITK.GetArrayFromImage(source))


def test_predictions_go_back_by_its_records(dataset, made, beside, tmp_path):
    for folder in (made, beside):
        restore(folder, beside / "labelsTr", tmp_path / folder.name)
    there = [{path.name: path.read_bytes() for path in (tmp_path / one.name).iterdir()} for one in (made, beside)]
    assert there[0] == there[1]
    assert len(there[0]) == 3


def test_a_test_set_may_be_like_it_and_be_virtual_itself(dataset, made, tmp_path):
    summary = preprocess(dataset / "ImagesTr", tmp_path / "test", like=made, workers=0, virtual=True)
    assert len(summary.done) == 3
    assert {tuple(record.sources) for record in done_records(tmp_path / "test").values()} == {("image",)}
    assert verify_output(tmp_path / "test").findings == ()


def test_cases_that_leave_have_nothing_to_retire_and_are_pruned(tmp_path):
    dataset, out = write_cases(tmp_path / "data", 3), tmp_path / "out"
    run(dataset, out, virtual=True)
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / "case_0.mha").unlink()
    assert run(dataset, out, virtual=True, retire=True).retired == ("case_0",)
    found = prune_output(out)
    assert found.cases == ("case_0",)
    assert not any(path.endswith(".npz") for path in found.files)
    assert not (out / "dataset.json").exists()
    assert done_records(out).keys() == {"case_1", "case_2"}
    assert verify_output(out).findings == ()


def test_its_report_shows_the_pictures_and_of_suspects_no_volumes(tmp_path):
    dataset, out = write_cases(tmp_path / "data", 3), tmp_path / "out"
    write_case(dataset, "copy", seed=0)
    run(dataset, out, virtual=True, report=True)
    page = write_report(out)
    assert {case.name for case in page.cases if case.reasons} == {"case_0", "copy"}
    html = (out / "report.html").read_text()
    assert html.count("data:image/webp") == 4
    assert html.count("a run with --virtual has written no volume of it") == 2
    assert html.count("none: patches are taken from the scans (--virtual)") == 1


def test_what_a_dead_worker_has_finished_is_recorded_once(dataset, tmp_path):
    out = tmp_path / "out"
    with open_session(plan_run(dataset, out, RECIPE, virtual=True)) as session:
        job = replace(session.plan.job, writer=session.store.writer)
        process_case(job, session.todo[0])
        assert session.finished(session.todo[0].name) is not None, "its journal tells"
        kept = {path: path.read_bytes() for path in (out / ".partial").rglob("*.journal")}
    assert len(done_records(out)) == len(kept) == 1, "the session has recorded it when it ended"
    (before,) = done_records(out).values()
    assert before.case in run(dataset, out, virtual=True).skipped
    for path, content in kept.items():
        (out / ".partial" / path.name).write_bytes(content)
    append_record(out, {**last_of(out, before.case), "seconds": {"load": 1.5}, "time": time.time() + 1})
    run(dataset, out, virtual=True)
    assert done_records(out)[before.case].seconds == {"load": 1.5}, "an older result comes too late"


def last_of(out: Path, case: str) -> dict:
    return [event for event in events(out) if (event["event"], event["case"]) == ("done", case)][-1]


def test_parts_of_a_run_go_by_a_plan_and_are_merged(dataset, made, tmp_path):
    out = tmp_path / "out"
    found = plan_cases(plan_run(dataset, out, RECIPE, virtual=True))
    assert found.output_bytes == 0
    with pytest.raises(OutputError, match="was planned otherwise: --virtual was given"):
        run(dataset, out, shard="1/2")
    for number in (1, 2):
        run(dataset, out, shard=f"{number}/2", virtual=True, report=True)
    assert version_of(out) == VIRTUAL
    with open_store(out) as store:
        assert read_description(store).is_shared
    assert (merge(out).done, merge(out).is_complete) == (3, True)
    with open_store(out) as store:
        assert not read_description(store).is_shared
    assert sorted(facts(out), key=str) == sorted(facts(made), key=str)
    assert not (out / "dataset.json").exists()
    assert len(run(dataset, out, virtual=True).skipped) == 3


def test_in_an_object_store_records_are_written_and_gone_on_with(dataset):
    fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    try:
        address = Path("memory://bucket/virtual")
        assert len(run(dataset, address, virtual=True).done) == 3
        assert not any(name.endswith((".npz", "dataset.json")) for name in memory.store)
        assert len(run(dataset, address, virtual=True).skipped) == 3
        with pytest.raises(OutputError, match="--virtual: given -> left out"):
            run(dataset, address)
        run(dataset, address, redo=True)
        with pytest.raises(OutputError, match="there are volumes"):
            run(dataset, address, virtual=True, redo=True)
    finally:
        memory.store.clear()
