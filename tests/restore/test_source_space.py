"""What a record says of the source image, and of what was done to the case."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import pytest

from monai_mriprep import restore
from monai_mriprep.formats.header import Frame
from monai_mriprep.restore.command import restore_each
from monai_mriprep.restore.source_space import SourceSpace
from monai_mriprep.steps import AppliedStep, Trace
from monai_mriprep.steps.crop import NonZeroCrop
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.volume.geometry import Grid, target_grid
from tests.oracles import affine_of
from tests.restore.files import assert_geometry
from tests.runs import append_record, broken, done_line, events, record_of

SOURCE = Grid((9, 8, 7), affine_of((3.0, 1.0, 0.7), 12.0, (1.0, 1 / 3, -5.0)))
TARGET = target_grid(SOURCE, (2.0, 1.5, 0.5))
OLD = done_line(source_grid=SOURCE.to_json(), target_grid=TARGET.to_json(), spacing=[2.0, 1.5, 0.5])


def space_of(**changes) -> SourceSpace:
    return SourceSpace.of(record_of({**OLD, **changes}))


def test_of_a_record_from_before_the_trace_the_resampling_is_undone():
    space = space_of()
    assert (space.trace.source, space.trace.target) == (SOURCE, TARGET)
    assert space.suffix == ".nii.gz"
    assert asdict(space.frame) == asdict(Frame.of_grid(SOURCE))


def test_of_several_channels_the_first_gives_the_format():
    image = [{**OLD["sources"]["image"], "path": f"/data/{name}"} for name in ("s_t1.mha", "s_t2.nii.gz")]
    assert space_of(sources={**OLD["sources"], "image": image}).suffix == ".mha"


def test_of_a_record_with_a_trace_its_steps_are_undone():
    trace = Trace(SOURCE, (AppliedStep(Orientation(codes="LPS"), {}, SOURCE),))
    assert space_of(trace=trace.to_json(), target_grid=trace.target.to_json()).trace == trace


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("s.MHA", ".mha"),
        ("s.mhd", ".mha"),
        ("series", ".mha"),
        ("s.nhdr", ".nrrd"),
        ("s.hdr", ".nii"),
        ("s.mgz", ".nii.gz"),
    ],
)
def test_the_format_of_the_source_or_the_one_that_is_written_in_its_place(name, suffix):
    image = {**OLD["sources"]["image"], "path": f"/data/{name}"}
    assert space_of(sources={**OLD["sources"], "image": image}).suffix == suffix


def test_a_record_from_before_the_header_was_kept(made, predictions, tmp_path):
    out, facts = made
    shutil.copytree(out, tmp_path / "old")
    kept = [{key: value for key, value in line.items() if key != "source_header"} for line in events(out)]
    (tmp_path / "old/manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    summary = restore(tmp_path / "old", out / "labelsTr/10_mha_Lab.npz", tmp_path / "back")
    assert_geometry(summary.restored[0], facts["10_mha"], 1e-12)


def test_a_step_that_nobody_has_registered_is_refused_by_name_and_the_rest_is_restored(made, tmp_path):
    out, facts = made
    shutil.copytree(out, tmp_path / "out")
    record = next(event for event in events(out) if event["case"] == "11_nifti_Ima" and event["event"] == "done")
    unknown = {"source": record["source_grid"], "steps": [{"step": "bias_field", "params": {}}]}
    append_record(tmp_path / "out", {**record, "trace": unknown})
    summary = restore_each(tmp_path / "out", out / "labelsTr", tmp_path / "back")
    assert len(summary.restored) == len(facts) - 1
    (problem,) = map(str, summary.refused)
    assert problem.startswith(str(out / "labelsTr/11_nifti_Lab.npz"))
    assert "no step is registered as 'bias_field'" in problem
    assert "register_step" in problem


def test_a_step_that_fails_on_the_way_back_is_refused_by_name_and_the_rest_is_restored(made, tmp_path, monkeypatch):
    out, facts = made
    shutil.copytree(out, tmp_path / "out")
    record = next(event for event in events(out) if event["case"] == "11_nifti_Ima" and event["event"] == "done")
    grid = Grid.from_json(record["target_grid"])
    crop = AppliedStep(NonZeroCrop(), {"begin": [0, 0, 0], "end": list(grid.shape)}, grid)
    resampling = AppliedStep(
        Resampling(target=tuple(record["spacing"])),
        {"grid": record["target_grid"]},
        Grid.from_json(record["source_grid"]),
    )
    append_record(tmp_path / "out", {**record, "trace": Trace(resampling.grid_in, (resampling, crop)).to_json()})

    monkeypatch.setattr(NonZeroCrop, "invert", broken)
    summary = restore_each(tmp_path / "out", out / "labelsTr", tmp_path / "back")
    assert len(summary.restored) == len(facts) - 1
    (problem,) = map(str, summary.refused)
    assert problem.startswith(str(out / "labelsTr/11_nifti_Lab.npz"))
    assert "no luck" in problem


def test_a_step_from_outside_that_fails_over_its_grid_is_refused_by_name_and_the_rest_is_restored(
    made, tmp_path, monkeypatch
):
    out, facts = made
    shutil.copytree(out, tmp_path / "out")
    record = next(event for event in events(out) if event["case"] == "11_nifti_Ima" and event["event"] == "done")
    turned = {"step": "orientation", "codes": "RAS", "params": {}}
    trace = {"source": record["source_grid"], "steps": [turned]}
    append_record(tmp_path / "out", {**record, "trace": trace})

    monkeypatch.setattr(Orientation, "grid", broken)
    summary = restore_each(tmp_path / "out", out / "labelsTr", tmp_path / "back")
    assert len(summary.restored) == len(facts) - 1
    (problem,) = map(str, summary.refused)
    assert problem.startswith(str(out / "labelsTr/11_nifti_Lab.npz"))
    assert "cannot be read from its trace (RuntimeError('no luck'))" in problem
