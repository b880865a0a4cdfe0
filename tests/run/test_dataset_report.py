"""When a dataset is ready, needs review, or cannot be preprocessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_mriprep.dataset.pairing import Orphan
from monai_mriprep.run.dataset_report import CaseReport, DatasetReport

ROOT = Path("dataset")
GOOD = CaseReport("a", Path("a.mha"), Path("a_seg.mha"))
BAD = CaseReport("b", Path("b.mha"), Path("b_seg.mha"), problems=("no header",))
ODD = CaseReport("c", Path("c.mha"), Path("c_seg.mha"), warnings=("no class",))

STATUS = {
    "all is well": (DatasetReport(ROOT, cases=(GOOD,)), "ready"),
    "no case": (DatasetReport(ROOT), "impossible"),
    "no good case": (DatasetReport(ROOT, cases=(BAD,)), "impossible"),
    "something fatal": (DatasetReport(ROOT, fatal=("no folder",), cases=(GOOD,)), "impossible"),
    "a bad case": (DatasetReport(ROOT, cases=(GOOD, BAD)), "attention"),
    "an odd case": (DatasetReport(ROOT, cases=(GOOD, ODD)), "attention"),
    "a warning": (DatasetReport(ROOT, warnings=("no table",), cases=(GOOD,)), "attention"),
    "an orphan": (DatasetReport(ROOT, orphans=(Orphan(Path("d.mha"), (), "alone"),), cases=(GOOD,)), "attention"),
}


@pytest.mark.parametrize(("report", "status"), STATUS.values(), ids=STATUS)
def test_status(report, status):
    assert report.status == status


def test_a_case_with_a_warning_can_be_preprocessed():
    assert DatasetReport(ROOT, cases=(GOOD, BAD, ODD)).ready == (GOOD, ODD)
