"""The command that `check` prints."""

from __future__ import annotations

import shlex
from pathlib import Path

from monai_mriprep.cli.commands.check import run_command, suggested_output


def test_all_that_was_given_and_is_needed_is_in_the_command_ready_to_paste():
    given = {
        "--config": [Path("my job.yaml")],
        "--set": ["crop=nonzero", "label_map={2: 1}"],
        "--target": [None],
        "--channels": None,
        "--like": [None],
    }
    command = run_command(Path("my scans"), Path("out"), given, ("--channels", "T2*,ADC"))
    assert "\n" not in command
    assert shlex.split(command) == [
        *("monai-mriprep", "run", "my scans", "out", "--config", "my job.yaml"),
        *("--set", "crop=nonzero", "--set", "label_map={2: 1}", "--channels", "T2*,ADC"),
    ]


def test_the_output_is_here_unless_that_is_in_the_dataset(tmp_path, monkeypatch):
    (tmp_path / "data/inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert suggested_output(Path("data"), is_test=False) == Path("data-preprocessed")
    assert suggested_output(Path("data"), is_test=True) == Path("data-test-preprocessed")
    for inside in (tmp_path / "data", tmp_path / "data/inside"):
        monkeypatch.chdir(inside)
        assert suggested_output(tmp_path / "data", is_test=False) == tmp_path / "data-preprocessed"
