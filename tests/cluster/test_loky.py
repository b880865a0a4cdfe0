"""Runs in loky's workers: the same files as on this machine, whoever is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
import threading
from functools import partial

import pytest

from monai_mriprep import preprocess
from monai_mriprep.run import preprocess as module
from tests.cluster import cases_at_work
from tests.cluster.whole import CASES, require_whole
from tests.stress.conftest import count

loky = pytest.importorskip("loky", reason="needs the extra servers")

pytestmark = [
    pytest.mark.stress,
    pytest.mark.timeout(600),
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

    def kill() -> None:
        pids = sorted(executors[-1]._processes)
        if pids:
            os.kill(draw.choice(pids), signal.SIGKILL)

    for number in range(count(1, 10)):
        timer = threading.Timer(draw.uniform(2.0, 6.0), kill)
        timer.start()
        summary = preprocess(forty, tmp_path / str(number), workers=2, executor=make)
        timer.join()
        assert summary.failed == ()
        require_whole(tmp_path / str(number), expected)
