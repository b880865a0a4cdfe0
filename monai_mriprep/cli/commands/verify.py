"""`verify`: every file is read and compared with its record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from monai_mriprep.cli.options import Json, OutputRoot, Scheduler, Workers
from monai_mriprep.cli.show import ATTENTION, OK, report

if TYPE_CHECKING:
    from monai_mriprep.run.mappers import Mapper

__all__ = ["verify"]


def verify(output_root: OutputRoot, workers: Workers = None, scheduler: Scheduler = None, as_json: Json = False) -> int:
    """Read every preprocessed file and compare it with its record.

    Exit status: 0 all that is there is as recorded, 1 something is not, 2 there are no records.
    """
    from monai_mriprep.report.facts import verify_json
    from monai_mriprep.report.text import verify_text
    from monai_mriprep.verify.audit import verify_output

    with _readers(output_root, workers, scheduler) as mapper:
        found = verify_output(output_root, workers, mapper=mapper)
    report(verify_text(found), verify_json(found), as_json)
    return ATTENTION if found.problems else OK


@contextmanager
def _readers(output_root: Path, workers: int | None, scheduler: str | None) -> Iterator[Mapper | None]:
    """Who reads the files: the workers of a cluster, or None for threads of this process."""
    if scheduler is None:
        yield None
        return
    from monai_mriprep.run.schedulers import require_kept

    require_kept(scheduler, workers, None, None)
    from monai_mriprep.run.dask_cluster import connected  # an extra
    from monai_mriprep.run.dask_workers import DaskCluster

    with connected(scheduler) as client:
        cluster = DaskCluster(client, output_root=output_root.absolute())
        yield cluster.mapper(len(cluster.workers), total=0)  # a case is a task: reading one takes longer than a task
