"""Each layout from `check` to the volumes: the command that it prints, run as it is printed, succeeds."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.cli.commands.check import run_command
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.run.check import check_dataset
from tests.cli.shell import cli
from tests.layouts import LAYOUTS, write_layout
from tests.runs import counts, done_records


def printed_command(text: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith("run it with:  "))
    return shlex.split(line.removeprefix("run it with:  "))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_command_that_check_prints_succeeds(name, tmp_path):
    root = write_layout(name, tmp_path / "my scans")
    checked = cli("check", root, cwd=tmp_path)
    assert checked.returncode in (0, 1), checked.stdout + checked.stderr
    program, *words = printed_command(checked.stdout)
    assert program == "monai-mriprep"
    ran = cli(*words, "--workers", 0, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert counts(ran.stdout)["done"] == 2
    output = tmp_path / words[2]
    for case, record in done_records(output).items():
        image, label = (read_npz(output / file.path).array for file in record.outputs.values())
        assert image.shape[1:] == label.shape[1:], case
        assert np.isfinite(image).all()


@pytest.mark.parametrize("name", ["ours", "nnU-Net"])
def test_so_does_that_of_the_test_set_in_the_same_dataset(name, tmp_path):
    root = write_layout(name, tmp_path / "scans")
    _, *words = printed_command(cli("check", root, cwd=tmp_path).stdout)
    assert cli(*words, "--workers", 0, cwd=tmp_path).returncode == 0
    checked = cli("check", root, "--like", words[2], cwd=tmp_path)
    _, *words_of_test = printed_command(checked.stdout)
    assert words_of_test[2] != words[2]
    ran = cli(*words_of_test, "--workers", 0, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert counts(ran.stdout)["done"] == 1


def test_a_layout_is_named_and_so_is_what_it_needs(tmp_path):
    root = write_layout("BraTS 2021", tmp_path / "brats")
    report = check_dataset(root)
    assert report.options == ("--channels", "t1,t1ce,t2,flair")
    assert "one folder a case" in report.seen


def test_a_folder_whose_name_begins_like_an_option_is_none():
    words = shlex.split(run_command(Path("-a b"), Path("-a b-preprocessed"), {}, ()))
    assert words == ["monai-mriprep", "run", "./-a b", "./-a b-preprocessed"]
