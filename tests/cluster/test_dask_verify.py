"""`verify` on Dask's workers finds what threads of this process find."""

from __future__ import annotations

import pytest

from monai_mriprep import preprocess
from monai_mriprep.verify.audit import verify_output
from tests.runs import write_cases

pytest.importorskip("distributed", reason="needs the extra dask")

from monai_mriprep.run.dask_workers import DaskCluster

pytestmark = [
    pytest.mark.stress,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:.*mri_statistics"),
]


def test_what_is_damaged_is_found_by_the_workers_of_a_cluster(local, tmp_path):
    preprocess(write_cases(tmp_path / "data", 6), tmp_path / "out", workers=0)
    file = tmp_path / "out" / "labelsTr" / "case_1.npz"
    file.write_bytes(file.read_bytes()[:-1])
    cluster = DaskCluster(local, output_root=tmp_path / "out")
    found = verify_output(tmp_path / "out", mapper=cluster.mapper(2, total=0))
    assert found == verify_output(tmp_path / "out")
    assert [finding.subject for finding in found.problems] == ["labelsTr/case_1.npz"]
