"""What a run shows of each case: a picture beside its files, measures in its record; and never at the case's cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.measures.case import measure_case
from monai_mriprep.pictures.draw import draw
from monai_mriprep.pictures.scan import Scan
from monai_mriprep.recipe import Recipe
from monai_mriprep.run import process
from monai_mriprep.run.look import look_at, look_at_failed
from monai_mriprep.run.process import process_case
from monai_mriprep.store.pictures import read_picture
from tests.pictures.scans import grid_of, scan_of
from tests.runs import case_of, job_of, record_of, write_case


@pytest.fixture
def job(tmp_path):
    write_case(tmp_path / "dataset", "a", shape=(6, 12, 14))
    return job_of(tmp_path / "out")


@pytest.fixture
def case(job, tmp_path):
    return case_of(tmp_path / "dataset", "a")


def native(case):
    """Voxels and grid of image and label, as stored."""
    headers = [read_header(paths[0]) for paths in case.sources.values()]
    return [(read_voxels(header), header.grid) for header in headers]


def test_a_case_is_measured_as_it_was_scanned_and_drawn(job, case):
    result = process_case(job, case)
    (image, grid), (label, _) = native(case)
    assert record_of({**result.record(), "time": 1.0}).measures == measure_case([image], grid, label)
    assert read_picture(job.output_root, "a")[8:12] == b"WEBP"
    assert result.facts["seconds"]["look"] > 0
    assert result.warnings == ()


def test_a_run_may_do_without(job, case):
    result = process_case(replace(job, report=False), case)
    assert result.status == "done"
    assert "measures" not in result.facts
    assert not (job.output_root / ".report").exists()


@pytest.mark.parametrize("outcome", ["done without a report", "unreadable"])
def test_the_picture_of_an_earlier_run_goes(job, case, outcome):
    process_case(job, case)
    assert read_picture(job.output_root, "a") is not None
    if outcome == "unreadable":
        case.sources["image"][0].write_bytes(b"")
    process_case(replace(job, report=outcome == "unreadable"), case)
    assert read_picture(job.output_root, "a") is None


def test_what_is_written_is_the_same_with_and_without(job, case):
    process_case(job, case)
    with_report = [path.read_bytes() for path in sorted(job.output_root.glob("*Tr/*"))]
    process_case(replace(job, report=False), case)
    assert [path.read_bytes() for path in sorted(job.output_root.glob("*Tr/*"))] == with_report


def test_what_cannot_be_measured_is_a_warning(job, case, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(process, "look_at", fail)
    result = process_case(job, case)
    assert result.status == "done"
    assert result.warnings == ("a: the report cannot show it: ZeroDivisionError: ",)


def test_what_cannot_be_drawn_is_a_warning(job, case):
    (job.output_root / ".report").write_text("in the way")
    result = process_case(job, case)
    assert result.status == "done"
    assert "measures" in result.facts
    assert "a: the report cannot show it: OutputError" in result.warnings[0]


def test_a_case_of_another_geometry_is_shown_with_its_label_where_the_headers_put_it(job, case):
    (image, grid), (label, _) = native(case)
    write_metaimage(case.sources["label"][0], label, (4.5, 1.0, 1.0))
    result = process_case(job, case)
    record = record_of({**result.record(), "time": 1.0})
    assert result.status == "failed"
    label_grid = read_header(case.sources["label"][0]).grid
    assert record.measures == measure_case([image], grid, label, label_grid)
    assert record.source_grid == grid
    assert record.labels.before == {value: np.count_nonzero(label == value) for value in (0, 1, 2)}
    assert record.labels.after == {}
    scan = Scan(image, grid, label, label_grid, "as scanned; it could not be preprocessed")
    assert read_picture(job.output_root, "a") == draw([scan], record.measures.label.centre)


def test_of_a_scan_that_cannot_be_read_only_the_header_is_told(job, case):
    path = case.sources["image"][0]
    path.write_bytes(path.read_bytes().replace(b"CompressedData = True", b"CompressedData = False", 1)[:-20])
    result = process_case(job, case)
    record = record_of({**result.record(), "time": 1.0})
    assert result.status == "failed"
    assert record.measures is None
    assert read_picture(job.output_root, "a") is None


def test_a_label_of_intensities_fails_without_counting_them(job, case):
    label = np.full((6, 12, 14), 3e9, np.float32)
    write_metaimage(case.sources["label"][0], label, (3.0, 1.0, 1.0))
    result = process_case(job, case)
    assert result.status == "failed"
    assert "labels" not in result.facts
    assert "measures" in result.facts


def test_where_the_disk_is_full_nothing_is_read_again(job, case, monkeypatch):
    def full(*_):
        raise process.DiskFullError

    monkeypatch.setattr(process, "stage_files", full)
    monkeypatch.setattr(process, "look_at_failed", lambda *_: pytest.fail("read again"))
    assert process_case(job, case).facts.keys() == {"disk_full"}


def test_the_upper_row_is_the_scan_and_the_lower_one_what_became_of_it():
    before, after = scan_of(grid_of()), scan_of(grid_of((40, 44, 48), (1.8, 1.2, 1.2)))
    channels, label = np.stack([before.voxels, before.voxels // 3]), before.label[None]
    look = look_at({"image": (channels, before.grid), "label": (label, before.grid)})
    assert look.measures == measure_case(list(channels), before.grid, before.label)
    assert len(look.measures.image) == 2
    picture = look.picture({"image": (after.voxels[None], after.grid), "label": (after.label[None], after.grid)})
    assert picture == draw([replace(before, title="as scanned"), replace(after, title="preprocessed")])


def test_of_channels_that_differ_in_size_the_first_is_shown(job, case, tmp_path):
    (_, grid), (label, _) = native(case)
    write_metaimage(other := tmp_path / "other.mha", np.ones((3, 12, 14), np.int16), (6.0, 1.0, 1.0))
    two = replace(case, sources={**case.sources, "image": (case.sources["image"][0], other)})
    facts, picture = look_at_failed(replace(job, recipe=Recipe(channels=["t1", "t2"])), two)
    assert facts["source_grid"] == grid.to_json()
    assert len(facts["measures"]["image"]) == 1
    assert facts["labels"]["before"]["1"] == np.count_nonzero(label == 1)
    assert picture is not None
