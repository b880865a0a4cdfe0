"""SIGINT and SIGTERM at every moment of a command: one message at most, 130 or 143, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.runs import write_cases

NUMBERS = [signal.SIGINT, signal.SIGTERM]


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python program in a process group of its own."""
    line = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def read_line(process: subprocess.Popen[str]) -> str:
    """A line of its output; a moment later the program is past writing it."""
    line = process.stdout.readline()
    time.sleep(0.1)
    return line


def told_to_end(code: str) -> tuple[str, str, int]:
    """A program that says ``ready`` gets SIGTERM; what it then shows on stdout and stderr, and its status."""
    process = started(code)
    assert read_line(process) == "ready\n"
    os.kill(process.pid, signal.SIGTERM)
    return *process.communicate(timeout=10), process.returncode


def shell_status(process: subprocess.Popen[str]) -> int:
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


WAIT = """
import time
def wait():  # one long sleep would go on where the signal comes just before it
    for _ in range(600):
        time.sleep(0.05)
"""

COMMAND = """
import sys, monai_mriprep.cli as cli
print("ready", flush=True)
cli.main()
"""


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.6, 2.0])
def test_a_signal_while_a_run_starts(tmp_path, number, seconds):
    """During the imports, the plan, the import of MONAI, the start of the workers."""
    run = started(COMMAND, "run", write_cases(tmp_path / "data", 60), tmp_path / "out", "-w", "2")
    run.stdout.readline()
    time.sleep(seconds)
    os.killpg(run.pid, number)
    _, text = run.communicate(timeout=60)
    assert shell_status(run) == 128 + number, text
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    assert text.count("the same command resumes") <= 1


AT_ONCE = """
import monai_mriprep.cli as cli
def interrupted():
    raise KeyboardInterrupt
cli.stop_on_signals = interrupted
cli.main()
"""


def test_ctrl_c_before_the_handlers_are_set():
    process = started(AT_ONCE, "--version")
    out, text = process.communicate(timeout=60)
    assert (process.returncode, out, text) == (130, "", "error: interrupted; the same command resumes\n")


AT_EXIT = """
import atexit, time, monai_mriprep.cli as cli
atexit.register(lambda: (print("leaving", flush=True), time.sleep(30)))
cli.main()
"""


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_while_the_interpreter_ends(number):
    process = started(AT_EXIT, "--version")
    lines = [process.stdout.readline(), process.stdout.readline()]
    assert lines[1] == "leaving\n"
    os.killpg(process.pid, number)
    assert process.communicate(timeout=20)[1] == ""
    assert shell_status(process) == 128 + number


CLEAN_UP = (
    WAIT
    + """
import time, monai_mriprep.cli as cli
def command():
    try:
        print("ready", flush=True)
        wait()
    finally:
        print("cleaning", flush=True)
        time.sleep(1)
        print("clean", flush=True)
cli._command = command
cli.main()
"""
)


@pytest.mark.parametrize("number", NUMBERS)
def test_more_signals_do_not_break_the_clean_up(number):
    process = started(CLEAN_UP)
    assert read_line(process) == "ready\n"
    os.killpg(process.pid, number)
    assert read_line(process) == "cleaning\n"
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        os.killpg(process.pid, each)
    shown, text = process.communicate(timeout=20)
    assert shown == "clean\n"
    assert text.splitlines() == [f"error: {'interrupted' if number == signal.SIGINT else 'terminated'}; {RESUMES}"]
    assert shell_status(process) == 128 + number


RESUMES = "the same command resumes"

SWALLOWED = (
    WAIT
    + """
import monai_mriprep.cli as cli, monai_mriprep.cli.signals as signals
signals.GRACE_SECONDS = 1
def command():
    print("ready", flush=True)
    try:
        wait()
    except BaseException:
        wait()
    return 0
cli._command = command
cli.main()
"""
)


def test_a_signal_that_is_swallowed_ends_the_command_all_the_same():
    assert told_to_end(SWALLOWED)[1:] == (f"error: terminated; {RESUMES}\n", 143)


SLOW_TO_END = (
    WAIT
    + """
import atexit, monai_mriprep.cli as cli, monai_mriprep.cli.signals as signals
atexit.register(wait)
signals.GRACE_SECONDS = 1
def command():
    try:
        print("ready", flush=True)
        wait()
    finally:
        signals.GRACE_SECONDS = 60
cli._command = command
cli.main()
"""
)


def test_the_time_to_end_counts_from_the_signal():
    assert told_to_end(SLOW_TO_END)[1:] == (f"error: terminated; {RESUMES}\n" * 2, 143)


CAUGHT = (
    WAIT
    + """
import monai_mriprep.cli as cli
def command():
    try:
        print("ready", flush=True)
        try:
            wait()
        except BaseException:  # as code in C does that asks whether something is there
            pass
        wait()
    finally:
        time.sleep(0.5)
        print("clean", flush=True)
cli._command = command
cli.main()
"""
)


def test_a_signal_that_foreign_code_has_caught_is_not_lost_and_the_clean_up_is_whole():
    assert told_to_end(CAUGHT) == ("clean\n", f"error: terminated; {RESUMES}\n", 143)


DROPPED = (
    WAIT
    + """
import os, signal, monai_mriprep.cli as cli
class Last:
    def __del__(self):  # as in a callback of an import, what is raised here is dropped
        os.kill(os.getpid(), signal.SIGTERM)
        wait()
def command():
    Last()
    %s
    return 0
cli._command = command
cli.main()
"""
)


def test_a_signal_in_a_finalizer_is_not_lost():
    process = started(DROPPED % "wait()")
    assert process.communicate(timeout=10)[1] == f"error: terminated; {RESUMES}\n"
    assert process.returncode == 143


def test_a_signal_in_the_last_finalizer_of_a_command_that_has_ended_shows_nothing():
    process = started(DROPPED % "pass")
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


FORKED = (
    WAIT
    + """
import os, monai_mriprep.cli as cli
def command():
    child = os.fork()
    if child == 0:
        print("ready", flush=True)
        wait()
    os.waitpid(child, 0)
    wait()
cli._command = command
cli.main()
"""
)


def test_a_child_that_was_just_forked_shows_nothing():
    process = started(FORKED)
    assert read_line(process) == "ready\n"
    os.killpg(process.pid, signal.SIGTERM)
    assert process.communicate(timeout=10)[1] == f"error: terminated; {RESUMES}\n"
    assert process.returncode == 143


def test_a_forked_child_dies_of_a_signal_itself():
    """Also of one that comes while Python forks, and would forget it: a pool's `terminate` waited for ever."""
    process = started(
        """
import os, signal, time
from monai_mriprep.cli.signals import stop_on_signals
stop_on_signals()
for number in (signal.SIGINT, signal.SIGTERM):
    child = os.fork()
    if child == 0:
        time.sleep(60)
    os.kill(child, number)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert process.communicate(timeout=10)[0].split() == ["-2", "-15"]
