"""Arguments and options: from the command line, else from the section `run` of the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shell import cli
from tests.runs import counts, write_cases


@pytest.fixture
def folder(tmp_path) -> Path:
    """A dataset of one case, and the file of a run."""
    write_cases(tmp_path / "data", 1)
    (tmp_path / "job.yaml").write_text("clip: true\nrun: {dataset: data, output: out, workers: 0, max_memory: 2G}\n")
    return tmp_path


def test_a_file_is_a_whole_run(folder):
    done = cli("run", "--config", "job.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert counts(done.stdout)["done"] == 1
    assert (folder / "out/imagesTr/case_0.npz").exists()


def test_the_command_line_wins(folder):
    done = cli(
        "run", "data", "other", "--config", "job.yaml", "--max-memory", "1M", "--set", "run.output=x", cwd=folder
    )
    assert done.returncode == 1
    assert "case_0: FAILED" in done.stderr  # no case fits into 1 MiB
    assert "other" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["data", "job.yaml", "other"]


@pytest.mark.parametrize("command", ["check", "stats"])
def test_other_commands_take_its_dataset(folder, command):
    done = cli(command, "--config", "job.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "case_0" in done.stdout or "median_spacing" in done.stdout
    assert cli(command, "absent", "--config", "job.yaml", cwd=folder).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["run"], ["DATASET_ROOT", "run.dataset"]),
        (["run", "data"], ["OUTPUT_ROOT", "run.output"]),
        (["run", "--config", "part.yaml"], ["OUTPUT_ROOT", "run.output"]),
        (["check"], ["DATASET_ROOT", "run.dataset"]),
        (["stats"], ["DATASET_ROOT", "run.dataset"]),
    ],
)
def test_what_neither_gives_is_missing(folder, arguments, missing):
    (folder / "part.yaml").write_text("run: {dataset: data}")
    done = cli(*arguments, cwd=folder)
    assert done.returncode == 2
    assert "Missing argument" in done.stderr
    assert [word for word in missing if word not in done.stderr] == []
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("much", "'much' is no size"),
        ("2", "'2' would be 2 bytes: did you mean 2G?"),
        ("9K", "less than any case needs"),
    ],
)
def test_a_memory_that_is_no_size_is_refused_before_anything_is_written(folder, size, said):
    result = cli("run", "data", "out", "--max-memory", size, cwd=folder)
    assert result.returncode == 2
    assert f"error: --max-memory: '{size}' " in result.stderr
    assert f"{said}; it must be a size such as 12G or 900M" in result.stderr
    assert not (folder / "out").exists()


@pytest.mark.parametrize("target", ["3,0.8,0.8", "3, .8, 8e-1", "3.0,0.8,0.8"])
def test_a_target_is_short_for_its_key(folder, target):
    def report(*arguments: str) -> dict:
        return json.loads(cli("check", "data", "--json", *arguments, cwd=folder).stdout)

    short, long = report("--target", target), report("--set", "target_spacing=[3, 0.8, 0.8]")
    assert short["target_spacing"] == [3, 0.8, 0.8]
    assert short["derivation"] == long["derivation"]


@pytest.mark.parametrize(
    "target", ["3", "3,1", "3,1,1,1", "3,1,0", "3,-1,1", "3,nan,1", "3,inf,1", "3,x,1", "", "3;1;1"]
)
def test_a_target_that_is_none_is_refused_with_the_remedy(folder, target):
    done = cli("run", "data", "out", "--target", target, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: --target: {target!r} is no spacing; give three positive numbers in mm, z,y,x" in done.stderr
    assert not (folder / "out").exists()


def test_a_run_to_a_target(folder):
    assert cli("run", "data", "out", "--config", "job.yaml", "--target", "6,2,2", cwd=folder).returncode == 0
    assert json.loads((folder / "out/run.json").read_text())["target_spacing"] == [6, 2, 2]
