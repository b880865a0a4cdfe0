"""Real runs in processes of their own, forked off one that has loaded MONAI: see `tests.nursery_server`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Run:
    """A run that was started: its process, and what it has printed."""

    nursery: Nursery
    pid: int
    log: Path
    errors: Path

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
            [sys.executable, "-m", "tests.nursery_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        assert self._answer() == "ready"

    def start(
        self,
        *arguments: object,
        cwd: Path | None = None,
        apart: bool = False,
        fault: list | None = None,
        memory: int | None = None,
    ) -> Run:
        """Start ``monai-mriprep`` with these arguments; stdout and stderr go into one file, or apart."""
        self.count += 1
        log, errors = (self.logs / f"{self.count}.{name}" for name in ("log", "errors" if apart else "log"))
        for path in (log, errors):
            path.touch()
        request = {
            "arguments": list(map(str, arguments)),
            "log": str(log),
            "errors": str(errors),
            "cwd": cwd and str(cwd),
            "environment": dict(os.environ),  # as it is now, and not as it was when the server began
            "fault": fault,
            "memory": memory,
        }
        return Run(self, self.ask(start=request), log, errors)

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
        self.server.wait(timeout=60)


def processes() -> Iterator[tuple[int, int, str]]:
    """Process id, session and state of everything that runs."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        yield int(path.parent.name), int(session), state
