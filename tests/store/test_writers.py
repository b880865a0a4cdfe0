"""Who writes: alive, dead, or not to be asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from monai_mriprep.store import writers
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.writers import Writer, another_name, this_writer

CHILD = """
import sys
from monai_mriprep.store.writers import this_writer
print(this_writer().name, flush=True)
sys.stdin.read()
"""
HERE = this_writer()
PARTS = HERE.name.split("_")


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen, Writer]]:
    """Another process, and how it names itself."""
    process = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process, Writer.of(process.stdout.readline().strip())
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_this_process(monkeypatch):
    assert this_writer().state() == "own"
    assert Writer.of(this_writer().name) == this_writer()
    assert int(this_writer().pid) == os.getpid()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("", "a b/c_d..é" + "x" * 90, "", "", "")))
    writers._writer.cache_clear()
    odd = this_writer()
    writers._writer.cache_clear()
    assert odd.host == ("a-b-c-d..-" + "x" * 90)[:60]
    assert Writer.of(odd.name) == odd


def test_the_start_is_that_of_the_kernel():
    ticks = int(this_writer().start) / os.sysconf("SC_CLK_TCK")
    up = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= up - ticks < 24 * 3600
    began = Path("/proc/self").stat().st_ctime
    assert abs((time.time() - (up - ticks)) - began) < 10


def test_a_live_process(child):
    process, writer = child
    assert writer.pid == str(process.pid)
    assert writer != HERE
    assert writer.state() == "alive"
    process.send_signal(signal.SIGSTOP)
    assert writer.state() == "alive", "one that is stopped may go on"


def test_a_killed_process_is_dead_before_and_after_it_is_buried(child):
    process, writer = child
    process.kill()
    until_zombie(process.pid)
    assert writer.state() == "dead"
    process.wait()
    assert writer.state() == "dead"


def until_zombie(pid: int) -> None:
    while ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        time.sleep(0.001)


def test_a_process_whose_id_was_given_again_is_dead(child):
    _, writer = child
    assert replace(writer, start=str(int(writer.start) - 1)).state() == "dead"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"host": "elsewhere"}, "foreign"),
        ({"machine": "00000000"}, "foreign"),
        ({"host": "elsewhere", "boot": "00000000"}, "foreign"),
        ({"boot": "00000000"}, "dead"),
        ({"boot": "00000000", "pids": "00000000"}, "dead"),
        ({"pids": "00000000"}, "foreign"),
        ({"pid": "999999999"}, "dead"),
        ({"pid": "9999999999"}, "dead"),
        ({"start": "1"}, "dead"),
    ],
    ids=str,
)
def test_another_host_boot_or_space(changes, state):
    assert replace(HERE, **changes).state() == state


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_process_may_be_named_as_it_likes(monkeypatch):
    writer = replace(HERE, pid="77", start="123")
    monkeypatch.setattr(writers, "_read", lambda _: f"77 (a) Z (b) c) S {'0 ' * 18}123 0 0")
    assert (writer.state(), replace(writer, start="122").state()) == ("alive", "dead")


def test_a_process_that_the_system_hides_is_alive(child, monkeypatch):
    """``hidepid`` shows nobody the processes of others, as on many clusters."""
    process, writer = child
    read = writers._read
    monkeypatch.setattr(writers, "_read", lambda path: "" if path == f"/proc/{process.pid}/stat" else read(path))
    assert writer.state() == "alive", "we may send it signals, so it is there"

    def kill(pid, number):
        assert (pid, number) == (process.pid, 0)
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", kill)
        assert writer.state() == "alive"
    process.kill()
    process.wait()
    assert writer.state() == "dead"


def test_a_forked_process_is_another_writer():
    receiver, sender = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(sender, this_writer().name.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    name = os.read(receiver, 1000).decode()
    os.close(receiver)
    os.close(sender)
    writer = Writer.of(name)
    assert writer.pid == str(pid)
    assert writer.state() == "dead"


def test_in_a_container_the_ids_of_processes_mean_others():
    """In a space of its own, as in a container, our processes cannot be asked for, nor its processes here."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", CHILD]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no space of process ids can be made here: {done.stderr.strip()}")
    writer = Writer.of(done.stdout.strip())
    assert (writer.host, writer.machine, writer.boot) == (HERE.host, HERE.machine, HERE.boot)
    assert writer.pids != HERE.pids
    assert writer.state() == "foreign"


def test_a_folder_of_its_own():
    assert Writer.of(f"{HERE.name}+{'0' * 32}") == HERE
    first, second = another_name(), another_name()
    assert Writer.of(first) == Writer.of(second) == this_writer()
    assert first != second


def test_a_writer_of_a_part_of_a_run_says_which_one_and_is_the_same_process():
    mine = replace(HERE, shard=Shard(3, 8))
    assert mine.name == f"{HERE.name}+3-of-8"
    for name in (mine.name, another_name(Shard(3, 8))):
        assert Writer.of(name).shard == Shard(3, 8)
        assert Writer.of(name) == HERE
        assert Writer.of(name).state() == "own"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "imagesTr",
        HERE.name + "\n",
        HERE.name + "+",
        f"{HERE.name}+{'0' * 31}",
        f"../{HERE.name}",
        HERE.name.replace("_", "-"),
        f"{HERE.name}+3of8",
        "_".join(PARTS[:-1]),
        "_".join(["", *PARTS[1:]]),
        "_".join([*PARTS[:-1], "x"]),
        "_".join([*PARTS[:-2], "-1", "1"]),
    ],
    ids=count(),  # the name of this process would differ in each process of pytest-xdist
)
def test_a_name_that_is_no_writers(name):
    assert Writer.of(name) is None


def test_without_proc_the_commands_of_the_system_are_asked(monkeypatch):
    """As on macOS."""
    began = {os.getpid(): "Sat Nov 28 20:00:00 2026", 4_999_999: "Sat Nov 28 20:00:01 2026"}
    boots = ["{ sec = 1764360000 }"]

    def asked(program, *options):
        return boots[0] if program == "sysctl" else began.get(int(options[-1]), "")

    monkeypatch.setattr(writers, "_read", lambda _: "")
    monkeypatch.setattr(writers, "_pid_space", lambda: "")
    monkeypatch.setattr(writers, "_asked", asked)
    monkeypatch.setattr(sys, "platform", "darwin")
    writers._writer.cache_clear()
    here, other = this_writer(), writers._writer(4_999_999)
    assert Writer.of(here.name) == here
    assert (here.state(), other.state()) == ("own", "alive")
    began[4_999_999] = "Sat Nov 28 20:00:02 2026"
    assert other.state() == "dead", "its id was given again"
    del began[4_999_999]
    assert other.state() == "dead"
    boots[0] = "{ sec = 1764360001 }"
    writers._writer.cache_clear()
    assert here.state() == "foreign", "without an id of the machine it may be another one"
    writers._writer.cache_clear()


def test_a_program_that_is_missing_says_nothing():
    assert writers._asked("no-such-program-anywhere") == ""
    assert writers._asked("sh", "-c", "echo ' a '") == "a"
