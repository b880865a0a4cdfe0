"""The mapper of one process; those of many are held to the same in `test_lost_cases`."""

from __future__ import annotations

import os

from monai_mriprep.run import mappers
from monai_mriprep.run.mappers import serial
from monai_mriprep.run.under_way import UnderWay
from tests.run.works import Work, cases, counted


def test_serial_works_here_on_one_case_after_the_other(tmp_path):
    drawn: list[str] = []
    results = serial(Work(tmp_path), counted(cases(3), drawn))
    first = next(results)
    assert (first.case, first.facts["pid"], drawn) == ("0", os.getpid(), ["0"])
    assert [result.case for result in results] == ["1", "2"]


def test_serial_says_which_case_is_under_way(tmp_path, monkeypatch):
    under_way = UnderWay()
    monkeypatch.setattr(mappers, "UnderWay", lambda: under_way)
    seen: list[list[str]] = []

    def work(case):
        seen.append([begun.case.name for begun in under_way.cases()])
        return Work(tmp_path)(case)

    assert len(list(serial(work, cases(2)))) == 2
    assert (seen, under_way.cases()) == ([["0"], ["1"]], [])
