"""Runs on Dask's workers: the same files as on this machine, whoever is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import ClusterError
from monai_mriprep.run import cluster_worker
from monai_mriprep.run import preprocess as module
from tests.runs import events_of, left_over
from tests.stress.conftest import count, until

pytest.importorskip("distributed", reason="needs the extra dask")

from distributed import Client

from monai_mriprep.run import dask_workers
from monai_mriprep.run.dask_cluster import connected
from tests.cluster import cases_at_work
from tests.cluster.dask_processes import killer, scheduler, start
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


def test_a_worker_is_replaced_whenever_it_is_lost(local):
    """By default Dask looks 15 seconds after a loss for another worker; if that has just died, none comes any more."""
    with connected("local:1") as client:
        began = time.monotonic()
        kill_all(client)
        time.sleep(14)
        while time.monotonic() < began + 16:
            kill_all(client)
            time.sleep(0.02)
        client.wait_for_workers(1, timeout=30)


def kill_all(client: Client) -> None:
    for pid in client.run(os.getpid, on_error="ignore").values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_client_that_is_killed_is_followed_by_another(forty, expected, remote, tmp_path):
    draw = random.Random(3)
    for number in range(count(1, 10)):
        output = tmp_path / str(number)
        command = ("tests.cluster.slow_run", forty, output, "--scheduler", remote.scheduler.address)
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


@pytest.mark.parametrize("where", ["local:2", "apart"])
def test_a_lost_worker_then_ctrl_c_and_another_run_goes_on(forty, expected, local, tmp_path, request, where):
    scheduler = request.getfixturevalue("apart") if where == "apart" else where
    output, log = tmp_path / "out", tmp_path / "run.log"
    run = start(log, "tests.cluster.slow_run", forty, output, "--scheduler", scheduler, "--no-report")
    until(lambda: len(events_of(output, "done")) > 3)
    for pid in workers_of(run.pid)[:1]:  # none of its own where the workers are apart
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(events_of(output, "done")) > 12)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: all processes of the group get it
    assert run.wait(30) == 130
    assert left_over(output) == []
    assert len(events_of(output, "done")) < CASES
    assert preprocess(forty, output, client=local, report=False).failed == ()
    require_whole(output, expected)
    assert [word for word in ("distributed", "Traceback", "tornado") if word in log.read_text()] == []


def workers_of(run: int) -> list[int]:
    """Process ids of the workers that a run has forked off a process of its own."""
    found = [path for path in Path("/proc").glob("[0-9]*/stat") if b"forkserver" in content(path.with_name("cmdline"))]
    parents = {int(path.parent.name): int(content(path).rpartition(b")")[2].split()[1]) for path in found}
    return [pid for pid, parent in parents.items() if parents.get(parent) == run]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_workers_that_do_not_fit_are_refused_by_name(forty, local, tmp_path, monkeypatch):
    other = cluster_worker.Demands("another", version="0.0.1")
    monkeypatch.setattr(dask_workers.Demands, "of", lambda *_: other)
    with pytest.raises(ClusterError, match=r"worker tcp:.* on .*: it has .*; install the same version there"):
        preprocess(forty, tmp_path / "out", client=local)
    assert events_of(tmp_path / "out", "started") == []
