"""The one rule for lost cases, above every mapper."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import pytest
from torch.utils.data import get_worker_info

from monai_mriprep.run.alone import alone, one_by_one
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.children import become_worker
from monai_mriprep.run.engines import Outcome
from monai_mriprep.run.engines import Work as AnyWork
from monai_mriprep.run.executor_workers import executor_workers
from monai_mriprep.run.loader_workers import loader_workers
from monai_mriprep.run.lost_cases import without_losses
from monai_mriprep.run.mappers import Lost, Mapper, serial
from tests.run.works import Ledger, Work, cases, counted, hang, kill, leave, stop

pytestmark = [pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore:This DataLoader will create")]

PROCESS_POOL = partial(
    ProcessPoolExecutor, 2, multiprocessing.get_context("fork"), initializer=become_worker, initargs=(0,)
)
IN_PROCESSES: dict[str, Callable[[], Mapper]] = {
    "loader": lambda: loader_workers(2),
    "one by one": lambda: one_by_one(None),
    "process pool": lambda: executor_workers(PROCESS_POOL, 2),
}
ALL: dict[str, Callable[[], Mapper]] = IN_PROCESSES | {
    "serial": lambda: serial,
    "one worker": lambda: loader_workers(1),
    "five workers": lambda: loader_workers(5),
    "thread pool": lambda: executor_workers(lambda: ThreadPoolExecutor(2), 2),
}


def run(mapper: Mapper, work: AnyWork, count: int, ledger: Ledger | None = None, timeout=None) -> dict[str, Result]:
    results = list(without_losses(mapper, work, cases(count), ledger or Ledger(), partial(alone, timeout=timeout)))
    names = [result.case for result in results]
    assert sorted(names, key=int) == [str(index) for index in range(count)], "each case has exactly one result"
    assert multiprocessing.active_children() == []
    return {result.case: result for result in results}


def failed(results: dict[str, Result]) -> list[str]:
    return sorted(name for name, result in results.items() if result.status == "failed")


@pytest.mark.parametrize("mapper", ALL)
def test_every_case_has_its_result_and_is_announced_when_it_is_handed_out(tmp_path, mapper):
    ledger, work = Ledger(), Work(tmp_path)
    assert failed(run(ALL[mapper](), work, 7, ledger)) == []
    assert ledger.announced == [str(index) for index in range(7)]
    assert [work.tries(str(index)) for index in range(7)] == [1] * 7


@pytest.mark.parametrize("mapper", ALL)
def test_no_cases_no_results(tmp_path, mapper):
    assert run(ALL[mapper](), Work(tmp_path), 0) == {}


@pytest.mark.parametrize("mapper", ALL)
def test_of_many_cases_few_are_taken_at_once(tmp_path, mapper):
    drawn: list[str] = []
    results = without_losses(ALL[mapper](), Work(tmp_path), counted(cases(1000), drawn), Ledger(), alone)
    for _ in range(3):
        next(results)
    results.close()
    assert len(drawn) <= 3 + 2 * 5 + 1
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("fault", "words"), [(kill, "was killed (SIGKILL)"), (leave, "exit status 3")])
@pytest.mark.parametrize("mapper", IN_PROCESSES)
def test_a_deadly_case_is_tried_twice_and_fails_alone(tmp_path, caplog, mapper, fault, words):
    ledger, work = Ledger(), Work(tmp_path, fault, ("3",))
    with caplog.at_level(logging.WARNING, "monai_mriprep"):
        results = run(IN_PROCESSES[mapper](), work, 8, ledger)
    assert failed(results) == ["3"]
    assert words in results["3"].error
    assert "tried twice, the second time alone, and needs about 7 MiB" in results["3"].error
    assert work.tries("3") == ledger.announced.count("3") == 2
    assert max(work.tries(str(index)) for index in range(8)) == 2, "its neighbours are tried twice at most"
    assert any(text.startswith("3: its worker ") for text in caplog.messages)


def test_with_the_default_mapper_no_neighbour_is_even_suspected(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "monai_mriprep"):
        run(loader_workers(3), Work(tmp_path, kill, ("3",)), 8)
    assert [text.split(":")[0] for text in caplog.messages] == ["3"]


@pytest.mark.parametrize("mapper", IN_PROCESSES)
def test_a_case_that_dies_once_is_done_the_second_time(tmp_path, mapper):
    assert failed(run(IN_PROCESSES[mapper](), Work(tmp_path, kill, ("0", "4"), once=True), 6)) == []


@pytest.mark.parametrize("mapper", IN_PROCESSES)
def test_all_cases_may_be_deadly(tmp_path, mapper):
    assert failed(run(IN_PROCESSES[mapper](), Work(tmp_path, kill, ("0", "1", "2")), 3)) == ["0", "1", "2"]


@pytest.mark.parametrize("fault", [pytest.param(hang, marks=pytest.mark.stress), stop])
@pytest.mark.parametrize("mapper", [loader_workers, lambda _, timeout: one_by_one(timeout)], ids=["loader", "alone"])
def test_a_case_over_the_limit_is_tried_twice_and_fails_alone(tmp_path, mapper, fault):
    work = Work(tmp_path, fault, ("2",))
    results = run(mapper(2, 1.5), work, 6, timeout=1.5)
    assert failed(results) == ["2"]
    assert "had no result after 2 s, the limit of --case-timeout" in results["2"].error
    assert work.tries("2") == 2


class Stillborn(Work):
    """Dies before it begins a case, in every worker of a loader."""

    def __call__(self, case: Case) -> Result:
        if get_worker_info() is not None:
            kill()
        return super().__call__(case)


def test_workers_that_always_die_at_once_do_not_keep_the_run_for_ever(tmp_path):
    assert failed(run(loader_workers(2), Stillborn(tmp_path), 3)) == []


def useless(work: AnyWork, cases: Iterable[Case]) -> Iterator[Outcome]:
    """A mapper that takes a case, and ends."""
    next(iter(cases))
    yield from ()


def test_a_mapper_that_never_comes_to_anything_is_not_used_for_ever(tmp_path):
    work = Work(tmp_path)
    assert failed(run(useless, work, 4)) == []
    assert [work.tries(str(index)) for index in range(4)] == [1] * 4


def test_what_was_finished_and_not_reported_is_not_done_again(tmp_path):
    work = Work(tmp_path, kill, ("1",))
    ledger = Ledger({"1": Result("1", "done", facts={"unreported": True})})
    results = run(loader_workers(2), work, 4, ledger)
    assert results["1"].facts == {"unreported": True}
    assert work.tries("1") == 1


def test_a_case_that_is_handed_back_may_have_been_finished(tmp_path):
    work, ledger = Work(tmp_path), Ledger({"0": Result("0", "done", facts={"unreported": True})})
    assert run(useless, work, 2, ledger)["0"].facts == {"unreported": True}
    assert work.tries("0") == 0


def test_a_second_try_that_was_finished_and_not_reported_counts(tmp_path):
    class Late(Ledger):
        def finished(self, case: str) -> Result | None:
            return Result(case, "done") if self.announced.count(case) == 2 else None

    assert failed(run(loader_workers(2), Work(tmp_path, kill, ("1",)), 3, Late())) == []


def test_an_error_of_the_ledger_ends_the_workers(tmp_path):
    class Broken(Ledger):
        def finished(self, case: str) -> Result | None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(loader_workers(2), Work(tmp_path, kill, ("1",)), 4, Broken())
    assert multiprocessing.active_children() == []


def test_lost_is_a_plain_value():
    assert Lost("a", "died") == Lost("a", "died")
    assert hash(Lost("a", "died"))
