"""What ``--scheduler`` may say, and which limits hold with it. Dask is not loaded here."""

from __future__ import annotations

import re
from importlib.util import find_spec

from monai_mriprep.errors import ClusterError

__all__ = ["local_workers", "require_kept"]

LOCAL = re.compile(r"local:(\d+)")


def local_workers(scheduler: str) -> int | None:
    """How many workers ``local:N`` starts on this machine; None for an address.

    Raises
    ------
    ClusterError
        If it is neither.
    """
    match = LOCAL.fullmatch(scheduler)
    if match is not None and int(match[1]) > 0:
        return int(match[1])
    if match is not None or not re.search(r":\d+$", scheduler):
        msg = f"--scheduler: {scheduler!r} is no scheduler; give its address, such as tcp://10.0.0.7:8786, or local:4"
        raise ClusterError(msg)
    return None


def require_kept(scheduler: str, workers: int | None, max_memory: int | None, case_timeout: float | None) -> int:
    """Refuse limits that a cluster would not keep.

    Parameters
    ----------
    scheduler, workers, max_memory, case_timeout
        The options of ``run``; None where one is not given.

    Returns
    -------
    int
        How many workers it has, as far as that is known.

    Raises
    ------
    ClusterError
        With the remedy.
    """
    if find_spec("distributed") is None:
        msg = f"--scheduler {scheduler} needs dask.distributed; install it by: pip install 'monai-mriprep[dask]'"
        raise ClusterError(msg)
    count = local_workers(scheduler)
    remedies = {
        "--workers": (workers, "give their number as local:N" if count else "the cluster has its own"),
        "--case-timeout": (case_timeout, "the processes are Dask's; leave it out"),
        "--max-memory": (
            None if count else max_memory,
            "start the workers with --memory-limit, or --resources memory=BYTES",
        ),
    }
    for option, (value, remedy) in remedies.items():
        if value is not None:
            msg = f"{option} (run.{option[2:].replace('-', '_')}) is not kept with --scheduler {scheduler}: {remedy}"
            raise ClusterError(msg)
    return count or 1
