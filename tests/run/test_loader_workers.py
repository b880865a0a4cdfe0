"""The default mapper, with real workers: what they tell, when they die, and where there can be none."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from torch.autograd import profiler
from torch.utils.data import DataLoader

from monai_mriprep.run.alone import alone
from monai_mriprep.run.cases import Result
from monai_mriprep.run.loader_workers import _Deaths, loader_workers
from monai_mriprep.run.lost_cases import without_losses
from monai_mriprep.run.mappers import Lost
from tests.run.works import Ledger, Work, cases, hang, kill

pytestmark = [pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore:This DataLoader will create")]


def wait_for_death(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while ") Z" not in Path(f"/proc/{pid}/stat").read_text():
        time.sleep(0.001)


def test_the_case_of_the_dead_worker_is_lost_and_no_other(tmp_path):
    outcomes = list(loader_workers(2)(Work(tmp_path, kill, ("2",)), cases(6)))
    assert [outcome.case for outcome in outcomes if isinstance(outcome, Lost)] == ["2"]


def test_a_death_while_the_result_is_used_does_no_harm(tmp_path):
    """PyTorch's handler would raise in the middle of whatever is done with the result."""
    work, results = Work(tmp_path), []
    for result in without_losses(loader_workers(2), work, cases(9), Ledger(), alone):
        if len(results) == 2:
            wait_for_death(multiprocessing.active_children()[0].pid)
        results.append(result.case)
    assert sorted(results) == sorted({*results}) == [str(index) for index in range(9)]


def test_leaving_early_ends_the_workers_and_puts_the_handler_back(tmp_path):
    list(loader_workers(1)(Work(tmp_path), cases(1)))  # PyTorch sets its handler once
    handler = signal.getsignal(signal.SIGCHLD)
    outcomes = loader_workers(3)(Work(tmp_path, hang, ("1", "2", "3")), cases(4))
    next(outcomes)
    outcomes.close()
    assert multiprocessing.active_children() == []
    assert signal.getsignal(signal.SIGCHLD) is handler


def test_only_its_own_processes_are_ended(tmp_path):
    outcomes = loader_workers(2)(Work(tmp_path, hang, ("1", "2")), cases(3))
    next(outcomes)
    other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    other.start()
    outcomes.close()
    assert multiprocessing.active_children() == [other]
    other.kill()
    other.join()


@pytest.mark.stress
def test_it_works_in_a_thread_also_where_a_worker_dies(tmp_path):
    results: list[Result] = []
    work = Work(tmp_path, kill, ("1",), once=True)
    thread = threading.Thread(
        target=lambda: results.extend(without_losses(loader_workers(2), work, cases(4), Ledger(), alone))
    )
    thread.start()
    thread.join(timeout=120)
    assert len(results) == 4


def no_semaphores(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_without_semaphores_cases_are_worked_on_one_after_the_other(tmp_path, monkeypatch, caplog, timeout):
    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", no_semaphores)
    with caplog.at_level(logging.WARNING, "monai_mriprep"):
        results = list(loader_workers(2, timeout)(Work(tmp_path), cases(3)))
    assert [result.case for result in results] == ["0", "1", "2"]
    assert {result.facts["pid"] == os.getpid() for result in results} == {timeout is None}
    (warning,) = caplog.messages
    assert "No space left on device" in warning
    assert "one after the other" in warning


def test_without_processes_too(tmp_path, monkeypatch, caplog):
    def no_process() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("os.fork", no_process)
    with caplog.at_level(logging.WARNING, "monai_mriprep"):
        results = list(loader_workers(2)(Work(tmp_path), cases(3)))
    assert [result.case for result in results] == ["0", "1", "2"]


def test_an_error_of_the_cases_is_no_lack_of_workers(tmp_path):
    def broken():
        yield cases(1)[0]
        raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(loader_workers(2)(Work(tmp_path), broken()))
    assert multiprocessing.active_children() == []


def test_an_idle_worker_that_is_stopped_keeps_its_case_no_longer_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("monai_mriprep.run.loader_workers.BEGIN_SECONDS", {"fork": 0.5})
    work, names = Work(tmp_path), []
    for result in without_losses(loader_workers(2, 1.0), work, cases(8), Ledger(), partial(alone, timeout=1.0)):
        assert result.status == "done"
        names.append(result.case)
        if len(names) == 2:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGSTOP)
    assert sorted(names) == [str(index) for index in range(8)]


INTERRUPTED = """
import sys, time, multiprocessing, os, pathlib
from monai_mriprep.run.loader_workers import loader_workers
from tests.run.works import Work, cases, hang
work = Work(pathlib.Path(sys.argv[1]), hang, ("1", "2", "3"))
other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
other.start()
outcomes = loader_workers(2)(work, cases(4))
next(outcomes)
print("under way", flush=True)
try:
    list(outcomes)
except KeyboardInterrupt:
    print(multiprocessing.active_children() == [other], flush=True)
"""


@pytest.mark.stress
def test_an_interrupted_program_has_its_own_children_left(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "under way\n"
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "True\n"


def test_a_death_that_is_noticed_while_pytorch_first_names_a_step_is_not_lost(monkeypatch):
    """PyTorch imports a module then, and logs and drops whatever error is raised meanwhile."""
    if not hasattr(profiler, "_cupti_monitor_checked"):
        pytest.skip("this PyTorch imports nothing there")
    imports = []

    class Module:
        @property
        def _cupti_monitor(self):
            signal.raise_signal(signal.SIGCHLD)  # a worker dies
            imports.append("came to its end")

    def as_pytorch_does(*_: object) -> None:
        msg = "DataLoader worker (pid 1) is killed by signal: Killed."
        raise RuntimeError(msg)

    deaths, before = _Deaths(), signal.signal(signal.SIGCHLD, as_pytorch_does)
    monkeypatch.setattr(profiler, "_cupti_monitor_checked", False)
    monkeypatch.setitem(sys.modules, "torch.profiler", Module())
    try:
        with deaths:
            deaths.hold_back()
            with pytest.raises(RuntimeError, match="is killed by signal"):
                deaths.awaited(iter(DataLoader([1], batch_size=None)))
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert imports == ["came to its end"]
