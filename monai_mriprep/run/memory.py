"""How much memory there is, and how many cases fit into it at once."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from monai_mriprep.run.cases import Case

__all__ = ["available_memory", "default_workers", "fits", "how_many_fit", "in_batches", "too_large"]

MAIN_BYTES = 600 * 2**20
"""Resident memory of the main process with MONAI loaded (measured: 560 MiB)."""
WORKER_BYTES = 120 * 2**20
"""What a forked worker adds before its first case (measured: 60 to 110 MiB)."""

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_memory() -> int:
    """Bytes that this process may use: what the machine, its cgroup or ``ulimit -v`` allow, whichever is least."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits += [int(text) for path in _cgroup_files() if (text := _read(path)).isdigit()]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits += [soft] if soft != resource.RLIM_INFINITY else []
    return min(limits)


def _cgroup_files() -> Iterator[Path]:
    """The limits of this process's own cgroup and those above it, in either version."""
    yield from map(Path, CGROUP_LIMITS)
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        version_1 = "memory" in controllers.split(",")
        root = Path("/sys/fs/cgroup/memory" if version_1 else "/sys/fs/cgroup")
        name = "memory.limit_in_bytes" if version_1 else "memory.max"
        own = root / path.lstrip("/")
        yield from (folder / name for folder in (own, *own.parents) if root in (folder, *folder.parents))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def fits(case: Case, memory: int) -> bool:
    """Whether a case may run in `memory` bytes, by its estimate."""
    return how_many_fit(case, memory) > 0


def how_many_fit(case: Case, memory: int) -> int:
    """How many cases of this size may run at once in `memory` bytes; 0 if not even one."""
    return max(0, memory - MAIN_BYTES) // (case.memory_bytes + WORKER_BYTES)


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


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_batches(cases: Sequence[Case], workers: int, memory: int) -> Iterator[tuple[int, list[Case]]]:
    """Cut cases, the largest first, into batches that keep within the memory: (workers, cases) each.

    Cases that cannot fit have 0 workers. One whose estimate is an upper bound might fit, so it has at least 1.
    """

    def at_once(case: Case) -> int:
        return min(workers, how_many_fit(case, memory) or int(case.is_upper_bound))

    for count, batch in groupby(cases, key=at_once):
        yield count, list(batch)
