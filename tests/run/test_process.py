"""One case, from its files to its files and its record."""

from __future__ import annotations

import errno
import os

from monai_mriprep.formats import staging
from monai_mriprep.formats.npz import stage_npz
from monai_mriprep.run import process
from monai_mriprep.run.decide import decide
from monai_mriprep.run.process import process_case
from monai_mriprep.transforms.files import npz_volume
from tests.runs import case_of, image_of, job_of, record_of, write_case


def test_a_source_that_changes_while_it_is_read_is_redone(tmp_path, monkeypatch):
    write_case(tmp_path / "dataset", "a")
    job, case = job_of(tmp_path / "out"), case_of(tmp_path / "dataset", tmp_path / "out", "a")

    def changed(image):
        os.utime(image_of(case), ns=(1, 1))
        return npz_volume(image)

    monkeypatch.setattr(process, "npz_volume", changed)
    record = record_of({**process_case(job, case).record(), "time": 0.0})
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
