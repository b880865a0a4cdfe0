"""The driver's side: start processes, ask them for measurements, take medians.

This process stays small, because Linux counts the memory of the process that starts a program towards the peak
memory of that program.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "Bench",
    "BenchmarkError",
    "Child",
    "Usage",
    "finish",
    "interleave",
    "launch",
    "median",
    "progress",
    "start_child",
    "timed_run",
]

ROOT = Path(__file__).resolve().parent.parent
TAIL = 2000
"""Characters of a log that an error shows."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BenchmarkError(Exception):
    """A measurement could not be made; no number stands in for it."""


@dataclass(frozen=True)
class Bench:
    """What all sections share.

    Parameters
    ----------
    ours, peers
        The interpreters of the two environments; without the second only our own side is measured.
    command
        Our command line, as a user types it.
    work
        Folder for data and outputs.
    logs
        Folder for what the processes print.
    mixed
        The dataset of real scans, for start-up.
    repeats
        Rounds that medians are taken of.
    quick
        Tiny sizes, to see that everything runs; the numbers mean nothing.
    """

    ours: Path
    peers: Path | None
    command: tuple[str, ...]
    work: Path
    logs: Path
    mixed: Path
    repeats: int = 3
    quick: bool = False

    @property
    def workers(self) -> int:
        """Worker processes, for us and for the peers."""
        return 2

    def dataset(self, cases: int) -> Path:
        """The first `cases` of the benchmark's dataset, with the statistics of all; made on first use."""
        largest, scale = (3, 0.3) if self.quick else (24, 1.0)
        folder = self.work / f"dataset-{largest}-{scale:g}"
        made = folder / f"first-{cases}"
        if not (made / "mri_statistics.csv").exists():
            argv = ["-m", "benchmarks.data", str(folder), "--cases", str(largest), "--scale", str(scale)]
            timed_run([str(self.ours), *argv, "--first", str(cases)], self.logs / "data.log")
        return made


@dataclass(frozen=True)
class Usage:
    """What a finished process took, with all its descendants.

    Parameters
    ----------
    wall, cpu
        Seconds.
    peak_mib
        The highest resident memory of any one process among them.
    """

    wall: float
    cpu: float
    peak_mib: float


def timed_run(
    argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> Usage:
    """Run a program to its end, in `folder`.

    Raises
    ------
    BenchmarkError
        If it fails; the message ends with the log's last lines.
    """
    start, process = launch(argv, log, environment, folder)
    return finish(argv, log, start, process)


def launch(
    argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> tuple[float, subprocess.Popen[bytes]]:
    """Start a program with its output in `log`; returns when it was started."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.write((f"$ {' '.join(argv)}\n").encode())
        file.flush()
        start = time.perf_counter()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
    return start, process


def finish(argv: Sequence[str], log: Path, start: float, process: subprocess.Popen[bytes]) -> Usage:
    """Wait for a launched program; see `timed_run`."""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        msg = f"exit code {process.returncode} from {' '.join(argv)}\n{_tail(log)}"
        raise BenchmarkError(msg)
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-TAIL:]


class Child:
    """A process that measures on request; see `benchmarks.serve`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def ask(self, command: str, *arguments: Any) -> Any:
        """Have a command carried out; returns its answer.

        Raises
        ------
        BenchmarkError
            If it fails.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps([command, *arguments]) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            msg = f"the process that was asked for {command!r} has died\n{_tail(self._log)}"
            raise BenchmarkError(msg)
        answer = json.loads(line)
        if "error" in answer:
            msg = f"{command}: {answer['error']}\n{_tail(self._log)}"
            raise BenchmarkError(msg)
        return answer["result"]


@contextmanager
def start_child(
    bench: Bench, python: Path, module: str, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> Iterator[Child]:
    """Start a module of `folder` that serves measurements, and end it."""
    log = bench.logs / f"{module}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            [python, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        ) as process,
    ):
        try:
            yield Child(process, log)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def interleave(measures: Mapping[Key, Callable[[], Value]], repeats: int) -> dict[Key, list[Value]]:
    """Take every measurement once a round, each round starting with another one."""
    samples: dict[Key, list[Value]] = {name: [] for name in measures}
    names = list(measures)
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            samples[name].append(measures[name]())
    return samples


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def progress(text: str) -> None:
    """Say on stderr what is being measured."""
    print(text, file=sys.stderr, flush=True)
