"""Executors of `concurrent.futures` as mappers."""

from __future__ import annotations

import functools
import multiprocessing
import threading
import time
import weakref
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.thread import BrokenThreadPool

import pytest

from monai_mriprep.run import executor_workers as module
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.executor_workers import Executors, executor_workers
from monai_mriprep.run.mappers import Lost
from monai_mriprep.run.under_way import UnderWay
from tests.run.works import Work, cases, counted, kill

pytestmark = pytest.mark.timeout(60)
POOL = functools.partial(ProcessPoolExecutor, 2, multiprocessing.get_context("fork"))


def test_what_was_under_way_when_the_executor_broke_is_lost(tmp_path):
    outcomes = list(executor_workers(POOL, 2)(Work(tmp_path, kill, ("3",)), cases(8)))
    lost = [outcome.case for outcome in outcomes if isinstance(outcome, Lost)]
    assert "3" in lost
    assert len(lost) <= 2
    assert len({outcome.case for outcome in outcomes}) == len(outcomes)


def test_no_more_are_under_way_than_the_window(tmp_path):
    gate, drawn = threading.Event(), []

    def work(case: Case) -> Result:
        gate.wait(10)
        return Result(case.name, "done")

    outcomes = executor_workers(lambda: ThreadPoolExecutor(8), 3)(work, counted(cases(100), drawn))
    threading.Timer(0.2, gate.set).start()
    next(outcomes)
    assert drawn == ["0", "1", "2"]
    outcomes.close()


def test_a_future_with_an_error_is_the_loss_of_its_case():
    def broken(case: Case) -> Result:
        if case.name == "1":
            raise ZeroDivisionError(case.name)
        return Result(case.name, "done")

    outcomes = {one.case: one for one in executor_workers(lambda: ThreadPoolExecutor(2), 2)(broken, cases(3))}
    assert outcomes.pop("1") == Lost("1", "was lost (ZeroDivisionError: 1)")
    assert {one.status for one in outcomes.values()} == {"done"}


def test_a_future_that_somebody_cancels_is_the_loss_of_its_case():
    class Cancelling(ThreadPoolExecutor):
        def submit(self, *_: object):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    (outcome,) = executor_workers(lambda: Cancelling(1), 1)(print, cases(1))
    assert outcome == Lost("0", "was lost (CancelledError: )")


def test_in_one_process_one_case_is_worked_on_at_a_time():
    free = threading.Lock()

    def work(case: Case) -> Result:
        assert free.acquire(blocking=False)
        time.sleep(0.01)
        free.release()
        return Result(case.name, "done")

    outcomes = list(executor_workers(lambda: ThreadPoolExecutor(4), 4)(work, cases(6)))
    assert not [outcome for outcome in outcomes if isinstance(outcome, Lost)]


def test_an_executor_that_breaks_before_it_has_taken_a_case_loses_it():
    class Broken(ThreadPoolExecutor):
        def submit(self, *_: object):
            raise BrokenThreadPool

    outcomes = set(executor_workers(lambda: Broken(1), 2)(print, cases(5)))
    assert outcomes == {Lost("0", "died, or one beside it did"), Lost("1", "died, or one beside it did")}


def test_an_executor_that_others_have_shut_down_takes_no_more_and_says_why(tmp_path):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    outcomes = list(executor_workers(lambda: pool, 2)(print, cases(5)))
    assert sorted(outcome.case for outcome in outcomes) == ["0", "1"]
    for outcome in outcomes:
        assert "could not begin (cannot schedule new futures after shutdown): the executor must be" in outcome.reason


def test_no_call_is_the_same_as_one_before():
    """Dask takes equal calls for one, and keeps its outcome."""
    calls = []

    class Executor(ThreadPoolExecutor):
        def submit(self, *call: object):
            calls.append(call)
            return super().submit(*call)

    engine = Executors(lambda: Executor(1), 1)
    (case,) = cases(1)
    assert [engine.alone(lambda case: Result(case.name, "done"), case).status for _ in range(2)] == ["done"] * 2
    assert len({call[-1] for call in calls}) == 2
    assert (engine.at_once(case), engine.too_large(case)) == (1, "the case needs about 7 MiB")


@pytest.mark.parametrize("window", [1, 2])
def test_no_future_outlives_its_result(window):
    """As long as somebody has one, Dask does its case again when the worker dies that has the result."""

    class AtOnce(Executor):
        def __init__(self) -> None:
            self.futures: list[weakref.ref] = []

        def submit(self, function, *arguments: object):
            assert len(self.alive()) < window
            future: Future = Future()
            future.set_result(function(*arguments))
            self.futures.append(weakref.ref(future))
            return future

        def alive(self) -> list[Future]:
            return [future for reference in self.futures if (future := reference()) is not None]

    executor = AtOnce()
    work = executor_workers(lambda: executor, window)(lambda case: Result(case.name, "done"), cases(6))
    assert [(outcome.status, executor.alive()) for outcome in work] == [("done", [])] * 6


def test_the_window_holds_until_the_end(tmp_path):
    drawn: list[str] = []
    outcomes = executor_workers(lambda: ThreadPoolExecutor(3), 3)(Work(tmp_path), counted(cases(30), drawn))
    for n_results, _ in enumerate(outcomes, 1):
        assert len(drawn) <= n_results + 2
    assert len(drawn) == 30


def test_what_was_not_begun_is_dropped(tmp_path):
    gate, begun = threading.Event(), []

    class Pool(ThreadPoolExecutor):
        def shutdown(self) -> None:
            gate.set()
            super().shutdown()

    def work(case: Case) -> Result:
        begun.append(case.name)
        if case.name != "0":
            gate.wait(10)
        return Result(case.name, "done")

    outcomes = executor_workers(lambda: Pool(1), 5)(work, cases(5))
    next(outcomes)
    outcomes.close()
    assert len(begun) <= 2


def test_the_cases_are_watched_over(tmp_path, monkeypatch):
    watch = UnderWay()
    monkeypatch.setattr(module, "UnderWay", lambda: watch)
    begin, begun = watch.begin, []
    monkeypatch.setattr(watch, "begin", lambda case: (begun.append(case.name), begin(case)))
    for _ in executor_workers(lambda: ThreadPoolExecutor(1), 1)(Work(tmp_path), cases(3)):
        assert watch.cases() == []
    assert begun == ["0", "1", "2"]
