"""Locks for the tests: a small locked folder, its cases made again here, and locks that somebody has edited."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai_mriprep.formats.sealed import seal, unseal
from monai_mriprep.proof.again import reproduce
from monai_mriprep.proof.lock import lock_output
from monai_mriprep.proof.reproduce import ReproduceReport, order_of
from monai_mriprep.run.engines import ThisMachine

HERE = ThisMachine(0, 2**40)
"""Works in this process."""

Facts = dict[str, Any]


def write_lock(output: Path, place: Path, **given: object) -> Path:
    """The lock of an output folder, in a file."""
    found = lock_output(output, workers=1, **given)
    assert found.problems == (), found.problems
    place.write_text("".join(found.lines), encoding="utf-8")
    return place


def made_again(lock: Path, dataset: Path, **given: object) -> ReproduceReport:
    """What comes of making its cases again."""
    return reproduce(order_of(lock, dataset, **given), HERE)


def told(found: ReproduceReport) -> dict[str, list[tuple[str, str, str]]]:
    """In what each case differs."""
    return {case.case: [tuple(one) for one in case.differences] for case in found.differ}


def edited(lock: Path, change: Callable[[Facts], object], sealed: bool = True) -> Path:
    """The lock with changes of lines; `sealed` again, as one who knows the format would do it."""
    lines, digest = lock.read_text(encoding="utf-8").splitlines(), hashlib.sha256()
    for number, line in enumerate(lines):
        _, facts = unseal(line)
        if number == len(lines) - 1:
            facts["sha256"] = digest.hexdigest()
        else:
            change(facts)
        lines[number] = seal(facts) if sealed else line_with(line, facts)
        digest.update(f"{lines[number]}\n".encode())
    lock.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return lock


def line_with(line: str, facts: Facts) -> str:
    """Other facts under the seal of a line."""
    before, now = line.rpartition(', "digest": '), seal(facts).rpartition(', "digest": ')
    return now[0] + before[1] + before[2]
