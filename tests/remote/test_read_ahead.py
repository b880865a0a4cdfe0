"""Files are fetched ahead of the work, and a case whose files cannot be had says so."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from monai_mriprep.errors import RemoteError
from monai_mriprep.remote import read_ahead
from monai_mriprep.remote.read_ahead import ReadAhead
from monai_mriprep.run.cases import Case

CASES = [Case(f"case_{number}", {}, {}) for number in range(6)]


class Place:
    """Remembers who was fetched and dropped."""

    def __init__(self, *missing: str) -> None:
        self.fetched: list[str] = []
        self.dropped: list[str] = []
        self._missing, self._lock = missing, threading.Lock()

    def fetch(self, case: Case) -> None:
        with self._lock:
            self.fetched.append(case.name)
        if case.name in self._missing:
            msg = f"s3://b/{case.name}: cannot be read"
            raise RemoteError(msg)

    def drop(self, case: Case) -> None:
        self.dropped.append(case.name)


def test_nothing_is_fetched_before_a_case_is_asked_for():
    place = Place()
    ahead = ReadAhead(CASES, place.fetch, place.drop, 2)
    cases = ahead.at_hand(CASES)
    assert place.fetched == []
    assert next(cases) == CASES[0]
    ahead.close()
    assert sorted(place.fetched) == ["case_0", "case_1", "case_2"]


def test_each_case_is_fetched_once_and_dropped_after_use():
    place = Place()
    ahead = ReadAhead(CASES, place.fetch, place.drop, 3)
    for case in ahead.at_hand(CASES):
        ahead.finish(case.name)
    assert list(ahead.at_hand(CASES[:1])) == CASES[:1]  # handed out again, after its worker has died
    ahead.close()
    assert sorted(place.fetched) == [case.name for case in CASES]
    assert place.dropped == [case.name for case in CASES]


def test_a_case_whose_files_cannot_be_had_says_why():
    place = Place("case_3")
    ahead = ReadAhead(CASES, place.fetch, place.drop, 1)
    problems = {case.name: case.problem for case in ahead.at_hand(CASES)}
    ahead.close()
    assert problems == {case.name: None for case in CASES} | {"case_3": "s3://b/case_3: cannot be read"}


def test_a_full_disk_is_said_too():
    def fetch(case):
        raise OSError(28, "No space left on device", "/scratch/a.mha")

    ahead = ReadAhead(CASES, fetch, lambda case: None, 1)
    assert next(ahead.at_hand(CASES)).problem.startswith("/scratch/a.mha: its object cannot be written there (No space")
    ahead.close()


def test_when_it_is_closed_nothing_more_is_fetched(monkeypatch):
    """As after Ctrl-C."""
    place, go = Place(), threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            go.set()
            super().shutdown(wait)

    def fetch(case: Case) -> None:
        place.fetch(case)
        assert case.name == "case_0" or go.wait(20)

    monkeypatch.setattr(read_ahead, "THREADS", 1)
    monkeypatch.setattr(read_ahead, "ThreadPoolExecutor", Pool)
    ahead = ReadAhead(CASES, fetch, place.drop, 5)
    next(ahead.at_hand(CASES))
    ahead.close()
    assert len(place.fetched) <= 2
