"""Workers that die, real ones, and what becomes of their cases."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch.utils.data import get_worker_info

from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.workers import run_in_workers

pytestmark = [pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore:This DataLoader will create")]


def cases(count: int) -> list[Case]:
    return [Case(str(index), {}, {}, 7 * 2**20) for index in range(count)]


@dataclass(frozen=True)
class Work:
    """Announces each case by a file, and has a fault for some of them."""

    folder: Path
    fault: Callable[[int], None] = lambda number: None
    faulty: tuple[str, ...] = ()
    once: bool = False

    def __call__(self, case: Case) -> Result:
        number = len(list(self.folder.glob(f"{case.name}.started.*")))
        (self.folder / f"{case.name}.started.{number}").touch()
        if case.name in self.faulty and not (self.once and number):
            self.fault(number)
        (self.folder / f"{case.name}.done").touch()
        return Result(case.name, "done")

    def starts(self, name: str) -> int:
        return len(list(self.folder.glob(f"{name}.started.*")))

    def finished(self, name: str) -> Result | None:
        return Result(name, "done") if (self.folder / f"{name}.done").exists() else None


def ignore(_: str) -> None:
    pass


def kill(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(_: int) -> None:
    os._exit(3)


def run(work: Work, count: int, workers: int = 2) -> dict[str, Result]:
    results = list(run_in_workers(work, cases(count), workers, ignore, work.finished))
    names = [result.case for result in results]
    assert sorted(names, key=int) == [str(index) for index in range(count)], "each case has exactly one result"
    assert multiprocessing.active_children() == []
    return {result.case: result for result in results}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_case_has_its_result(tmp_path, workers):
    results = run(Work(tmp_path), 7, workers)
    assert {result.status for result in results.values()} == {"done"}


@pytest.mark.parametrize(("fault", "words"), [(kill, "killed twice"), (leave, "exit status 3")])
def test_a_deadly_case_is_tried_twice_and_fails_alone(tmp_path, fault, words):
    work = Work(tmp_path, fault, ("3",))
    results = run(work, 8)
    assert [name for name, result in results.items() if result.status == "failed"] == ["3"]
    assert words in results["3"].error
    assert "7 MiB" in results["3"].error
    assert work.starts("3") == 2
    assert max(work.starts(str(index)) for index in range(8)) == 2, "the neighbours are tried twice at most"


def test_a_case_that_dies_once_is_done_the_second_time(tmp_path):
    results = run(Work(tmp_path, kill, ("0", "4"), once=True), 6)
    assert {result.status for result in results.values()} == {"done"}


class Stillborn(Work):
    """Dies before it announces a case, in every worker of a loader."""

    def __call__(self, case: Case) -> Result:
        if get_worker_info() is not None:
            kill(0)
        return super().__call__(case)


def test_workers_that_always_die_at_once_do_not_keep_the_run_for_ever(tmp_path):
    results = run(Stillborn(tmp_path), 3)
    assert {result.status for result in results.values()} == {"done"}


def test_all_cases_may_be_deadly(tmp_path):
    results = run(Work(tmp_path, kill, ("0", "1", "2")), 3)
    assert {result.status for result in results.values()} == {"failed"}


def test_a_death_while_the_result_is_used_does_no_harm(tmp_path):
    """PyTorch's handler would raise in the middle of whatever is done with the result."""
    work, results = Work(tmp_path), []
    for result in run_in_workers(work, cases(9), 2, ignore, work.finished):
        if len(results) == 2:
            victim = multiprocessing.active_children()[0].pid
            os.kill(victim, signal.SIGKILL)
            while ") Z" not in Path(f"/proc/{victim}/stat").read_text():
                pass
        results.append(result.case)
    assert sorted(results) == sorted({*results}) == [str(index) for index in range(9)]


def test_leaving_early_ends_the_workers(tmp_path):
    work = Work(tmp_path, lambda _: threading.Event().wait(), ("1", "2", "3"))
    results = run_in_workers(work, cases(4), 3, ignore, work.finished)
    next(results)
    results.close()
    assert multiprocessing.active_children() == []


def test_an_error_of_ours_ends_the_workers(tmp_path):
    def finished(_: str) -> Result | None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_in_workers(Work(tmp_path, kill, ("1",)), cases(4), 2, ignore, finished))
    assert multiprocessing.active_children() == []


def test_it_works_in_a_thread(tmp_path):
    results: list[Result] = []
    work = Work(tmp_path)
    thread = threading.Thread(target=lambda: results.extend(run_in_workers(work, cases(4), 2, ignore, work.finished)))
    thread.start()
    thread.join(timeout=120)
    assert len(results) == 4
