"""Reports as text for people."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from monai_mriprep.export.nnunet_raw import ExportSummary, RefusedCase
from monai_mriprep.report.text import export_text, report_text


def test_an_export_counts_only_what_there_was():
    folder = Path("Dataset001_A")
    alone = ExportSummary(folder, ("a", "b"), (), (), (), {2: 1, 49: 2})
    assert list(export_text(alone)) == ["2 exported: Dataset001_A", "labels: 2 is 1, 49 is 2"]
    all_kinds = ExportSummary(folder, (), ("a",), ("b",), (RefusedCase("c", "it is gone"),), {}, ("rename the folder",))
    assert list(export_text(all_kinds)) == [
        "0 exported, 1 there before, 1 removed, 1 REFUSED: Dataset001_A",
        "labels: none",
        "  refused: c: it is gone",
        "rename the folder",
    ]


def test_a_report_names_who_failed_and_who_is_suspected_once_for_each_reason():
    suspicions = {
        "a": [("failed", "/data/a.mha: is empty")],
        "b": [("failed", "/data/b.mha: is empty")],
        "c": [("label_lost", "class 2 vanished by resampling: it had 0.5 ml"), ("label_edge", "it touches the edge L")],
        "d": [("label_lost", "class 3 vanished by resampling: it had 0.9 ml")],
    }
    cases = [
        SimpleNamespace(name=name, suspicions=[SimpleNamespace(kind=kind, reason=reason) for kind, reason in of_case])
        for name, of_case in suspicions.items()
    ]
    page = SimpleNamespace(verdict="2 of 4 cases failed.", cases=cases)
    assert list(report_text(page, Path("out/report.html"))) == [
        "2 of 4 cases failed.",
        "failed: 2 cases: is empty (a, b)",
        "suspect: 2 cases: class ... vanished by resampling: it had ... ml (c, d)",
        "suspect: c: it touches the edge L",
        "out/report.html",
    ]
