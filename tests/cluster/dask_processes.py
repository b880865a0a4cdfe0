"""A Dask cluster of processes that were started by command line, and share no memory with this one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distributed import Client

from tests.stress.conftest import until

PROJECT = Path(__file__).parents[2]


def start(log: Path, *arguments: object, **environment: str) -> subprocess.Popen[bytes]:
    """A process of Python in a folder of its own, where no relative path leads to this project."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *map(str, arguments)],
            cwd=log.parent,
            stdout=file,
            stderr=file,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
            start_new_session=True,
        )


@contextmanager
def scheduler(folder: Path, workers: int = 2, *options: object) -> Iterator[tuple[str, int]]:
    """The address of a scheduler with so many workers, each watched over by a nanny, and its process id."""
    contact = folder / "scheduler.json"
    place = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
    options_of_scheduler = ("--port", 0, *place, "--scheduler-file", contact)
    started = [start(folder / "scheduler.log", "distributed.cli.dask_scheduler", *options_of_scheduler)]
    try:
        until(contact.exists)
        for number in range(workers):
            common = ("--scheduler-file", contact, "--nthreads", 1, *place, "--local-directory", folder / "scratch")
            started.append(start(folder / f"worker{number}.log", "distributed.cli.dask_worker", *common, *options))
        with Client(scheduler_file=str(contact), set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
            address = client.scheduler.address
        yield address, started[0].pid
    finally:
        for process in reversed(started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@contextmanager
def killer(client: Client, times: int, draw: random.Random, pause: tuple[float, float]) -> Iterator[list[int]]:
    """Kill a worker now and then; the ids of those that were killed."""
    killed: list[int] = []
    ended = threading.Event()

    def work() -> None:
        while len(killed) < times and not ended.wait(draw.uniform(*pause)):
            with suppress(Exception):
                pid = draw.choice(sorted(client.run(os.getpid, on_error="ignore").values()))
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join(10)
