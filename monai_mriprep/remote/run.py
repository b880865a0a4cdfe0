"""A whole run whose dataset and output may be in an object store."""

from __future__ import annotations

import warnings
from pathlib import Path

from monai_mriprep.errors import MriprepWarning
from monai_mriprep.recipe import Recipe
from monai_mriprep.remote.places import at_hand
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.session import RunSummary, open_session

__all__ = ["preprocess"]


def preprocess(
    dataset_root: str | Path,
    output_root: str | Path,
    recipe: Recipe | None = None,
    workers: int | None = None,
    case_timeout: float | None = None,
    *,
    scratch: str | Path | None = None,
    redo: bool = False,
    retire: bool = False,
    take_over: bool = False,
    like: str | Path | None = None,
    report: bool = True,
    exclude: str | Path | None = None,
) -> RunSummary:
    """Preprocess a dataset; it and the output may be in an object store. Cases that were finished before are skipped.

    Parameters
    ----------
    dataset_root, output_root
        Folders, or addresses such as ``s3://bucket/scans``.
    scratch
        A folder for copies of the objects that are worked on, which go at the end; by default that of temporary files.
    recipe, workers, case_timeout, redo, retire, take_over, like, report, exclude
        As in `monai_mriprep.preprocess`; so are what is returned, raised and warned of.

    Raises
    ------
    RemoteError
        If an address cannot be used, listed, read or written. An object that cannot be had, or a volume that cannot be
        written, fails its case alone.
    """
    with at_hand(Path(dataset_root), Path(output_root), None if scratch is None else Path(scratch)) as places:
        plan = places.planned(plan_run(places.dataset, places.output, recipe, redo, like, report, exclude))
        with open_session(plan, retire, take_over, elsewhere=places.elsewhere) as session:
            places.begin(session)
            for message in session.warnings:
                warnings.warn(places.told(message), MriprepWarning, 2)
            engine = places.engine(session, None, workers, None, case_timeout)
            summary = execute(session, workers, case_timeout=case_timeout, engine=engine, through=places.through)
        summary = places.finish(summary)
    for message in summary.warnings[len(session.warnings) :]:
        warnings.warn(message, MriprepWarning, 2)
    return summary
