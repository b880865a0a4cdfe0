"""Faults to inject into a run: each wraps the real `process_case` in the process that is about to become the run."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from monai_mriprep.run import preprocess, process
from monai_mriprep.run.cases import Case, Job, Result
from monai_mriprep.run.session import Session

Work = Callable[[Job, Case], Result]


def inject(name: str, *arguments: object) -> None:
    """Put the named fault into the run."""
    fault: Callable[..., Work] = {"die": die, "die_late": die_late, "hold": hold, "no_locks": no_locks}[name]
    preprocess.process_case = fault(preprocess.process_case, *arguments)


def die(work: Work, name: str, number: int = signal.SIGKILL) -> Work:
    """The worker of one case is killed, as the kernel does when memory runs out, in the middle of the case."""

    def process_case(job: Job, case: Case) -> Result:
        if case.name != name:
            return work(job, case)
        os.kill(os.getpid(), number)
        raise AssertionError

    return process_case


def die_late(work: Work) -> Work:
    """One worker is killed while the main process enters the third result into the manifest."""
    record, count = Session.record, iter(range(1, 1000))

    def record_and_kill(session: Session, result: Result) -> None:
        if next(count) == 3:
            worker = multiprocessing.active_children()[0].pid
            os.kill(worker, signal.SIGKILL)
            while ") Z" not in Path(f"/proc/{worker}/stat").read_text():
                time.sleep(0.001)
        record(session, result)

    Session.record = record_and_kill
    return work


def hold(work: Work, gate: str) -> Work:
    """Every case that does well then waits, in its worker, until a file exists."""

    def process_case(job: Job, case: Case) -> Result:
        result = work(job, case)
        if result.status == "done":
            _wait_at(gate)
        return result

    return process_case


def no_locks(work: Work, gate: str | None = None, stage: str = "before") -> Work:
    """The file system has no locks; and every case waits before or after its files are moved, until a file exists."""

    def lockf(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.lockf = lockf
    if gate is None:
        return work
    if stage == "after":
        return hold(work, gate)
    commit_files = process.commit_files

    def wait_and_commit(*arguments: object) -> None:
        _wait_at(gate)
        commit_files(*arguments)

    process.commit_files = wait_and_commit
    return work


def _wait_at(gate: str) -> None:
    """Say that this process is at the gate, and wait until the gate exists."""
    Path(f"{gate}.{os.getpid()}").touch()
    while not Path(gate).exists():
        time.sleep(0.01)
