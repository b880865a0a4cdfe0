"""Cases that take far longer than estimated: when a line is due, and when an end."""

from __future__ import annotations

import logging
import os
import signal

import pytest

from monai_mriprep.run.cases import Case
from monai_mriprep.run.under_way import UnderWay, shown_seconds, unusual_seconds


def case(gib: float = 0.0) -> Case:
    return Case("slow", {}, {}, round(gib * 2**30))


@pytest.fixture
def killed(monkeypatch) -> list[tuple[int, int]]:
    kills: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: kills.append((pid, number)))
    return kills


def lines_at(caplog, under_way: UnderWay, *times: float) -> list[str]:
    with caplog.at_level(logging.WARNING, "monai_mriprep"):
        for now in times:
            under_way.look(now)
    return caplog.messages


def test_a_line_is_due_after_ten_times_the_estimate_and_a_minute_at_least():
    assert unusual_seconds(case()) == 60
    assert 60 < unusual_seconds(case(8)) == pytest.approx(10 * (0.01 + 45e-9 * 8 * 2**30 / 9))


def test_lines_come_at_doubling_intervals(caplog):
    under_way = UnderWay()
    under_way.begin(case(), since=0.0)
    lines = lines_at(caplog, under_way, 1, 59, 60, 61, 119, 120, 121, 600, 601, 900, 960)
    assert lines == [f"slow: under way for {time}, estimated 1 s" for time in ("60 s", "2 min", "10 min", "16 min")]


def test_the_estimate_is_that_of_the_case(caplog):
    under_way = UnderWay()
    under_way.begin(case(8), since=0.0)
    assert lines_at(caplog, under_way, 3600) == ["slow: under way for 60 min, estimated 43 s"]


def test_a_finished_case_is_none_of_them(caplog, killed):
    under_way = UnderWay(timeout=1)
    under_way.begin(case(), 77, 0.0)
    under_way.end(case())
    under_way.end(case())  # as of a worker that says so after its result has arrived
    assert lines_at(caplog, under_way, 1000) == []
    assert killed == []


def test_the_process_of_a_case_over_the_limit_is_killed(killed):
    under_way = UnderWay(timeout=20)
    under_way.begin(case(), 77, 0.0)
    under_way.look(20.0)
    assert (killed, under_way.timed_out) == ([], set())
    under_way.look(20.1)
    assert (killed, under_way.timed_out) == ([(77, signal.SIGKILL)], {"slow"})


def test_a_process_that_has_ended_by_itself_keeps_no_other_from_being_killed(monkeypatch):
    tried: list[int] = []

    def gone(pid: int, _: int) -> None:
        tried.append(pid)
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", gone)
    under_way = UnderWay(timeout=20)
    under_way.begin(case(), 77, 0.0)
    under_way.begin(Case("slow too", {}, {}), 78, 0.0)
    under_way.look(20.1)
    assert (tried, under_way.timed_out) == ([77, 78], {"slow", "slow too"})


def test_of_a_case_that_nobody_has_begun_the_idle_processes_are_killed_after_some_grace(killed):
    under_way = UnderWay(timeout=20, pids=lambda: [77, 78], grace=5)
    under_way.begin(Case("quick", {}, {}), 77, 24.0)
    under_way.begin(case(), since=0.0)
    under_way.look(25.0)
    assert killed == []
    under_way.look(25.1)
    assert (killed, under_way.timed_out) == ([(78, signal.SIGKILL)], {"slow"})


def test_a_thread_looks_while_the_block_lasts(monkeypatch):
    looks: list[float] = []
    monkeypatch.setattr("monai_mriprep.run.under_way.LOOK_SECONDS", 0.01)
    monkeypatch.setattr(UnderWay, "look", lambda self, now: looks.append(now))
    with UnderWay() as under_way:
        while len(looks) < 2:
            pass
    assert looks == sorted(looks)
    assert not under_way._thread.is_alive()


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "1 s"), (99.4, "99 s"), (100, "2 min"), (600, "10 min"), (9000, "2.5 h")]
)
def test_a_time_in_words(seconds, words):
    assert shown_seconds(seconds) == words
