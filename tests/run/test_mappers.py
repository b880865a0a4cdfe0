"""The mapper of one process; those of many are held to the same in `test_lost_cases`."""

from __future__ import annotations

import os

from monai_mriprep.run.mappers import serial
from tests.run.works import Work, cases, counted


def test_serial_works_here_on_one_case_after_the_other(tmp_path):
    drawn: list[str] = []
    results = serial(Work(tmp_path), counted(cases(3), drawn))
    first = next(results)
    assert (first.case, first.facts["pid"], drawn) == ("0", os.getpid(), ["0"])
    assert [result.case for result in results] == ["1", "2"]
