"""What runs in a worker process of a cluster: it must fit the run, and works on one case at a time."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from socket import gethostname

import torch

from monai_mriprep._version import __version__
from monai_mriprep.errors import ClusterError
from monai_mriprep.recipe.fingerprint import ALGORITHM_VERSION
from monai_mriprep.run.mappers import Found, Item
from monai_mriprep.store.layout import RUN

__all__ = ["WITHDRAWAL_SECONDS", "Demands", "carry_out", "made_ready", "one_at_a_time", "settle", "withdrawn"]

CASE_LOCK = threading.Lock()
"""Of this process: while a case is worked on, its warnings are caught, which is a matter of the whole process."""

WITHDRAWAL_SECONDS = 5.0
"""How long a run that is given up waits for the cases that are under way."""

SETTLING_SECONDS = 0.5
"""Before the first case in a process: Dask's nanny does not replace one that dies before it knows of it."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt, in glibc's ``malloc.h``."""

KEPT_BYTES = 64 << 20
"""Of freed memory at most: where glibc's own rule ends, at twice the largest array that it takes from the heap."""

_LOADED = time.monotonic()
"""In a worker of Dask's about when its first task came."""

_given_up: set[str] = set()


@dataclass(frozen=True)
class Demands:
    """What a run demands of each worker.

    Parameters
    ----------
    run
        A name that no other run has.
    dataset_root, output_root
        Folders that it must see; None demands nothing.
    description
        Digest of the output folder's ``run.json``: another folder may have the same path elsewhere.
    version, algorithm
        Of this package.
    """

    run: str
    dataset_root: Path | None = None
    output_root: Path | None = None
    description: str | None = None
    version: str = __version__
    algorithm: int = ALGORITHM_VERSION

    @classmethod
    def of(cls, run: str, dataset_root: Path | None, output_root: Path | None) -> Demands:
        """What a worker must find as this process finds it."""
        return cls(run, dataset_root, output_root, _digest(output_root))

    def problem(self) -> str | None:
        """What this process lacks; None where it can work."""
        if (self.version, self.algorithm) != (__version__, ALGORITHM_VERSION):
            own = f"monai-mriprep {__version__} (algorithm {ALGORITHM_VERSION})"
            return f"it has {own}, and the run is of {self.version} ({self.algorithm}); install the same version there"
        if self.dataset_root is not None and not self.dataset_root.exists():
            return f"it sees no dataset {self.dataset_root}; mount it there, by the same path"
        if self.description != _digest(self.output_root):
            return f"it does not see the output folder {self.output_root} of this run; mount it there, by the same path"
        return None


def _digest(output_root: Path | None) -> str | None:
    try:
        return None if output_root is None else hashlib.sha256((output_root / RUN).read_bytes()).hexdigest()
    except OSError:
        return "unseen"


def made_ready(demands: Demands) -> str | None:
    """Load what a case needs, and take one thread.

    Returns
    -------
    str or None
        What this process lacks.
    """
    import monai_mriprep.run.process  # noqa: F401 - MONAI, 4 seconds

    torch.set_num_threads(1)
    problem = demands.problem()
    return None if problem is None else f"on {gethostname()}: {problem}"


@cache
def settle() -> None:
    """Make a process of Dask's fit for its first case, and let it be half a second old."""
    if "distributed.worker" in sys.modules:
        _keep_freed_memory()
        time.sleep(max(0.0, _LOADED + SETTLING_SECONDS - time.monotonic()))


def _keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next array, within limits.

    Dask has a worker started so that each freed array goes back to the system at once. The next one is then cleared
    page by page again, which took a fifth of a case's time.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # other C libraries have none, and do not read Dask's variable
        library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES // 2)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


@cache
def _require_ready(demands: Demands) -> None:
    settle()
    problem = made_ready(demands)
    if problem is not None:
        raise ClusterError(problem)


def carry_out(demands: Demands, work: Callable[[Item], Found], cases: Sequence[Item]) -> list[Found]:
    """Work on one case after the other; on none any more where the run was given up.

    Raises
    ------
    ClusterError
        If this worker does not fit the run.
    """
    _require_ready(demands)
    found = []
    for case in cases:
        if demands.run in _given_up:
            break
        found.append(one_at_a_time(work, case))
    return found


def one_at_a_time(work: Callable[[Item], Found], case: Item) -> Found:
    """Work on a case while no other thread of this process works on one."""
    with CASE_LOCK:
        return work(case)


async def withdrawn(run: str) -> bool:
    """Begin no more cases of a run, and wait a while for one that is under way; whether there is none any more."""
    _given_up.add(run)
    is_free = await asyncio.to_thread(CASE_LOCK.acquire, timeout=WITHDRAWAL_SECONDS)
    if is_free:
        CASE_LOCK.release()
    return is_free
