"""Kill -9 of everything at random moments: nothing incomplete is ever seen, and the end is what it would have been."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from monai_mriprep.verify.audit import verify_output
from tests.runs import OUTPUT_FOLDERS, events_of, left_over, outputs, write_cases
from tests.stress.conftest import Nursery, Run

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

SEED = 20250
KILLS = 30
CASES = 10


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Scans that take a worker about a third of a second each."""
    return write_cases(tmp_path_factory.mktemp("dataset"), CASES, (40, 150, 150), (2.0, 0.8, 0.8))


def arguments(dataset: Path, output: Path) -> list:
    return ["run", dataset, output, "--workers", 2, "--set", "target_spacing=[1.7, 0.7, 0.7]"]


def temporary_files(partial: Path, suffix: str = "") -> set[str]:
    """Files of all writers, while they come and go."""
    return {name for folder, _, names in os.walk(partial) for name in names if name.endswith(suffix)}


def start_and_linger(nursery: Nursery, draw: random.Random, options: list, whole: float) -> Run:
    """Start a run, and wait for a random moment: in its first half, or close behind a new temporary file or journal."""
    partial = options[2] / ".partial"
    before = temporary_files(partial)
    run = nursery.start(*options)
    sign = draw.choice([None, ".npz", ".journal"])
    if sign is None:
        time.sleep(draw.uniform(0.0, 0.5 * whole))
    else:
        end = time.monotonic() + whole
        while not temporary_files(partial, sign) - before and time.monotonic() < end:
            pass  # a journal entry lives for milliseconds
        time.sleep(draw.uniform(0.0, 0.004))
    return run


def moment(output: Path) -> str:
    """What the dead have left behind, the most telling first."""
    partial = temporary_files(output / ".partial")
    images, labels = ({path.stem for path in (output / folder).iterdir()} for folder in OUTPUT_FOLDERS)
    if images != labels:
        return "between the two files of a pair"
    if any(name.endswith(".journal") for name in partial):
        return "after a commit, before its record"
    if partial:
        return "while files were written"
    started, done = (len(set(events_of(output, kind))) for kind in ("started", "done"))
    return "while cases were computed" if started > done else "before or between cases"


def test_thirty_kills(nursery, watch, dataset, tmp_path):
    start = time.monotonic()
    reference = nursery.start(*arguments(dataset, tmp_path / "reference"))
    assert reference.wait() == 0
    whole = time.monotonic() - start
    expected = outputs(tmp_path / "reference")
    assert len(expected) == 2 * CASES

    draw, moments, rounds, output = random.Random(SEED), Counter(), 0, tmp_path / "round_0"
    watches = [watch(output)]
    while moments.total() < KILLS:
        run = start_and_linger(nursery, draw, arguments(dataset, output), whole)
        run.kill()
        if run.wait() == 128 + 9:
            moments[moment(output)] += 1
        else:
            assert outputs(output) == expected, run.text
            rounds += 1
            output = tmp_path / f"round_{rounds}"
            watches.append(watch(output))
    assert nursery.start(*arguments(dataset, output)).wait() == 0

    assert outputs(output) == expected
    assert verify_output(output).findings == ()
    assert left_over(output) == []
    assert len(moments) >= 2, moments
    assert sum(one.appeared for one in watches) >= 2 * CASES
    opened = sum(one.opened for one in watches)
    print(f"\n{KILLS} kills over {rounds + 1} runs of {whole:.1f} s, {opened} files opened as they appeared: {moments}")  # noqa: T201
