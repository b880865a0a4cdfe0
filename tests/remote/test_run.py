"""A whole run of a dataset in a store."""

from __future__ import annotations

import pytest

from monai_mriprep.remote import run
from tests.remote.test_dataset import put_folder, write_mixed
from tests.runs import done_records, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


def test_a_run_is_resumed_and_does_a_replaced_object_again(store, tmp_path):
    put_folder(store, write_cases(tmp_path / "scans", 3))
    first = run.preprocess("memory://bucket/scans", tmp_path / "out", workers=0)
    assert [len(first.done), len(first.failed)] == [3, 0]
    assert done_records(tmp_path / "out")["case_1"].sources["image"][0].path == (
        "memory://bucket/scans/ImagesTr/case_1.mha"
    )
    store.put("ImagesTr/case_2.mha", tmp_path / "scans" / "ImagesTr" / "case_0.mha")
    again = run.preprocess("memory://bucket/scans", tmp_path / "out", workers=0)
    assert [result.case for result in again.done] == ["case_2"]


def test_slices_and_detached_voxels_are_recorded_by_their_addresses_and_not_done_again(store, tmp_path):
    put_folder(store, write_mixed(tmp_path / "scans"))
    assert len(run.preprocess(store.address, tmp_path / "out", workers=0, report=False).done) == 2
    records = done_records(tmp_path / "out")
    names = sorted(file.path for case in records for file in records[case].sources["image"][0].data)
    folder = f"{store.address}/ImagesTr"
    assert names == [f"{folder}/detached.raw", *(f"{folder}/series/{number:03}.dcm" for number in range(1, 6))]
    assert run.preprocess(store.address, tmp_path / "out", workers=0, report=False).done == ()
    store.put("ImagesTr/series/003.dcm", store.read("ImagesTr/series/003.dcm"))
    assert [
        result.case for result in run.preprocess(store.address, tmp_path / "out", workers=0, report=False).done
    ] == ["series"]
