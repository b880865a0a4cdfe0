"""Who writes into an output folder: each process that does has a name, and a folder of temporary files of that name.

The name says on which machine the process runs, since which boot, and which it is there. So the next run knows whether
what it finds is of somebody who is alive, who is dead, or who is on another machine and cannot be asked.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

from monai_mriprep.store.attempts import Shard

__all__ = ["State", "Writer", "another_name", "this_writer"]

State = Literal["own", "alive", "dead", "foreign"]

_NAME = re.compile(
    r"(?P<host>[A-Za-z0-9.-]{1,60})_(?P<machine>[0-9a-f]{8})_(?P<boot>[0-9a-f]{8})_(?P<pids>[0-9a-f]{8})"
    r"_(?P<pid>[0-9]{1,10})_(?P<start>[0-9]{1,20})(?:\+(?P<shard>[0-9]{1,6}-of-[0-9]{1,6}))?(?:\+[0-9a-f]{32})?"
)


@dataclass(frozen=True)
class Writer:
    """A process that writes.

    Parameters
    ----------
    host, machine
        Name of its machine, and a hash that tells machines of one name apart.
    boot
        Hash of what is another one after the machine has started anew.
    pids
        Hash of the space that its process id is valid in: containers have their own.
    pid, start
        The process, and when it began, for the kernel gives ids again.
    shard
        The part of a run that it works on; None for the whole.
    """

    host: str
    machine: str
    boot: str
    pids: str
    pid: str
    start: str
    shard: Shard | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Of its folder of temporary files."""
        process = "_".join((self.host, self.machine, self.boot, self.pids, self.pid, self.start))
        return process if self.shard is None else f"{process}+{self.shard}"

    @classmethod
    def of(cls, name: str) -> Writer | None:
        """The writer that a folder belongs to, by the folder's name; None if it is no writer's.

        A writer may have several folders: from ``+`` on, the names of the others tell them apart.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        facts = found.groupdict()
        shard = Shard.of(facts.pop("shard"))
        return cls(**facts, shard=shard)

    def state(self) -> State:
        """Whether it is this process, another one that is alive, one that is dead, or one that cannot be asked."""
        here = this_writer()
        if self == here:
            return "own"
        if (self.host, self.machine) != (here.host, here.machine):
            return "foreign"
        if self.boot != here.boot:
            return "dead"
        if self.pids != here.pids:
            return "foreign"
        return "alive" if _is_alive(int(self.pid), self.start) else "dead"


def this_writer() -> Writer:
    """Of the process that asks."""
    return _writer(os.getpid())  # a forked process is another writer


def another_name(shard: Shard | None = None) -> str:
    """A name for one more folder of this process, for the whole or a part of a run, which no other call gives."""
    return f"{replace(this_writer(), shard=shard).name}+{uuid.uuid4().hex}"


@cache
def _writer(pid: int) -> Writer:
    host = re.sub(r"[^A-Za-z0-9.-]", "-", os.uname().nodename)[:60] or "unnamed"
    return Writer(host, _machine(), _hash(_boot()), _hash(_pid_space()), str(pid), _start_of(pid) or "0")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]


def _machine() -> str:
    """Without an id of the machine, one that no other boot has: nothing of another boot is taken for ours."""
    return _hash(_read("/etc/machine-id") or _read("/var/lib/dbus/machine-id") or _boot())


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id") or _asked("sysctl", "-n", "kern.boottime")


def _pid_space() -> str:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _is_alive(pid: int, start: str) -> bool:
    found = _start_of(pid)
    return _exists(pid) if found is None else found == start


def _exists(pid: int) -> bool:
    """Whether there is a process, of which the system may show us nothing else."""
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)
    return True


def _start_of(pid: int) -> str | None:
    """When a process began, in units of the system's own; empty if it has ended, None if nothing is seen of it."""
    if sys.platform == "linux":
        state, *fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split() or [""]
        return (fields[18] if state not in "ZX" else "") if state else None
    began = _asked("ps", "-o", "lstart=", "-p", str(pid))
    return str(int(hashlib.sha256(began.encode()).hexdigest()[:15], 16)) if began else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _asked(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
