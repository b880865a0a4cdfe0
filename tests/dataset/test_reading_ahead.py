"""Reading many headers: in order, by threads only where that helps, and no further ahead than a stretch."""

from __future__ import annotations

import threading
import time

import pytest

from monai_mriprep.dataset import reading_ahead
from monai_mriprep.dataset.reading_ahead import read_each

MAIN = threading.main_thread()


@pytest.fixture
def stretches(monkeypatch):
    """Short ones: four cases are timed, eight follow."""
    monkeypatch.setattr(reading_ahead, "TIMED", 4)
    monkeypatch.setattr(reading_ahead, "STRETCH", 8)


def slow(number: int) -> tuple[int, bool]:
    time.sleep(0.002)
    return number, threading.current_thread() is MAIN


def quick(number: int) -> tuple[int, bool]:
    sum(range(5000))
    return number, threading.current_thread() is MAIN


@pytest.mark.parametrize(("read", "in_main"), [(quick, 30), (slow, 4 + 4 + 4)])
def test_threads_read_where_files_are_waited_for_and_the_order_stays(stretches, read, in_main):
    found = list(read_each(read, range(30)))
    assert [number for number, _ in found] == list(range(30))
    assert sum(is_main for _, is_main in found) == in_main


def test_many_are_waited_for_at_once(monkeypatch):
    monkeypatch.setattr(reading_ahead, "TIMED", 1)
    start = time.perf_counter()
    assert len(list(read_each(slow, range(200)))) == 200
    assert time.perf_counter() - start < 0.2


def test_an_error_comes_in_its_turn_and_ends_the_reading(stretches):
    def fails(number: int) -> int:
        if number == 6:
            raise ValueError(number)
        return slow(number)[0]

    reading = read_each(fails, range(10**9))
    with pytest.raises(ValueError, match="6"):
        assert [next(reading) for _ in range(9)] == []


def test_nothing_is_read_of_nothing():
    assert list(read_each(slow, [])) == []
