"""The script that starts a run as an array job of SLURM, and merges its records when all tasks have ended."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from monai_mriprep._version import __version__
from monai_mriprep.errors import RecipeError
from monai_mriprep.formats.names import address_in
from monai_mriprep.run.cases import Case
from monai_mriprep.run.estimates import START_SECONDS, case_seconds
from monai_mriprep.run.memory import needed_memory
from monai_mriprep.run.plan import RunPlan

__all__ = ["DEFAULT_WORKERS", "first_of_array", "needs_of_task", "sbatch_script"]

DEFAULT_WORKERS = 4
"""Of a task, where nobody says how many: all cores of a node would be more than most clusters give at once."""

MEMORY_MARGIN, TIME_MARGIN = 1.25, 3
"""By which the estimates are multiplied: those of time were measured on one machine, and disks differ most."""
LEAST_MINUTES, MINUTES = 30, 10
"""Of a task at least; and to whole ones of these."""
MIB = 2**20
MERGE_MINUTES, MERGE_MIB = 60, 4096
"""Of the last job, which reads the records and writes tables and the report."""
CASES_A_MINUTE, CASES_A_MIB = 5000, 50
"""What it takes beside that (measured: a minute for 13,600 cases)."""
LARGEST_ARRAY = 1000
"""As a SLURM has it that nobody has configured (``MaxArraySize`` is 1001)."""

SCRIPT = """\
#!/bin/bash
# Made by monai-mriprep {version}: {cases} cases in {shards} shards. Start it by: bash FILE
# Estimates of a task: {memory} MiB and {minutes} min. Asked for: {memory_margin} and {time_margin} times as much,
# and {least} min at least.
# Add what your cluster asks for, such as --partition and --account, in both places.
set -euo pipefail
{warning}
array=$(sbatch --parsable --job-name=mriprep --array=1-{shards} --nodes=1 --ntasks=1 --cpus-per-task={workers} \\
    --mem={memory_limit}M --time={time} --signal=B:TERM@120 --requeue --output=mriprep-%A_%a.log <<'TASK'
#!/bin/bash
# SLURM has ended the first attempt of a task that it has started again, so what that has left may be taken over.
exec {run} ${{SLURM_RESTART_COUNT:+--take-over}}
TASK
)
merge=$(sbatch --parsable --job-name=mriprep-merge --dependency="afterany:${{array%%;*}}" --nodes=1 --ntasks=1 \\
    --mem={merge_memory}M --time={merge_time} --output=mriprep-merge-%j.log <<'MERGE'
#!/bin/bash
# All tasks have ended, so what those on other nodes have left may be taken over.
exec {merge}
MERGE
)
echo "array job ${{array%%;*}}: mriprep-${{array%%;*}}_*.log; then ${{merge%%;*}}: mriprep-merge-${{merge%%;*}}.log"
"""


def first_of_array(shard: str | None) -> str:
    """The first part of as many as ``--shard auto/N`` makes, of ``I/N`` too; it stands for all where a script is made.

    Raises
    ------
    RecipeError
        If N is not given.
    """
    found = re.fullmatch(r"(?:auto|[0-9]{1,6})/([1-9][0-9]{0,5})", shard or "")
    if found is None:
        what = "without --shard" if shard is None else f"with --shard {shard}"
        msg = f"--print-sbatch {what}: how many tasks is not known; give --shard auto/N, such as auto/100"
        raise RecipeError(msg)
    return f"1/{found[1]}"


def sbatch_script(
    program: Sequence[str],
    options: Sequence[str],
    output: Path | str,
    plan: RunPlan,
    workers: int,
    of_merge: Sequence[str] = (),
) -> str:
    """A script for bash that hands the array job and the merge to SLURM.

    Parameters
    ----------
    program
        Words that start `monai-mriprep`.
    options
        Of the command ``run``, without ``--shard``; they are quoted here.
    output
        The output folder.
    plan
        Of any of the parts: how many there are is the number of tasks, and its estimates decide memory and time.
    workers
        Processes of each task, which gets as many processors; 0 is one.
    of_merge
        Options of the command ``merge``, without ``--take-over``.
    """
    cases, shards = plan.cases, 1 if plan.shard is None else plan.shard.count
    bytes_needed, seconds = needs_of_task(cases, shards, workers)
    memory, minutes = math.ceil(bytes_needed / MIB), math.ceil(seconds / 60)
    run = [*program, "run", *options, "--shard", f"auto/{shards}"]
    merge = [*program, "merge", address_in(output) or str(output), *of_merge, "--take-over"]
    return SCRIPT.format(
        version=__version__,
        cases=len(cases),
        shards=shards,
        workers=max(1, workers),
        memory=memory,
        minutes=minutes,
        memory_margin=MEMORY_MARGIN,
        time_margin=TIME_MARGIN,
        least=LEAST_MINUTES,
        memory_limit=math.ceil(memory * MEMORY_MARGIN),
        time=_time(max(LEAST_MINUTES, minutes * TIME_MARGIN)),
        merge_memory=MERGE_MIB + len(cases) // CASES_A_MIB,
        merge_time=_time(MERGE_MINUTES + len(cases) // CASES_A_MINUTE),
        run=shlex.join(run),
        merge=shlex.join(merge),
        warning=_warning(shards),
    )


def needs_of_task(cases: Iterable[Case], shards: int, workers: int) -> tuple[int, float]:
    """What a task takes at most, by the estimates.

    Returns
    -------
    tuple of int and float
        Bytes of memory, the program's included, while each worker has a case as large as the largest; seconds of wall
        time. No shard has more to do than an equal share and the longest case.
    """
    cases = tuple(cases)
    seconds = [case_seconds(case) for case in cases]
    longest, at_once = max(seconds, default=0.0), max(1, workers)
    share = sum(seconds) / shards + longest * (1 - 1 / shards)
    largest = max((case.memory_bytes for case in cases), default=0)
    return needed_memory(largest, at_once), START_SECONDS + max(share / at_once, longest)


def _time(minutes: int) -> str:
    """As ``--time`` takes it, in whole ten minutes."""
    hours, rest = divmod(math.ceil(minutes / MINUTES) * MINUTES, 60)
    return f"{hours}:{rest:02}:00"


def _warning(shards: int) -> str:
    if shards <= LARGEST_ARRAY:
        return ""
    return (
        f"# {shards} tasks are more than SLURM takes unless it is configured: compare MaxArraySize in the output of\n"
        "# `scontrol show config`, and give fewer shards if it is not larger than that.\n"
    )
