"""`run --print-sbatch`: the same command line comes back, for SLURM, and nothing is run."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec

import pytest

from monai_mriprep.cli.app import app
from monai_mriprep.errors import RecipeError
from tests.runs import write_cases

OPTIONS = ["--set", "order=1", "--set", "clip=true", "--target", "3,1,1", "--no-report", "--case-timeout", "60.5", "-v"]


def call(capsys, *arguments) -> str:
    assert app([str(word) for word in arguments], prog_name="monai-mriprep", standalone_mode=False) == 0
    return capsys.readouterr().out


def task_of(script: str) -> list[str]:
    (line, _) = (line for line in script.splitlines() if line.startswith("exec "))
    return shlex.split(line)[1:]


@pytest.mark.parametrize(("given", "workers"), [([], "4"), (["-w", "2"], "2"), (["--workers", "0"], "1")])
def test_a_script_has_the_same_options_and_nothing_is_written(tmp_path, capsys, given, workers):
    dataset, out = write_cases(tmp_path / "da'ta", 2), tmp_path / "o ut"
    script = call(capsys, "run", dataset, out, *OPTIONS, *given, "--shard", "auto/5", "--print-sbatch")
    *words, take_over = task_of(script)
    assert words[:4] == [sys.executable, "-m", "monai_mriprep", "run"]
    assert words[-2:] == ["--shard", "auto/5"]
    assert take_over == "${SLURM_RESTART_COUNT:+--take-over}"
    assert f"--cpus-per-task={workers} " in script
    assert not out.exists()

    again = call(capsys, *words[3:-2], "--shard", "1/5", "--print-sbatch")
    assert sorted(task_of(again)) == sorted([*words, take_over])
    for word in ("--no-report", "--case-timeout", "60.5", "order=1", "clip=true", "--target", "3,1,1", str(dataset)):
        assert word in words


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs the extra dask")
def test_workers_of_dask_in_a_task_get_its_processors(tmp_path, capsys):
    dataset = write_cases(tmp_path / "data", 1)
    options = ["--scheduler", "local:3", "--shard", "auto/5", "--print-sbatch"]
    script = call(capsys, "run", dataset, tmp_path / "out", *options)
    assert "--cpus-per-task=3 " in script
    assert "--workers" not in task_of(script)


def test_the_merge_of_a_script_has_the_options_that_it_knows(tmp_path, capsys):
    dataset = write_cases(tmp_path / "data", 1)
    ends = {(): [], ("--no-report",): ["--no-report"], ("--scratch", "/n v"): ["--scratch", "/n v"]}
    for given, of_merge in ends.items():
        script = call(capsys, "run", dataset, tmp_path / "out", *given, "--shard", "auto/5", "--print-sbatch")
        merge = shlex.split(script[script.rindex("exec ") :].splitlines()[0])
        assert merge[4:] == ["merge", str(tmp_path / "out"), *of_merge, "--take-over"]


def test_how_many_tasks_must_be_said(tmp_path):
    with pytest.raises(RecipeError, match="--print-sbatch without --shard"):
        app(["run", str(write_cases(tmp_path, 1)), "out", "--print-sbatch"], standalone_mode=False)
