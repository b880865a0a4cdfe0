"""One run at a time, and no lock that outlives its holder."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from monai_mriprep.errors import LockedError, OutputError
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.folder import Folder, opened
from monai_mriprep.store.lock import exclusive, shared
from tests.store.faults import refuse

HOLD = """
import sys, time
from pathlib import Path
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.folder import opened
from monai_mriprep.store.lock import exclusive
with opened(Path(sys.argv[1])) as root, exclusive(root):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root(tmp_path) -> Iterator[Folder]:
    with opened(tmp_path) as root:
        yield root


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_holder_is_refused_and_told_of_the_first(holder, root, tmp_path):
    message = rf"{tmp_path}.*process {holder.pid} on {os.uname().nodename}"
    with pytest.raises(LockedError, match=message), exclusive(root):
        pass
    with pytest.raises(LockedError, match=message), shared(root):
        pass


def test_a_holder_whose_name_is_not_there_is_unknown(holder, root, tmp_path):
    (tmp_path / ".lock").write_bytes(b"")
    with pytest.raises(LockedError, match="process unknown, or shards"), exclusive(root):
        pass


def test_its_file_holds_the_name_of_the_last_holder_alone(root, tmp_path):
    (tmp_path / ".lock").write_text("1234567890 on a-machine-with-a-long-name\n" * 3)
    with exclusive(root):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()} on {os.uname().nodename}\n"


def test_on_a_full_disk_it_is_held_without_a_name(root, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with exclusive(root), pytest.raises(LockedError), exclusive(root):
        pass


def test_another_path_to_the_folder_is_the_same_folder(root, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with exclusive(root), opened(tmp_path / "link") as other:
        for take in (exclusive, shared):
            with pytest.raises(LockedError, match="in this process"), take(other):
                pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_holder_holds_nothing(holder, root, tmp_path, number):
    os.kill(holder.pid, number)
    holder.wait()
    with exclusive(root):
        pass


def test_a_child_does_not_keep_it(root, tmp_path):
    """A forked worker that lives on has no part in its parent's lock."""
    with exclusive(root):
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(sender)
            os.read(receiver, 1)
            os._exit(0)
    done = subprocess.run([sys.executable, "-c", HOLD.replace("60", "0"), str(tmp_path)], check=False)
    os.close(sender)
    os.close(receiver)
    os.waitpid(child, 0)
    assert done.returncode == 0


def test_another_run_of_the_same_process_is_refused_too(root, tmp_path):
    """The kernel would let it in, and free the lock at its end."""
    with exclusive(root):
        for lock in (exclusive, shared):
            with pytest.raises(LockedError, match="in this process"), lock(root):
                pass
        done = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], capture_output=True, check=False)
        assert b"LockedError" in done.stderr, "it is still held"
    (tmp_path / "other").mkdir()
    with opened(tmp_path / "other") as other, exclusive(root), exclusive(other):
        pass


@pytest.mark.parametrize("lock", [exclusive, shared])
def test_a_file_system_without_locks_is_named_and_used(root, tmp_path, monkeypatch, caplog, lock):
    def lockf(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (tmp_path / ".lock").touch()
    monkeypatch.setattr(fcntl, "lockf", lockf)
    with lock(root):
        (message,) = caplog.messages
    assert message == f"{tmp_path}: this file system has no locks (No locks available); start one run at a time"


def test_shards_need_no_locks_but_each_its_own_start(root, monkeypatch, caplog):
    def lockf(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    with exclusive(root, Shard(1, 2)):
        (message,) = caplog.messages
    assert message.endswith("this file system has no locks (No locks available); start each shard once")


@pytest.mark.parametrize("lock", [exclusive, shared])
def test_a_lock_that_0_1_0_holds_is_honoured(root, tmp_path, lock):
    """It locked the same file in the same way, and wrote the same words into it."""
    code = (
        "import fcntl, os, sys\n"
        "lock = open(sys.argv[1], 'a+')\n"
        "fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "lock.write(f'{os.getpid()} on {os.uname().nodename}'); lock.flush()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {process.pid} on"), lock(root):
            pass
        process.stdin.close()


def test_readers_share_it_and_write_nothing(root, tmp_path):
    with shared(root), shared(root):
        assert list(tmp_path.iterdir()) == [], "no file is made for a reader"
    with exclusive(root):
        pass
    before = (tmp_path / ".lock").read_bytes()
    with shared(root), shared(root):
        assert (tmp_path / ".lock").read_bytes() == before


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_a_lock_that_is_no_file_is_an_error_of_ours(root, tmp_path, what):
    place, target = tmp_path / ".lock", tmp_path / "foreign"
    {"folder": place.mkdir, "link": lambda: place.symlink_to(target), "pipe": lambda: os.mkfifo(place)}[what]()
    with pytest.raises(OutputError, match=f"{place}: the lock cannot be opened"), exclusive(root):
        pass
    assert not target.exists()
    with shared(root):
        pass


def test_a_lock_that_may_not_be_opened_is_named(root, tmp_path, monkeypatch):
    """As that of another user with a strict umask."""
    (tmp_path / ".lock").touch()
    refuse(monkeypatch, "open_file", lambda name, *_: name == ".lock")
    for hold in (exclusive, shared):
        with pytest.raises(OutputError, match=rf"{tmp_path}/\.lock: .*Permission denied.*mend it"), hold(root):
            pass


def test_a_lock_file_with_a_second_name_is_not_written_to(root, tmp_path):
    """It may be somebody else's file."""
    (tmp_path / "foreign").write_text("content")
    (tmp_path / ".lock").hardlink_to(tmp_path / "foreign")
    with exclusive(root):
        pass
    assert (tmp_path / "foreign").read_text() == "content"


def test_it_is_free_after_an_error(root):
    with pytest.raises(ZeroDivisionError), exclusive(root):
        _ = 1 / 0
    with exclusive(root):
        pass


PART = """
import sys, time
from pathlib import Path
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.attempts import Shard
from monai_mriprep.store.folder import opened
from monai_mriprep.store.lock import exclusive
with opened(Path(sys.argv[1])) as root, exclusive(root, Shard(2, 3)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_part_of_a_run_locks_itself_alone_and_keeps_whole_runs_and_readers_out(root, tmp_path):
    command = [sys.executable, "-c", PART, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with exclusive(root, Shard(1, 3)):
            pass
        for lock in (exclusive(root, Shard(2, 3)), exclusive(root), shared(root)):
            with pytest.raises(LockedError, match="process unknown, or shards"), lock:
                pass
        other.stdin.close()
    with exclusive(root):
        pass
