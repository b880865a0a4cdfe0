"""The script of `run --print-sbatch`, carried out by a stand-in for SLURM that starts the tasks of an array in turn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.verify.audit import verify_output
from tests.runs import outputs, write_cases

pytestmark = pytest.mark.stress

SBATCH = """#!/bin/bash
# Starts the tasks in turn, as --array says, and the first one once more, as after the end of its node.
script=$(mktemp); cat > "$script"
last=; for word in "$@"; do case $word in --array=1-*) last=${word#--array=1-};; esac; done
if [ -z "$last" ]; then bash "$script" >&2 || exit 1; echo 42; exit; fi
for task in $(seq "$last"); do SLURM_ARRAY_TASK_ID=$task bash "$script" >&2 || exit 1; done
SLURM_RESTART_COUNT=1 SLURM_ARRAY_TASK_ID=1 bash "$script" >&2 || exit 1
echo 41
"""


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("is_planned", [True, False])
def test_the_jobs_of_the_script_make_what_one_machine_makes(tmp_path, is_planned):
    dataset = write_cases(tmp_path / "da ta", 5)
    preprocess(dataset, tmp_path / "alone", workers=0)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sbatch").write_text(SBATCH)
    (tmp_path / "bin/sbatch").chmod(0o755)
    program = [sys.executable, "-m", "monai_mriprep"]
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    def said_by(*words: object) -> str:
        argv = [*map(str, words)]
        done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    if is_planned:
        said_by(*program, "plan", "da ta", "o'ut")
    options = ["--shard", "auto/2", "--print-sbatch", "-w", 0, "-q"]
    (tmp_path / "job.sh").write_text(said_by(*program, "run", "da ta", "o'ut", *options))
    assert not (tmp_path / "o'ut/imagesTr").exists()
    assert "array job 41" in said_by("bash", "job.sh")
    assert outputs(tmp_path / "o'ut") == outputs(Path(tmp_path / "alone"))
    assert verify_output(tmp_path / "o'ut").findings == ()
    assert sorted(path.name for path in (tmp_path / "o'ut").glob("manifest*")) == ["manifest.csv", "manifest.jsonl"]
