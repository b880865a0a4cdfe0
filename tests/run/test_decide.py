"""What is done with a case, by its record and its files."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK

from monai_mriprep.errors import DatasetError, DiskFullError
from monai_mriprep.formats import staging
from monai_mriprep.formats.npz import stage_npz
from monai_mriprep.recipe import Recipe
from monai_mriprep.run import process
from monai_mriprep.run.decide import decide
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute, preprocess
from monai_mriprep.run.process import process_case
from monai_mriprep.run.session import open_session
from monai_mriprep.transforms.files import npz_volume
from tests.runs import case_from, case_of, errors_of, events_of, image_of, job_of, outputs, write_case, write_cases


@pytest.fixture
def done(tmp_path):
    """A finished case: job, case and record."""
    write_case(tmp_path / "dataset", "a")
    job, case = job_of(tmp_path / "out"), case_of(tmp_path / "dataset", tmp_path / "out", "a")
    result = process_case(job, case)
    assert result.error is None
    return job, case, result.record()


def test_done_is_skipped(done):
    assert decide(*done).action == "skip"


def test_the_record_survives_json_and_a_move_of_the_output(done, tmp_path):
    job, _, record = done
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    moved = case_of(tmp_path / "dataset", tmp_path / "elsewhere", "a")
    assert (
        decide(replace(job, output_root=tmp_path / "elsewhere"), moved, json.loads(json.dumps(record))).action == "skip"
    )


def test_without_a_finished_record_it_is_run(done):
    job, case, record = done
    assert decide(job, case, None).action == "run"
    assert decide(job, case, {"event": "started", "case": "a"}).action == "run"
    failed = decide(job, case, record | {"event": "failed"})
    assert (failed.action, failed.reason) == ("run", "failed before")


FILES = {
    "image": lambda case: image_of(case),
    "label": lambda case: case.sources["label"][0],
    "image_npz": lambda case: case.outputs["image"],
    "label_npz": lambda case: case.outputs["label"],
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("change", ["touched", "longer", "gone"])
def test_a_changed_file_is_redone_and_named(done, file, change):
    job, case, record = done
    path = FILES[file](case)
    if change == "touched":
        os.utime(path, ns=(1, 1))
    elif change == "longer":
        status = path.stat()
        path.write_bytes(path.read_bytes() + b"x")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        path.unlink()
    decision = decide(job, case, record)
    assert decision.action == "redo"
    assert str(path) in decision.reason


@pytest.mark.parametrize("role", ["image", "label"])
def test_other_voxels_of_the_same_size_and_time_are_redone(done, role):
    """The checksum that the archive states is the third witness."""
    job, case, record = done
    path = case.outputs[role]
    status = path.stat()
    with zipfile.ZipFile(path) as archive:
        stated = archive.getinfo("arr_0.npy").CRC.to_bytes(4, "little")
    content = path.read_bytes()
    assert stated in content
    path.write_bytes(content.replace(stated, bytes(255 - byte for byte in stated)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    decision = decide(job, case, record)
    assert (decision.action, str(path) in decision.reason) == ("redo", True)


@pytest.mark.parametrize("linked", [False, True], ids=["beside", "linked"])
def test_changed_voxels_beside_an_unchanged_header_are_redone(tmp_path, linked):
    """The ``.mhd`` is text; what is in the ``.raw`` file counts as well."""
    store, dataset, output = tmp_path / "store", tmp_path / "dataset", tmp_path / "out"
    write_case(store, "a")
    for folder in ("ImagesTr", "LabelsTr"):
        image = SimpleITK.ReadImage(str(store / folder / "a.mha"))
        (dataset / folder).mkdir(parents=True)
        SimpleITK.WriteImage(image, str((store if linked else dataset) / folder / "a.mhd"))
        if linked:
            (dataset / folder / "a.mhd").symlink_to(store / folder / "a.mhd")
    sources = (dataset / folder / "a.mhd" for folder in ("ImagesTr", "LabelsTr"))
    case = case_from("a", *sources, output)
    record = process_case(job_of(output), case).record()
    assert decide(job_of(output), case, record).action == "skip"
    os.utime((store if linked else dataset) / "ImagesTr" / "a.raw", ns=(1, 1))
    decision = decide(job_of(output), case, record)
    assert (decision.action, decision.reason) == ("redo", f"source image changed: {image_of(case)}")


def test_a_source_that_changes_while_it_is_read_is_redone(tmp_path, monkeypatch):
    write_case(tmp_path / "dataset", "a")
    job, case = job_of(tmp_path / "out"), case_of(tmp_path / "dataset", tmp_path / "out", "a")

    def changed(image):
        os.utime(image_of(case), ns=(1, 1))
        return npz_volume(image)

    monkeypatch.setattr(process, "npz_volume", changed)
    record = process_case(job, case).record()
    assert decide(job, case, record).reason == f"source image changed: {image_of(case)}"


def test_a_case_that_fails_while_it_is_written_leaves_nothing_behind(tmp_path, monkeypatch):
    write_case(tmp_path / "dataset", "a")
    job, case = job_of(tmp_path / "out"), case_of(tmp_path / "dataset", tmp_path / "out", "a")

    def stage(final, partial, volume):
        if final == case.outputs["label"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return stage_npz(final, partial, volume)

    monkeypatch.setattr(staging, "stage_npz", stage)
    assert process_case(job, case).stops_run
    assert list(job.partial.iterdir()) == []


@pytest.mark.parametrize("change", [{"recipe": Recipe(order=1)}, {"target": (3.0, 1.0, 1.1)}])
def test_another_recipe_or_target_is_redone(done, change):
    job, case, record = done
    decision = decide(replace(job, **change), case, record)
    assert decision.action == "redo"
    assert "recipe" in decision.reason


def test_a_setting_that_changes_no_voxel_is_skipped(done):
    job, case, record = done
    assert decide(replace(job, recipe=Recipe(pattern="(?P<case>.*)")), case, record).action == "skip"


# --- Whole sessions ---------------------------------------------------------------------------------------------------


def run(root: Path, output: Path, **options):
    with open_session(plan_run(root, output), options.pop("overwrite", False)) as session:
        return execute(session, 0, **options)


@pytest.mark.filterwarnings("ignore:.*mri_statistics")
def test_only_what_changed_is_done_again(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    assert len(preprocess(root, output, workers=0).done) == 3
    before = outputs(output)
    (output / "labelsTr" / "case_1.npz").write_bytes(b"damaged")
    again = preprocess(root, output, workers=0)
    assert [result.case for result in again.done] == ["case_1"]
    assert sorted(again.skipped) == ["case_0", "case_2"]
    assert outputs(output) == before


def test_what_a_worker_finished_is_recorded_at_the_end_though_nobody_received_it(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"

    def interrupt(session) -> None:
        for case in session.todo:
            process_case(session.plan.job, case)  # the journal has it, the main process does not
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_session(plan_run(root, output)) as session:
        interrupt(session)
    assert len(events_of(output, "done")) == 1
    assert len(json.loads((output / "dataset.json").read_text())["training"]) == 1
    assert list((output / ".partial").iterdir()) == []
    assert len(run(root, output).done) == 1


def test_under_way_is_what_this_run_has_started(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    with open_session(plan_run(root, output)) as session:
        session.manifest.append({"event": "started", "case": "case_0"})
        assert session.interrupted() == ([], {"case_0"})
    with open_session(plan_run(root, output)) as session:
        session.manifest.append({"event": "started", "case": "case_1"})
        assert session.interrupted() == ([], {"case_1"})


def test_a_full_disk_that_takes_no_record_stops_the_run(tmp_path, monkeypatch):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"

    def full(session, result) -> None:
        msg = "no space for the record"
        raise DiskFullError(msg)

    with open_session(plan_run(root, output)) as session:
        monkeypatch.setattr(type(session), "record", full)
        summary = execute(session, 0)
        monkeypatch.undo()
    assert summary.stopped == "no space for the record"
    assert len(run(root, output).skipped) == 1


def test_a_record_that_was_edited_does_not_end_a_run(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    (result,) = run(root, output, fail_fast=True).done[:1]
    write_case(root, "case_9")
    with (output / "manifest.jsonl").open("a") as file:
        for outputs_ in (5, {"image": 5}, {}):
            file.write(json.dumps({**result.record(), "case": f"gone_{outputs_}", "outputs": outputs_}) + "\n")
    assert len(run(root, output).done) == 1
    assert "gone_5" in (output / "manifest.csv").read_text()
    assert "gone" not in (output / "dataset.json").read_text()


def test_overwrite_does_everything_again(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    run(root, output)
    assert len(run(root, output, overwrite=True).done) == 2


def test_fail_fast_stops(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    for label in (root / "LabelsTr").iterdir():
        label.write_text("rubbish")
    assert len(run(root, output, fail_fast=True).failed) == 1
    assert len(run(root, output).failed) == 3


def test_a_torn_manifest_loses_one_record_at_most(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    run(root, output)
    manifest = output / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert len(run(root, output).done) == 1
    assert len(run(root, output).skipped) == 3


ODD = [
    " ",
    "a b",
    "é",
    "☃",
    "'\"`$(x)",
    "-rf",
    "--help",
    "a\nb",
    "a\tb",
    "%s{0}",
    "*",
    "\\",
    "a" * 200,
    "CON",
    "a.b.c",
    "\udcff",
]


def test_stems_with_odd_characters(tmp_path):
    root, output = tmp_path / "dataset", tmp_path / "out"
    for name in ODD:
        try:
            write_case(root, name)
        except OSError:
            pytest.skip(f"the file system does not take the name {name!r}")
    summary = run(root, output)
    assert summary.failed == ()
    assert {path.removesuffix(".npz") for path in os.listdir(output / "imagesTr")} == set(ODD)  # noqa: PTH208
    assert sorted(events_of(output, "done")) == sorted(ODD)
    assert len(run(root, output).skipped) == len(ODD)


def test_a_dataset_of_links(tmp_path):
    write_cases(tmp_path / "store", 2)
    root = tmp_path / "dataset"
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True)
        for path in (tmp_path / "store" / folder).iterdir():
            (root / folder / path.name).symlink_to(path)
    (tmp_path / "link").symlink_to(root)
    assert len(run(tmp_path / "link", tmp_path / "out").done) == 2


def test_loops_of_links(tmp_path):
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    image = root / "ImagesTr" / "case_0.mha"
    image.unlink()
    image.symlink_to(image.name)
    summary = run(root, output)
    assert [result.case for result in summary.done] == ["case_1"]
    assert "case_0.mha: the file cannot be found" in errors_of(output)["case_0"]

    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DatasetError, match="link"):
        plan_run(tmp_path / "loop", output)


def test_a_huge_claim_of_one_case_does_not_stop_the_run(tmp_path):
    """Its voxels would fill any disk, but it is refused for its memory alone."""
    root, output = write_cases(tmp_path / "dataset", 3), tmp_path / "out"
    write_case(root, "liar", (4, 8, 9), (9000.0, 9000.0, 9000.0))
    summary = run(root, output)
    assert len(summary.done) == 3
    assert "not attempted" in errors_of(output)["liar"]
