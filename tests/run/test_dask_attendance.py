"""Who waits for workers is told so, or does not wait for ever; with a clock and a client that are moved by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from monai_mriprep.errors import ClusterError
from monai_mriprep.run import dask_attendance
from monai_mriprep.run.dask_attendance import Attendance

ADDRESS = "tcp://10.0.0.7:8786"


class Cluster:
    """A client, the clock, and a run that waits."""

    status, scheduler = "running", SimpleNamespace(address=ADDRESS)

    def __init__(self) -> None:
        self.now, self.there, self.questions = 0.0, 2, 0
        self.attendance: Attendance

    def monotonic(self) -> float:
        return self.now

    def scheduler_info(self, n_workers: int) -> dict:
        assert n_workers == 0, "facts about each of a thousand workers"
        self.questions += 1
        return {"n_workers": self.there}

    def wait(self, seconds: float, there: int, waiting: int = 12) -> None:
        """As a run waits for a result; so many workers are there."""
        self.there = there
        for _ in range(int(10 * seconds)):
            self.now += 0.1
            self.attendance.require(waiting)


@pytest.fixture
def cluster(monkeypatch):
    """With two workers, which others may feed."""
    cluster = Cluster()
    monkeypatch.setattr(dask_attendance, "time", cluster)
    cluster.attendance = Attendance(cluster, 2, math.inf)
    return cluster


def test_workers_that_join_are_counted_and_rarely_asked_for(cluster):
    cluster.wait(600, there=5)
    assert (cluster.attendance.joined, cluster.attendance.is_empty) == (3, False)
    assert cluster.questions <= 120
    cluster.wait(6, there=1)
    assert (cluster.attendance.joined, cluster.attendance.is_empty) == (0, False)
    cluster.wait(6, there=0)
    assert (cluster.attendance.joined, cluster.attendance.is_empty) == (0, True)


def test_who_waits_without_workers_is_told_once_with_the_remedy(cluster, caplog):
    cluster.wait(100, there=2)
    cluster.wait(54, there=0)
    assert caplog.messages == []
    cluster.wait(3600, there=0)
    assert caplog.messages == [
        f"{ADDRESS} has had no worker for a minute, and 12 of the cases wait there; "
        "start workers, or press Ctrl-C and run the same command later"
    ]


def test_and_again_when_workers_have_come_and_gone(cluster, caplog):
    cluster.wait(70, there=0)
    cluster.wait(6, there=1)
    assert len(caplog.messages) == 1
    cluster.wait(3600, there=0, waiting=1)
    assert len(caplog.messages) == 2
    assert "and 1 of the cases wait there" in caplog.messages[1]


def test_a_cluster_that_nobody_feeds_is_not_waited_for(cluster, caplog):
    cluster.attendance = Attendance(cluster, 2, 60.0)
    cluster.wait(59, there=0)
    cluster.wait(50, there=1)
    with pytest.raises(ClusterError, match=r"no worker is left.*run the same command again"):
        cluster.wait(70, there=0)
    assert caplog.messages == []


def test_a_client_that_is_being_closed_is_not_asked(cluster):
    cluster.status = "closing"
    cluster.wait(50, there=0)
    assert cluster.questions == 0
