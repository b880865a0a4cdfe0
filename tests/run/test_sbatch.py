"""The script for SLURM: as bash reads it, what it asks for, and what its jobs do under a SLURM that is not there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.run.kept import Wanted
from monai_mriprep.run.memory import how_many_fit
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.run.sbatch import first_of_array, needs_of_task, sbatch_script
from monai_mriprep.store.attempts import Shard

GIB = 2**30
AWKWARD = ["data root/$HOME `x`", "out'put", "--set", "normalization.foreground=native", "--pattern", 'a"b\\c;&']

SBATCH = """#!/bin/bash
# Keeps what it is given, and answers as a SLURM of several clusters does with --parsable.
number=$(( $(ls "$JOBS" | grep -c words) + 41 ))
printf '%s\\n' "$@" > "$JOBS/$number.words"
cat > "$JOBS/$number.script"
echo "$number;cluster"
"""


def cases_of(*sizes: int) -> tuple[Case, ...]:
    return tuple(Case(f"case_{number}", {}, {}, size) for number, size in enumerate(sizes))


CASES = cases_of(GIB, GIB // 2)


def script_of(cases=CASES, shards=3, workers=4, options=("DATA", "OUT"), program=("monai-mriprep",)):
    job = Job(Recipe(), (3.0, 1.0, 1.0), Path(options[1]))
    plan = RunPlan(Path(options[0]), job, cases, "", Wanted(job, "recipe", ""), shard=Shard(1, shards))
    return sbatch_script(program, [str(word) for word in options], options[1], plan, workers)


def test_an_address_keeps_its_slashes():
    script = script_of(options=("DATA", Path("s3://bucket/out")), program=())
    assert "exec merge s3://bucket/out --take-over" in script


def asked(script: str, option: str) -> list[str]:
    return re.findall(rf"--{option}=(\S+)", script)


@pytest.fixture
def slurm(tmp_path):
    """Runs a script where `sbatch` is ours; returns the words and the script of each job, and what was said."""

    def start(script: str) -> tuple[list[tuple[list[str], Path]], str]:
        (tmp_path / "bin").mkdir()
        (tmp_path / "jobs").mkdir()
        (tmp_path / "bin/sbatch").write_text(SBATCH)
        (tmp_path / "bin/sbatch").chmod(0o755)
        environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "JOBS": str(tmp_path / "jobs")}
        argv = ["bash", "-c", script]
        done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        words = sorted((tmp_path / "jobs").glob("*.words"))
        return [(path.read_text().splitlines(), path.with_suffix(".script")) for path in words], done.stdout

    return start


@pytest.mark.parametrize("shards", [1, 100, 5000])
def test_bash_takes_it(shards):
    script = script_of(shards=shards, options=AWKWARD)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert ("MaxArraySize" in script) == (shards > 1000)


def test_it_asks_for_the_estimates_and_a_margin():
    cases = cases_of(2 * GIB, GIB)
    memory, seconds = needs_of_task(cases, 3, 4)
    assert how_many_fit(cases[0], memory) == 4
    script = script_of(cases)
    task, _ = asked(script, "mem")
    assert float(task.removesuffix("M")) == pytest.approx(1.25 * memory / 2**20, abs=2)
    assert asked(script, "cpus-per-task") == ["4"]
    assert asked(script, "array") == ["1-3"]
    assert asked(script, "time") == ["0:30:00", "1:00:00"]
    assert seconds < 60


def test_the_time_is_that_of_a_share_on_so_many_workers_and_of_the_longest_case():
    hour = round(3600 / 45e-9 * 9)
    for sizes, shards, workers, hours in ([hour] * 40, 10, 2, 3 * 2.45), ([hour] * 2, 10, 8, 3), ([hour], 1, 0, 3):
        _, seconds = needs_of_task(cases_of(*sizes), shards, workers)
        assert 3 * seconds == pytest.approx(3600 * hours, rel=0.01)
        (found, _) = asked(script_of(cases_of(*sizes), shards, workers), "time")
        assert float(found.split(":")[0]) + float(found.split(":")[1]) / 60 == pytest.approx(hours, abs=1 / 4)


def test_no_case_needs_no_time():
    assert asked(script_of(()), "time")[0] == "0:30:00"


def test_the_jobs_get_the_same_options_and_the_last_one_waits_for_all(slurm):
    jobs, said = slurm(script_of(options=AWKWARD, program=["echo", "/a b/python"]))
    (array, task), (merge, last) = jobs
    assert "--array=1-3" in array
    assert "--output=mriprep-%A_%a.log" in array
    assert "--dependency=afterany:41" in merge
    assert said == "array job 41: mriprep-41_*.log; then 42: mriprep-merge-42.log\n"
    expected = ["/a b/python", "run", *AWKWARD, "--shard", "auto/3"]
    for variables, more in ({}, []), ({"SLURM_RESTART_COUNT": "1"}, ["--take-over"]):
        told = subprocess.run(["bash", task], env=variables, capture_output=True, text=True, check=True).stdout
        assert told == " ".join([*expected, *more]) + "\n"
    told = subprocess.run(["bash", last], env={}, capture_output=True, text=True, check=True).stdout
    assert told == f"/a b/python merge {AWKWARD[1]} --take-over\n"


def test_a_task_is_replaced_by_the_program_so_that_signals_reach_it():
    script = script_of(program=[sys.executable, "-m", "monai_mriprep"])
    lines = [line for line in script.splitlines() if line.startswith("exec")]
    assert len(lines) == 2
    assert shlex.split(lines[0])[1:5] == [sys.executable, "-m", "monai_mriprep", "run"]


@pytest.mark.parametrize("shard", ["auto/100", "7/100"])
def test_how_many_tasks_there_are_is_what_the_user_says(shard):
    assert first_of_array(shard) == "1/100"


@pytest.mark.parametrize("shard", [None, "auto", "auto/0", "100", ""])
def test_without_a_number_there_is_no_script(shard):
    with pytest.raises(RecipeError, match=r"--print-sbatch .*give --shard auto/N, such as auto/100"):
        first_of_array(shard)
