"""Where the workers of ``run --scheduler`` are: a cluster that is up, or one of this machine that ends with the run."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver

import dask
from distributed import Client, LocalCluster
from distributed.utils import get_mp_context

from monai_mriprep.errors import ClusterError, package_logger
from monai_mriprep.run.dask_workers import MEMORY, DaskCluster
from monai_mriprep.run.memory import MAIN_BYTES, WORKER_BYTES, available_memory
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.run.schedulers import local_workers

LOGGER = package_logger()

__all__ = ["connected", "on_cluster"]

PATIENCE_SECONDS = 60.0
"""Without any worker of this machine, where a lost one is back in a second or two, or in half a minute under load."""

SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.deploy.lost-worker-timeout": "1 day",
    "distributed.worker.multiprocessing-method": "forkserver",
    "logging.distributed": "critical",
}
"""Of a cluster of ours. Workers are forked off a process that has loaded MONAI, so a lost one is soon replaced.

By default Dask looks 15 seconds after each loss whether a worker has taken the place, and if not, starts none there any
more; but one may have been lost a moment ago.
"""


@contextmanager
def on_cluster(plan: RunPlan, scheduler: str, max_memory: int | None = None) -> Iterator[DaskCluster]:
    """An engine for the cases of a plan, as long as the block lasts; `connected` says the rest."""
    with connected(scheduler, max_memory) as client:
        patience = math.inf if local_workers(scheduler) is None else PATIENCE_SECONDS
        engine = DaskCluster(client, plan.dataset_root, plan.job.output_root, patience)
        LOGGER.debug("%d workers of %s", len(engine.workers), client.scheduler.address)
        yield engine


@contextmanager
def connected(scheduler: str, max_memory: int | None = None) -> Iterator[Client]:
    """Connect to a scheduler, or start one with workers on this machine, which end with the block.

    Parameters
    ----------
    scheduler
        Its address, such as ``tcp://10.0.0.7:8786``, or ``local:N`` for N worker processes on this machine.
    max_memory
        Bytes for all processes of ``local:N``; by default what there is.

    Raises
    ------
    ClusterError
        If no scheduler answers.
    """
    _silence()
    count = local_workers(scheduler)
    if count is None:
        with _client(scheduler) as client:
            yield client
    else:
        memory = available_memory() if max_memory is None else max_memory
        with _started(count, memory) as cluster, _client(cluster) as client:
            client.wait_for_workers(count)
            yield client


def _silence() -> None:
    """What Dask logs goes into our own lines of stderr; what is worth a line, we say ourselves."""
    for name in ("distributed", "distributed.client", "distributed.gc"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextmanager
def _client(where: str | LocalCluster) -> Iterator[Client]:
    try:
        client = Client(where, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        msg = f"--scheduler {where}: no Dask scheduler answers there ({error}); give its address, or local:N"
        raise ClusterError(msg) from error
    with client:
        yield client


@contextmanager
def _started(count: int, memory: int) -> Iterator[LocalCluster]:
    """A case that costs a worker its life is lost at once: what is done then is not for the scheduler to decide."""
    room = max(0, (memory - 2 * MAIN_BYTES) // count - WORKER_BYTES)
    with dask.config.set(SETTINGS):
        _prepare_workers()
        cluster = _local_cluster(count, room)
        with cluster:
            yield cluster


def _prepare_workers() -> None:
    """Start what workers are forked off. They inherit that Ctrl-C is no concern of theirs: they end with their run."""
    get_mp_context().set_forkserver_preload(["distributed", "monai_mriprep.run.process"])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)
    first = get_mp_context().Process(target=int)  # begins when MONAI is loaded; a worker has half a minute to begin
    first.start()
    first.join()


def _local_cluster(count: int, room: int) -> LocalCluster:
    try:
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=0,
            resources={MEMORY: room},
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},  # else port 8787 must be free
            silence_logs=logging.CRITICAL + 1,
        )
    except (OSError, RuntimeError) as error:
        msg = f"--scheduler local:{count}: the workers cannot be started ({error}); try fewer of them, or --workers"
        raise ClusterError(msg) from error
