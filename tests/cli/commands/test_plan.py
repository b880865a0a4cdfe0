"""`plan` as a user calls it."""

from __future__ import annotations

import json

from monai_mriprep.cli.app import app
from tests.runs import write_cases


def call(capsys, *arguments) -> tuple[int, str, str]:
    status = app([str(word) for word in arguments], prog_name="monai-mriprep", standalone_mode=False)
    return (status, *capsys.readouterr())


def test_what_is_planned_is_told_and_what_to_do_next(tmp_path, capsys):
    dataset, out = write_cases(tmp_path / "data", 2), tmp_path / "out put"
    status, told, warned = call(capsys, "plan", dataset, out)
    assert status == 0
    assert "estimates: 0 seconds on one core for 2 cases" in told
    assert "2 cases: 2 to do" in told
    assert f"{out}/cases.jsonl: SHA-256 {json.loads((out / 'run.json').read_text())['plan']['sha256']}" in told
    assert (
        f"next, in each of N jobs and with the same options:  monai-mriprep run {dataset} '{out}' --shard I/N" in told
    )
    assert "no mri_statistics.csv" in warned
