"""One run at a time, and no lock that outlives its holder."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from monai_mriprep.errors import LockedError, OutputError
from monai_mriprep.store.lock import exclusive, shared

HOLD = """
import sys, time
from pathlib import Path
from monai_mriprep.store.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / ".lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_holder_is_refused_and_told_of_the_first(holder, tmp_path):
    message = rf"{tmp_path}.*process {holder.pid} on {os.uname().nodename}"
    with pytest.raises(LockedError, match=message), exclusive(tmp_path / ".lock"):
        pass
    with pytest.raises(LockedError, match=message), shared(tmp_path / ".lock"):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_holder_holds_nothing(holder, tmp_path, number):
    os.kill(holder.pid, number)
    holder.wait()
    with exclusive(tmp_path / ".lock"):
        pass


def test_a_child_does_not_keep_it(tmp_path):
    """A forked worker that lives on has no part in its parent's lock."""
    with exclusive(tmp_path / ".lock"):
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(sender)
            os.read(receiver, 1)
            os._exit(0)
    done = subprocess.run([sys.executable, "-c", HOLD.replace("60", "0"), str(tmp_path / ".lock")], check=False)
    os.close(sender)
    os.close(receiver)
    os.waitpid(child, 0)
    assert done.returncode == 0


def test_another_run_of_the_same_process_is_refused_too(tmp_path):
    """The kernel would let it in, and free the lock at its end."""
    with exclusive(tmp_path / ".lock"):
        for lock in (exclusive, shared):
            with pytest.raises(LockedError, match="in this process"), lock(tmp_path / ".lock"):
                pass
        done = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path / ".lock")], capture_output=True, check=False)
        assert b"LockedError" in done.stderr, "it is still held"
    with exclusive(tmp_path / ".lock"), exclusive(tmp_path / "other"):
        pass


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def lockf(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with pytest.raises(OutputError, match="cannot be locked") as caught, exclusive(tmp_path / ".lock"):
        pass
    assert not isinstance(caught.value, LockedError)


def test_a_lock_file_that_cannot_be_opened_is_an_error_of_ours(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(OutputError, match="Is a directory"), exclusive(tmp_path / ".lock"):
        pass


def test_it_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / ".lock"):
        _ = 1 / 0
    with exclusive(tmp_path / ".lock"):
        pass
