"""`report` says what its page says first."""

from __future__ import annotations

import json
import shutil

from monai_mriprep.cli.commands.report import report
from tests.runs import FOLDER_OF_0_1_0, append_record


def test_the_verdict_and_the_suspects_are_said_with_the_file(tmp_path, capsys):
    root = shutil.copytree(FOLDER_OF_0_1_0 / "out", tmp_path / "out")
    append_record(root, {"event": "failed", "case": "c", "error": "broken\nbadly", "time": 1.8e9})
    assert report(root) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "2 of 3 cases were preprocessed, 1 failed. Fewer than 5 cases are not compared with one another.",
        "failed: c: broken",
        str(root / "report.html"),
    ]
    assert report(root, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(root / "report.html"),
        "cases": ["c", "10001_0001_0000", "10002_0001_0000"],
        "failed": ["c"],
        "suspects": [{"case": "c", "kind": "failed", "reason": "broken"}],
    }
