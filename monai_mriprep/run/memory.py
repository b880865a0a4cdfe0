"""How much memory there is, and how many cases fit into it at once."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from monai_mriprep.run.cases import Case

__all__ = [
    "MAIN_BYTES",
    "WORKER_BYTES",
    "available_memory",
    "fits",
    "how_many_fit",
    "in_batches",
    "needed_memory",
    "too_large",
]

MAIN_BYTES = 600 * 2**20
"""Resident memory of the main process with MONAI loaded (measured: 560 MiB)."""
WORKER_BYTES = 120 * 2**20
"""What a forked worker adds before its first case (measured: 60 to 110 MiB)."""

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
"""Where Linux tells of memory."""


class _Names(NamedTuple):
    """Files of a cgroup, and the key of the page cache that can be dropped, in one of the two versions."""

    limit: str
    usage: str
    cache: str


VERSION_1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = _Names("memory.max", "memory.current", "inactive_file")


def available_memory() -> int:
    """Bytes that this process and its workers may use together.

    What is free, by the machine, the cgroups above this process and ``ulimit -v``, whichever is least; and what this
    process holds already. A system without ``/proc`` does not say what is free, so all memory counts.
    """
    own = _facts(PROC / "self/status")
    free = [_free_of_machine(), *_free_of_cgroups()]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    free += [soft - own.get("VmSize", 0)] if soft != resource.RLIM_INFINITY else []
    return max(0, min(free)) + own.get("RssAnon", 0)


def _free_of_machine() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _facts(PROC / "meminfo").get("MemAvailable", total)


def _free_of_cgroups() -> Iterator[int]:
    """What each limit leaves: files in memory that nobody uses are no part of what is taken."""
    for folder, names in _cgroups():
        limit, usage = (_read(folder / name) for name in (names.limit, names.usage))
        if limit.isdigit() and usage.isdigit():
            yield int(limit) - int(usage) + _facts(folder / "memory.stat").get(names.cache, 0)


def _cgroups() -> Iterator[tuple[Path, _Names]]:
    """The cgroup of this process and those above it, in either version; a container sees its own as the topmost."""
    yield CGROUPS, VERSION_2
    yield CGROUPS / "memory", VERSION_1
    for line in _read(PROC / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        is_first = "memory" in controllers.split(",")
        root = CGROUPS / "memory" if is_first else CGROUPS
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            if root in (folder, *folder.parents):
                yield folder, VERSION_1 if is_first else VERSION_2


def _facts(path: Path) -> dict[str, int]:
    """The numbers of a file of lines such as ``VmSize:  12 kB``, in bytes."""
    found = re.findall(r"^(\w+):?[ \t]+(\d+)( kB)?$", _read(path), re.MULTILINE)
    return {key: int(number) * (1024 if unit else 1) for key, number, unit in found}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def fits(case: Case, memory: int) -> bool:
    """Whether a case may run in `memory` bytes, by its estimate."""
    return how_many_fit(case, memory) > 0


def how_many_fit(case: Case, memory: int) -> int:
    """How many cases of this size may run at once in `memory` bytes; 0 if not even one."""
    return max(0, memory - MAIN_BYTES) // (case.memory_bytes + WORKER_BYTES)


def needed_memory(case_bytes: int, count: int) -> int:
    """How many bytes it takes that `count` cases of so many bytes may run at once."""
    return MAIN_BYTES + count * (case_bytes + WORKER_BYTES)


def too_large(case: Case, memory: int) -> str:
    """Say why a case is not attempted; or, where its estimate is an upper bound, that it might not fit."""
    facts = (
        f"{case.memory_bytes / 2**20:.0f} MiB beside the {(MAIN_BYTES + WORKER_BYTES) / 2**20:.0f} MiB of the program, "
        f"and {memory / 2**20:.0f} MiB may be used"
    )
    advice = "use a machine with more memory, raise --max-memory, or choose a coarser target spacing"
    if case.is_upper_bound:
        return f"might not fit: the case needs at most {facts}; it is attempted by itself. If it fails, {advice}"
    return f"not attempted: the case needs about {facts}; {advice}"


def in_batches(cases: Sequence[Case], at_once: Callable[[Case], int]) -> Iterator[tuple[int, list[Case]]]:
    """Cut cases, the largest first, into batches that keep within the memory: (how many at once, cases) each.

    `at_once` says how many of a size may run at once. Cases that cannot fit have 0. One whose estimate is an upper
    bound might fit, so it has at least 1.
    """
    for count, batch in groupby(cases, key=lambda case: at_once(case) or int(case.is_upper_bound)):
        yield count, list(batch)
