"""The report at the end of a run: written where something has changed, and never at the run's cost."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.report.html import write
from monai_mriprep.report.html.after_run import warn_of_older_report, with_report
from monai_mriprep.report.run_text import run_text
from tests.runs import write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


@pytest.fixture
def summary(tmp_path):
    return preprocess(write_cases(tmp_path / "dataset", 2), tmp_path / "out", workers=0)


def test_a_run_that_has_done_something_writes_it(summary):
    page = summary.output_root / "report.html"
    assert with_report(summary).report == page
    assert "case_1" in page.read_text(encoding="utf-8")
    assert list((summary.output_root / ".partial").iterdir()) == []


def test_cases_that_deserve_a_look_are_named(tmp_path):
    label = np.zeros((4, 8, 9), np.int16)
    write_metaimage(write_cases(tmp_path / "dataset", 2) / "LabelsTr" / "case_1.mha", label, (3.0, 1.0, 1.0))
    summary = with_report(preprocess(tmp_path / "dataset", tmp_path / "out", workers=0))
    assert summary.suspects == ("case_1",)
    assert "suspects      1: case_1" in run_text(summary)


def test_a_run_with_nothing_to_do_leaves_it_and_makes_a_missing_one(summary, tmp_path):
    page = summary.output_root / "report.html"
    idle = preprocess(tmp_path / "dataset", tmp_path / "out", workers=0)
    assert with_report(idle).report == page
    assert "case_1" in page.read_text(encoding="utf-8")
    page.write_text("as it was", encoding="utf-8")
    assert with_report(idle).report == page
    assert page.read_text(encoding="utf-8") == "as it was"


def test_one_that_a_run_was_ended_before_it_could_write_is_written_by_the_next_one(summary, tmp_path):
    page = with_report(summary).report
    write_case(tmp_path / "dataset", "later")
    preprocess(tmp_path / "dataset", tmp_path / "out", workers=0)  # and ended here
    idle = preprocess(tmp_path / "dataset", tmp_path / "out", workers=0)
    assert len(idle.skipped) == 3
    with_report(idle)
    assert "later" in page.read_text(encoding="utf-8")


def test_one_that_a_run_without_a_report_leaves_behind_is_named(summary, tmp_path, caplog):
    warn_of_older_report(summary)
    page = with_report(summary).report
    warn_of_older_report(summary)
    assert caplog.messages == []
    write_case(tmp_path / "dataset", "later")
    warn_of_older_report(preprocess(tmp_path / "dataset", tmp_path / "out", workers=0, report=False))
    (message,) = (message for message in caplog.messages if "older" in message)
    assert message.startswith(f"{page} is older than the records, and may show cases that have left; `monai-mriprep re")


def test_what_prevents_it_is_logged_and_the_run_stands(summary, monkeypatch, caplog):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(write, "write_stored_report", fail)
    with caplog.at_level(logging.WARNING):
        assert with_report(summary) == summary
    (record,) = caplog.records
    root = summary.output_root
    assert record.getMessage() == (
        f"{root / 'report.html'} cannot be written: ZeroDivisionError: ; `monai-mriprep report {root}` tries again"
    )


@pytest.mark.parametrize("changed", [{"failed": ("b",)}, {"retired": ("b",)}], ids=["failed", "retired"])
def test_a_run_in_which_a_case_failed_or_left_writes_it(summary, changed):
    page = summary.output_root / "report.html"
    page.write_text("as it was", encoding="utf-8")
    with_report(replace(summary, done=(), **changed))
    assert "case_1" in page.read_text(encoding="utf-8")
