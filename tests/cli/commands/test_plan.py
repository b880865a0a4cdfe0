"""`plan` as a user calls it."""

from __future__ import annotations

import json

from monai_mriprep.cli.app import app
from tests.runs import write_cases


def test_what_is_planned_is_told_and_what_to_do_next(tmp_path, capsys):
    dataset, out = write_cases(tmp_path / "data", 2), tmp_path / "out put"
    words = ["plan", str(dataset), str(out), "--redo", "--set", "order=1", "--target", "3,1,1"]
    assert app(words, prog_name="monai-mriprep", standalone_mode=False) == 0
    told, warned = capsys.readouterr()
    assert "estimates: 0 seconds on one core for 2 cases" in told
    assert "2 cases: 2 to do" in told
    assert f"{out}/cases.jsonl: SHA-256 {json.loads((out / 'run.json').read_text())['plan']['sha256']}" in told
    next_command = f"monai-mriprep run {dataset} '{out}' --set order=1 --target 3,1,1 --shard I/N"
    assert f"next, in each of N jobs:  {next_command}\n" in told
    assert warned == ""
