"""Parts of a run, each worked on by a process of its own: which one this is, and which cases are its.

The cases are split by the plan alone, and not by what is done, so that each part is the same whenever it is started.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import re
from collections.abc import Iterable, Mapping

from monai_mriprep.errors import RecipeError
from monai_mriprep.run.cases import Case
from monai_mriprep.run.estimates import case_seconds
from monai_mriprep.store.attempts import Shard

__all__ = ["plan_hash", "read_shard", "split", "wanted_shard"]

LARGEST_COUNT = 999_999

NUMBERS = ("SLURM_ARRAY_TASK_ID", "PBS_ARRAY_INDEX", "PBS_ARRAYID")
"""Where an array job finds its number."""

LAST = "SLURM_ARRAY_TASK_MAX"

FORMS = "give I/N, such as 3/8 for the third of eight; in an array job `auto`, or `auto/N`"


def wanted_shard(text: str | None, redo: bool) -> Shard | None:
    """Which part of a run is meant, by what `read_shard` reads and this process's environment; None is the whole.

    Raises
    ------
    RecipeError
        If it is none, or if all cases are to be done again, which each part would begin anew.
    """
    if text is not None and redo:
        msg = f"--shard {text}: --redo is decided once for all shards; leave it out, and run `plan --redo` before them"
        raise RecipeError(msg)
    return None if text is None else read_shard(text, os.environ)


def read_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """Which part of a run is meant.

    Parameters
    ----------
    text
        ``I/N``, both from 1. ``auto``: what SLURM says of the array job that this process belongs to. ``auto/N``: the
        number of the array job, of which N is given, as for PBS, or where a part of the array is started again; it
        begins with 1.
    environment
        Variables of this process.

    Raises
    ------
    RecipeError
        If it is none, or if this process belongs to no array job.
    """
    if text == "auto":
        return _of_slurm(environment)
    found = re.fullmatch(r"(auto|[0-9]{1,6})/([0-9]{1,6})", text)
    if found is None:
        msg = f"--shard {text}: is no shard; {FORMS}"
        raise RecipeError(msg)
    number = _array_number(environment) if found[1] == "auto" else int(found[1])
    return _checked(number, int(found[2]), f"--shard {text}")


def _of_slurm(environment: Mapping[str, str]) -> Shard:
    """A range such as ``--array=10-80:10`` has steps; of a list such as ``1,3,9`` all are refused, not some."""
    number, first, step, count = (
        _value(environment, f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "STEP", "COUNT")
    )
    step = max(step, 1)
    place, rest = divmod(number - first, step)
    last = _value(environment, LAST) if LAST in environment else first + (count - 1) * step
    if rest or not 0 <= place < count or (last - first) // step + 1 != count:
        msg = (
            f"--shard auto: SLURM_ARRAY_TASK_ID is {number}, which is not among {count} numbers from {first} in "
            f"steps of {step} up to {last}; give --array as one range, or `--shard auto/N` with an array from 1 to N"
        )
        raise RecipeError(msg)
    return _checked(place + 1, count, "--shard auto")


def _array_number(environment: Mapping[str, str]) -> int:
    for name in NUMBERS:
        if name in environment:
            return _value(environment, name)
    msg = f"--shard auto/N: none of {', '.join(NUMBERS)} is set, so this is no array job; {FORMS}"
    raise RecipeError(msg)


def _value(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if re.fullmatch(r"[0-9]{1,9}", text) is None:
        what = f"is {text!r}, which is no number" if name in environment else "is not set, so this is no array job"
        msg = f"--shard: {name} {what}; {FORMS}"
        raise RecipeError(msg)
    return int(text)


def _checked(number: int, count: int, what: str) -> Shard:
    if not 1 <= number <= count <= LARGEST_COUNT:
        msg = f"{what}: there is no shard {number} of {count}, for shards are numbered from 1; {FORMS}"
        raise RecipeError(msg)
    return Shard(number, count)


def split(cases: Iterable[Case], shard: Shard) -> tuple[Case, ...]:
    """The cases of one part, in their order. The parts take about equal time, and every case is in one of them.

    The longest case goes first, each to the part that has least to do so far. With equal times names decide.
    """
    cases = tuple(cases)
    loads = [(0.0, number) for number in range(1, shard.count + 1)]
    mine = set[str]()
    for seconds, name in sorted((-case_seconds(case), case.name) for case in cases):
        load, number = loads[0]
        heapq.heapreplace(loads, (load - seconds, number))
        if number == shard.number:
            mine.add(name)
    return tuple(case for case in cases if case.name in mine)


def plan_hash(cases: Iterable[Case]) -> str:
    """Equal for lists of cases that are split alike; hexadecimal."""
    digest = hashlib.sha256()
    for name, size in sorted((case.name, case.memory_bytes) for case in cases):
        digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
