"""Real runs in processes of their own, and somebody who watches the output folders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stress.watch import Watch

PROJECT = Path(__file__).parents[2]


def count(reduced: int, full: int) -> int:
    """How often a test does something: the full number only under ``make campaign``."""
    return full if os.environ.get("MRIPREP_CAMPAIGN") == "1" else reduced


@dataclass(frozen=True)
class Run:
    """A run that was started: its process, and what it has printed."""

    nursery: Nursery
    pid: int
    log: Path

    def wait(self, seconds: float = 120) -> int:
        """Exit status, as a shell gives it."""
        status = self.nursery.ask(wait=[self.pid, seconds])
        assert status is not None, f"still running after {seconds} s:\n{self.text}"
        return int(status)

    def finish(self) -> tuple[int, str]:
        """Exit status and output."""
        return self.wait(), self.text

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the whole process group."""
        os.killpg(self.pid, number)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def processes(self) -> set[int]:
        """Those of its session that are alive."""
        return {pid for pid, session, state in processes() if session == self.pid and state not in "ZX"}


class Nursery:
    """Forks runs off a process that has loaded MONAI."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.count = 0
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.stress.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        assert self._answer() == "ready"

    def start(self, *arguments: object, fault: list | None = None, memory: int | None = None) -> Run:
        """Start ``monai-mriprep`` with these arguments."""
        self.count += 1
        log = self.logs / f"{self.count}.log"
        log.touch()
        texts = list(map(str, arguments))
        return Run(self, self.ask(start={"arguments": texts, "log": str(log), "fault": fault, "memory": memory}), log)

    def ask(self, **request: object) -> object:
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return self._answer()

    def _answer(self) -> object:
        line = self.server.stdout.readline()
        assert line, "the nursery has ended"
        return json.loads(line)

    def close(self) -> None:
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait(timeout=10)


def processes() -> Iterator[tuple[int, int, str]]:
    """Process id, session and state of everything that runs."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        yield int(path.parent.name), int(session), state


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("logs"))
    yield nursery
    nursery.close()


@pytest.fixture
def watch() -> Iterator[Callable[[Path], Watch]]:
    """Watch the two folders of an output root from now to the end of the test, and then judge."""
    watches: list[Watch] = []

    def start(output: Path) -> Watch:
        watches.append(Watch(output))
        return watches[-1]

    yield start
    for one in watches:
        one.stop()
