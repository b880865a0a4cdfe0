"""Runs on Dask's workers: the same files as on this machine, whoever is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.run import preprocess as module
from tests.runs import events_of, left_over
from tests.stress.conftest import count

pytest.importorskip("distributed", reason="needs the extra dask")

from distributed import Client

from tests.cluster import cases_at_work
from tests.cluster.dask_processes import killer, scheduler, start, until
from tests.cluster.whole import CASES, require_whole

pytestmark = [
    pytest.mark.stress,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:.*mri_statistics"),
]


@pytest.fixture(scope="module")
def apart(tmp_path_factory) -> Iterator[str]:
    """The address of a scheduler with two workers that share nothing with this process."""
    with scheduler(tmp_path_factory.mktemp("cluster")) as (address, _):
        yield address


@pytest.fixture
def remote(apart) -> Iterator[Client]:
    with Client(apart, set_as_default=False) as client:
        yield client


def test_two_processes_of_a_local_cluster(forty, expected, local, tmp_path):
    assert len(preprocess(forty, tmp_path / "out", client=local).done) == CASES
    require_whole(tmp_path / "out", expected)


def test_the_executor_of_a_client(forty, expected, local, tmp_path):
    assert len(preprocess(forty, tmp_path / "out", workers=2, executor=local.get_executor).done) == CASES
    require_whole(tmp_path / "out", expected)


def test_two_processes_that_share_no_memory_with_this_one(forty, expected, remote, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(preprocess(forty, "out", client=remote).done) == CASES  # a relative path means what it means here
    require_whole(tmp_path / "out", expected)


def test_workers_that_are_killed_at_random(forty, expected, local, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "process_case", cases_at_work.slow)
    with killer(local, count(3, 10), random.Random(7), (0.3, 0.8)) as killed:
        rounds = 0
        while len(killed) < count(3, 10) or rounds == 0:
            summary = preprocess(forty, tmp_path / str(rounds), client=local)
            assert summary.failed == ()
            require_whole(tmp_path / str(rounds), expected)
            rounds += 1
    assert len(killed) == count(3, 10)


def test_a_client_that_is_killed_is_followed_by_another(forty, expected, remote, tmp_path):
    draw = random.Random(3)
    for number in range(count(1, 10)):
        output = tmp_path / str(number)
        command = ("tests.cluster.slow_run", forty, output, remote.scheduler.address)
        run = start(tmp_path / "run.log", *command)
        until(partial(events_of, output, "started"))
        time.sleep(draw.uniform(0.1, 1.5))
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        before = len(events_of(output, "done"))
        assert before < CASES
        summary = preprocess(forty, output, client=remote)
        assert summary.failed == ()
        require_whole(output, expected)


def run_of(forty: Path, output: Path, log: Path) -> subprocess.Popen[bytes]:
    return start(log, "monai_mriprep", "run", forty, output, "--scheduler", "local:2")


def test_ctrl_c_ends_it_and_the_same_command_goes_on(forty, expected, tmp_path):
    output, log = tmp_path / "out", tmp_path / "run.log"
    run = run_of(forty, output, log)
    until(lambda: len(events_of(output, "done")) > 3)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: all processes of the group get it
    assert run.wait(30) == 130
    assert left_over(output) == []
    run = run_of(forty, output, log)
    assert run.wait(120) == 0
    require_whole(output, expected)
    text = log.read_text()
    assert "distributed" not in text
    assert "Traceback" not in text
