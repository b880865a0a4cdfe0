"""Kill -9 at random moments: nothing incomplete is ever seen, and the end is what it would have been.

Killed are all processes of a run, its main process alone, or one of its workers. The kills go on while the next run
takes over what the one before has left.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from monai_mriprep.verify.audit import verify_output
from tests.nursery import Nursery, Run
from tests.runs import OUTPUT_FOLDERS, events_of, left_over, outputs, write_cases
from tests.stress.conftest import count, until

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

SEED = 20250
CASES = 10

Kill = Callable[[Run, random.Random], bool]
"""Kills something of a run; whether the run must end by that."""


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody kills: how long it takes, and what it writes."""

    seconds: float
    outputs: dict[str, str]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Scans that take a worker about a third of a second each."""
    return write_cases(tmp_path_factory.mktemp("dataset"), CASES, (40, 150, 150), (2.0, 0.8, 0.8))


@pytest.fixture(scope="module")
def undisturbed(nursery, dataset, tmp_path_factory) -> Undisturbed:
    output, start = tmp_path_factory.mktemp("undisturbed") / "out", time.monotonic()
    assert nursery.start(*arguments(dataset, output)).wait() == 0
    found = Undisturbed(time.monotonic() - start, outputs(output))
    assert len(found.outputs) == 2 * CASES
    return found


def arguments(dataset: Path, output: Path) -> list:
    return ["run", dataset, output, "--workers", 2, "--set", "target_spacing=[1.7, 0.7, 0.7]"]


def temporary_files(partial: Path, suffix: str = "") -> set[str]:
    """Files of all writers, while they come and go."""
    return {name for folder, _, names in os.walk(partial) for name in names if name.endswith(suffix)}


def taken_over(partial: Path) -> bool:
    """Whether somebody has taken a dead writer's folder, and is not through with it."""
    return partial.is_dir() and any("+" in path.name for path in partial.iterdir())


def start_and_linger(nursery: Nursery, draw: random.Random, options: list, whole: float) -> Run:
    """Start a run, and wait for a random moment: in its first half, or close behind a sign of what it does."""
    partial = options[2] / ".partial"
    before = temporary_files(partial)
    signs = {
        "volume": lambda: temporary_files(partial, ".npz") - before,
        "journal": lambda: temporary_files(partial, ".journal") - before,
        "take-over": lambda: taken_over(partial),
    }
    run = nursery.start(*options)
    sign = draw.choice([None, *(name for name in signs if name != "take-over" or before)])
    if sign is None:
        time.sleep(draw.uniform(0.0, 0.5 * whole))
    else:
        end = time.monotonic() + whole
        while not signs[sign]() and time.monotonic() < end:
            pass  # a journal entry lives for milliseconds
        time.sleep(draw.uniform(0.0, 0.004))
    return run


def moment(output: Path) -> str:
    """What the dead have left behind, the most telling first."""
    partial = temporary_files(output / ".partial")
    images, labels = ({path.stem for path in (output / folder).iterdir()} for folder in OUTPUT_FOLDERS)
    if taken_over(output / ".partial"):
        return "while a dead writer's folder was taken over"
    if images != labels:
        return "between the two files of a pair"
    if any(name.endswith(".journal") for name in partial):
        return "after a commit, before its record"
    if partial:
        return "while files were written"
    started, done = (len(set(events_of(output, kind))) for kind in ("started", "done"))
    return "while cases were computed" if started > done else "before or between cases"


def kill_all(run: Run, _: random.Random) -> bool:
    run.kill()
    return True


def kill_main(run: Run, _: random.Random) -> bool:
    """The kernel ends its workers."""
    os.kill(run.pid, signal.SIGKILL)
    return True


def kill_worker(run: Run, draw: random.Random) -> bool:
    """The run goes on: the case is tried once more."""
    until(lambda: run.processes - {run.pid} or run.pid not in run.processes)
    workers = sorted(run.processes - {run.pid})
    with suppress(ProcessLookupError):
        os.kill(draw.choice(workers or [run.pid]), signal.SIGKILL)
    return False


@pytest.mark.parametrize(
    ("kill", "kills"),
    [(kill_all, count(12, 30)), (kill_main, count(4, 10)), (kill_worker, count(4, 10))],
    ids=["all", "main", "worker"],
)
def test_kills(nursery, watch, dataset, undisturbed, tmp_path, kill, kills):
    draw, moments, rounds, output = random.Random(SEED), Counter(), 0, tmp_path / "round_0"
    watches = [watch(output)]
    while moments.total() < kills:
        run = start_and_linger(nursery, draw, arguments(dataset, output), undisturbed.seconds)
        was_alive = run.pid in run.processes
        ends = kill(run, draw)
        status = run.wait()
        until(lambda run=run: not run.processes)
        assert "Traceback" not in run.text
        assert "is left alone" not in run.text, "a writer that is dead is taken over"
        if status == 128 + signal.SIGKILL:
            moments[moment(output)] += 1
            continue
        assert (status, outputs(output)) == (0, undisturbed.outputs), run.text
        moments["the run went on"] += was_alive and not ends
        rounds += 1
        output = tmp_path / f"round_{rounds}"
        watches.append(watch(output))
    assert nursery.start(*arguments(dataset, output)).wait() == 0

    assert outputs(output) == undisturbed.outputs
    assert verify_output(output).findings == ()
    assert left_over(output) == []
    assert sum(one.appeared for one in watches) >= 2 * CASES
    opened = sum(one.opened for one in watches)
    print(  # noqa: T201
        f"\n{kills} times {kill.__name__} over {rounds + 1} runs of {undisturbed.seconds:.1f} s, "
        f"{opened} files opened as they appeared: {dict(moments)}"
    )
