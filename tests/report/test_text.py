"""Reports as text for people."""

from __future__ import annotations

from pathlib import Path

from monai_mriprep.export.nnunet_raw import ExportSummary, RefusedCase
from monai_mriprep.report.text import export_text


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
