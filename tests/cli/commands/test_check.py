"""The command that `check` prints."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from monai_mriprep.cli.commands.check import check, run_command, suggested_output
from tests.layouts import write_layout
from tests.runs import FOLDER_OF_0_1_0, write_cases


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


def printed(capsys, **options) -> list[str]:
    """The words of the command that `check` prints under these options."""
    check(**options, as_json=True)
    return shlex.split(json.loads(capsys.readouterr().out)["command"])


def test_what_the_user_gives_is_in_the_command(tmp_path, capsys):
    root = write_layout("BraTS 2021", tmp_path / "brats")
    (tmp_path / "job.yaml").write_text("crop: nonzero\n")
    given = {"config": tmp_path / "job.yaml", "settings": ["order=1"], "target": "3,2,2", "channels": "t2,t1"}
    options = ["--config", str(tmp_path / "job.yaml"), "--set", "order=1", "--target", "3,2,2", "--channels", "t2,t1"]
    words = printed(capsys, dataset_root=root, output_root=tmp_path / "out", **given)
    assert words == ["monai-mriprep", "run", str(root), str(tmp_path / "out"), *options]


def test_what_a_test_set_is_like_is_in_the_command(tmp_path, capsys):
    root, like = write_cases(tmp_path / "data", 1), FOLDER_OF_0_1_0 / "out"
    words = printed(capsys, dataset_root=root / "ImagesTr", like=like)
    assert words == ["monai-mriprep", "run", str(root / "ImagesTr"), "ImagesTr-test-preprocessed", "--like", str(like)]
