"""A function carried out on many items by threads, few of which are under way at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

import pytest

from monai_mriprep import windows
from monai_mriprep.windows import WINDOW, mapped_in_window


@pytest.mark.parametrize("threads", [0, 1, 2, 7])
@pytest.mark.parametrize("number", [0, 1, 5, 100])
def test_outcomes_are_those_of_map_in_the_order_of_the_items(threads, number):
    assert list(mapped_in_window(lambda item: item**2, range(number), threads)) == [item**2 for item in range(number)]


@pytest.mark.parametrize(("threads", "window", "most"), [(1, None, 1), (2, None, 2 * WINDOW), (2, 3, 3), (4, 1, 4)])
def test_items_are_taken_as_there_is_room_for_them(threads, window, most):
    taken: list[int] = []
    items = (taken.append(item) or item for item in range(200))
    outcomes = mapped_in_window(lambda item: item, items, threads, window)
    assert max(len(taken) - position for position, _ in enumerate(outcomes)) == most


def test_an_endless_row_of_items_is_no_trouble():
    assert list(islice(mapped_in_window(lambda item: 2 * item, count(), 2), 5)) == [0, 2, 4, 6, 8]


def test_threads_work_side_by_side():
    together = threading.Barrier(3, timeout=20)
    assert len(list(mapped_in_window(lambda _: together.wait(), range(9), 3))) == 9


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_is_raised_in_its_turn(threads):
    outcomes = mapped_in_window(lambda item: 1 / item, [1, 2, 0, 4], threads)
    assert [next(outcomes), next(outcomes)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(outcomes)


def test_what_waits_is_dropped_where_nobody_takes_it(monkeypatch):
    begun, go, ended = [], threading.Event(), threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True) -> None:
            assert ended.is_set()  # before anything is waited for
            go.set()  # no sooner is anything finished but the first
            super().shutdown(wait)

    def work(item):
        begun.append(item)
        assert item == 0 or go.wait(20)
        return item

    monkeypatch.setattr(windows, "ThreadPoolExecutor", Pool)
    outcomes = mapped_in_window(work, range(1000), 2, 50, ended)
    assert next(outcomes) == 0
    assert not ended.is_set()
    outcomes.close()
    assert len(begun) <= 3
