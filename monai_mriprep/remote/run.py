"""A whole run: from a dataset to volumes that are ready for training, each in a folder or in an object store."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from monai_mriprep.errors import MriprepWarning
from monai_mriprep.recipe import Recipe
from monai_mriprep.remote.address import absolute
from monai_mriprep.remote.at_hand import at_hand
from monai_mriprep.run.preprocess import engine_of, execute
from monai_mriprep.run.session import RunSummary

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["preprocess"]


def preprocess(
    dataset_root: str | Path,
    output_root: str | Path,
    recipe: Recipe | None = None,
    workers: int | None = None,
    case_timeout: float | None = None,
    *,
    redo: bool = False,
    retire: bool = False,
    take_over: bool = False,
    like: str | Path | None = None,
    report: bool = True,
    exclude: str | Path | None = None,
    executor: Callable[[], Executor] | None = None,
    shard: str | None = None,
    client: Client | None = None,
    scratch: str | Path | None = None,
    virtual: bool = False,
) -> RunSummary:
    """Preprocess a dataset; cases that were finished before are skipped.

    Parameters
    ----------
    dataset_root
        A dataset: ``ImagesTr``, ``LabelsTr`` and, if there is one, ``mri_statistics.csv``; or another layout of
        ``docs/datasets.md``. A folder, or an address such as ``s3://bucket/scans``.
    output_root
        Receives ``imagesTr`` and ``labelsTr`` with one ``.npz`` each per pair, ``run.json`` and ``manifest.jsonl``. A
        folder, or an address.
    recipe
        The default one if it is not given.
    workers
        Processes; by default one for each core that this process may use, 0 works in this process. In a daemonic
        process, which may have no children, the cases are worked on in it, with a warning.
    case_timeout
        Seconds after which the process of a case is killed. The case is tried once more, alone, and then fails. With
        ``workers=0`` each case gets a process of its own, one after the other. None is no limit.
    redo
        Do all cases again, by this recipe and the target that it gives. Without it a folder with finished cases keeps
        its recipe and target.
    retire
        Let cases leave the dataset, however many and whatever else has changed: their files go to ``retired/``.
    take_over
        Finish and clear away what runs on other machines have left; they must have ended.
    like
        The output folder of a training set: `dataset_root` holds the images of its test set, which get its recipe and
        target spacing, and go to ``imagesTs``.
    report
        Measure and draw each case while its voxels are in memory, so that ``monai-mriprep report OUTPUT_ROOT`` shows
        before and after.
    exclude
        A list of cases that are left out, one a line; see `monai_mriprep.dataset.exclusions.read_exclusions`. What is
        finished of them goes to ``retired/``.
    executor
        Makes an executor of `concurrent.futures`, such as loky's, whose `workers` processes work on the cases. It is
        called once or more, and each is shut down. Dataset and output folder must have the same paths there.
    shard
        Work on a part of the cases alone, beside others that work on theirs: ``I/N``, ``auto``, or ``auto/N``; see
        `monai_mriprep.run.shards.read_shard`. When all have ended, ``monai-mriprep merge OUTPUT_ROOT`` makes one of
        their records, and writes what is derived from them.
    client
        Of `dask.distributed` (extra ``dask``): the workers of its cluster work on the cases. It is left open.
    scratch
        A folder for copies of objects, where one of both is an address; by default that of temporary files.
    virtual
        Write records alone, and no volumes: all is measured, and training takes its patches from the scans.

    Returns
    -------
    RunSummary
        What was done. A case that failed is listed there with its error; it does not raise.

    Raises
    ------
    ClusterError
        If `executor` or `client` cannot be used, or comes with another or with limits that would not be kept.
    RemoteError
        If an address cannot be used, listed, read or written. An object that cannot be had, or a volume that cannot be
        written, fails its case alone.
    MriprepError
        If the run cannot start, as where its output folder keeps another recipe or target, or cases have left the
        dataset and nobody has confirmed it.

    Warns
    -----
    MriprepWarning
        For what needs review in the dataset as a whole, such as an image without a label. These warnings are logged,
        too. Warnings of single cases are only logged.
    """
    scans, results = Path(dataset_root), Path(output_root)
    if executor is not None or client is not None:  # whose workers may have been started in another folder
        scans, results = absolute(scans), absolute(results)
    with at_hand(scans, results, None if scratch is None else Path(scratch)) as here:
        plan, may_leave = here.plan(recipe, redo, like, report, exclude, shard, virtual)
        engine = engine_of(plan, workers, case_timeout, executor, client)
        with here.session(plan, retire or may_leave, take_over) as session:
            for message in session.warnings:
                warnings.warn(here.told(message), MriprepWarning, 2)
            summary = execute(session, here.engine(session, engine, workers), through=here.through)
        summary = here.finish(summary)
    for message in summary.warnings[len(session.warnings) :]:
        warnings.warn(message, MriprepWarning, 2)
    return summary
