"""Runs in loky's workers: the same files as on this machine, whoever is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.run import preprocess as module
from tests.cluster import cases_at_work
from tests.cluster.whole import CASES, require_whole
from tests.runs import events_of
from tests.stress.conftest import count, until

loky = pytest.importorskip("loky", reason="needs the extra servers")

pytestmark = [
    pytest.mark.stress,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:.*mri_statistics", "ignore:.*stopped while some jobs"),
]
TWO = partial(loky.get_reusable_executor, 2)


def test_two_processes(forty, expected, tmp_path):
    assert len(preprocess(forty, tmp_path / "out", workers=2, executor=TWO).done) == CASES
    require_whole(tmp_path / "out", expected)


def test_workers_that_are_killed_at_random(forty, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "process_case", cases_at_work.slow)
    draw, executors = random.Random(5), []

    def make():
        executors.append(TWO())
        return executors[-1]

    for number in range(count(1, 10)):
        output = tmp_path / str(number)
        with killed_after(output, draw, executors) as killed:
            assert preprocess(forty, output, workers=2, executor=make).failed == ()
        assert killed
        require_whole(output, expected)


@contextmanager
def killed_after(output: Path, draw: random.Random, executors: list) -> Iterator[list[int]]:
    """Kill one of the workers once some cases are done."""
    killed: list[int] = []

    def kill() -> None:
        until(partial(enough, output, draw.randrange(1, 30)))
        time.sleep(draw.uniform(0.0, 0.2))
        killed.append(draw.choice(sorted(executors[-1]._processes)))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield killed
    thread.join(10)


def enough(output: Path, number: int) -> bool:
    return len(events_of(output, "done")) >= number
