"""What retired cases have left in an output folder is deleted: volumes, pictures, records and rows of tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.errors import RecordError, first_names
from monai_mriprep.formats.names import natural_key
from monai_mriprep.run.case_list import drop_list
from monai_mriprep.run.derived import derive
from monai_mriprep.store.attempts import has_records
from monai_mriprep.store.layout import ADVICE, CASES, MANIFEST, SET_ASIDE, SPLITS
from monai_mriprep.store.lock import exclusive, shared
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.merging import merge_records
from monai_mriprep.store.pictures import remove_pictures, remove_report, report_files
from monai_mriprep.store.pruning import Retirement, delete_records, retirements
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.retirement import remove_retired, retired_files
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.store.takeover import take_over

__all__ = ["PruneSummary", "prune_output"]


@dataclass(frozen=True)
class PruneSummary:
    """What was deleted from an output folder.

    Parameters
    ----------
    root
        The folder.
    cases
        Whose data it was.
    files
        Relative to the folder.
    records
        How many.
    run_warnings
        How many warnings in the records of runs, which named files of theirs.
    warnings
        What may still hold something of these cases, or needs review otherwise.
    """

    root: Path
    cases: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    records: int = 0
    run_warnings: int = 0
    warnings: tuple[str, ...] = ()


def prune_output(output_root: str | Path, cases: Collection[str] = (), dry_run: bool = False) -> PruneSummary:
    """Delete what retired cases have left: volumes in ``retired/``, pictures, records, rows of ``manifest.csv``.

    The report, the list of `plan` and ``advice.json`` go, too, for they may show or name them; the commands write them
    anew.

    Of a case that lives on, as one whose label was renamed, what came after its retirement stays. What dead writers
    have left in ``.partial`` is finished or cleared away first.

    Parameters
    ----------
    output_root
        From a run.
    cases
        Names of retired cases; by default all.
    dry_run
        Say what would be deleted; nothing is changed.

    Raises
    ------
    RecordError
        If there are no records, or a case is not retired. Nothing is deleted then.
    LockedError
        If a run is alive in the folder.
    DiskFullError, OutputError
        If something cannot be deleted. The same command goes on where this one has stopped.
    """
    with open_store(Path(output_root)) as store:
        if not has_records(store.root):
            msg = f"{store.root.path}: no {MANIFEST} there, so no records of retired cases; give the folder of a run"
            raise RecordError(msg)
        if dry_run:
            with shared(store.root):
                return _prune(store, cases, (), dry_run)
        aside = store.prepare()
        with exclusive(store.root):
            try:
                store.own_manifest()
                merge_records(store)
                left = take_over(Recorder(store))
                return _prune(store, cases, (*aside, *left))
            finally:
                store.leave()


def _prune(store: Store, cases: Collection[str], warnings: tuple[str, ...], dry_run: bool = False) -> PruneSummary:
    """The records last: as long as they are there, the same command finds what is left to delete."""
    retired = retirements(store)
    chosen = _chosen(store, retired, cases)
    there = retired_files(store)
    files = {path for one in chosen.values() for path in one.files}
    gone = chosen.keys() - read_index(store.root).cases()
    shown = report_files(store) if chosen else ()
    listed = (CASES,) if chosen and store.root.status(CASES) is not None else ()
    advised = (ADVICE,) if chosen and store.root.status(ADVICE) is not None else ()
    if not dry_run:
        remove_retired(store, files)
        remove_pictures(store, gone)
        if shown:
            remove_report(store)
        if listed:
            drop_list(store)
        for name in advised:
            store.root.remove(name)
    deleted = delete_records(store, chosen, dry_run)
    index = read_index(store.root)
    if not dry_run:
        derive(store, index, index.cases())
    known = {path for one in retired.values() for path in one.files}
    return PruneSummary(
        store.root.path,
        tuple(chosen),
        (*(path for path in there if path in files), *shown, *listed, *advised),
        deleted.records,
        deleted.warnings,
        (*warnings, *_what_else(store, gone, [path for path in there if path not in known])),
    )


def _chosen(store: Store, retired: Mapping[str, Retirement], cases: Collection[str]) -> dict[str, Retirement]:
    unknown = [case for case in cases if case not in retired]
    if unknown:
        msg = (
            f"{store.root.path}: not retired: {first_names(unknown)}. Only what is retired is deleted: take the scans "
            "out of the dataset, run, then prune; nothing was deleted"
        )
        raise RecordError(msg)
    return {case: retired[case] for case in sorted(cases or retired, key=natural_key)}


def _what_else(store: Store, gone: Set[str], unknown: Collection[str]) -> Iterator[str]:
    """What may hold something of the deleted cases, and is not ours to delete."""
    if unknown:
        yield f"no record says whose these are, so they stay until the next run: {first_names(unknown)}"
    if named := sorted(gone & _cases_in_splits(store), key=natural_key):
        yield f"{store.root.path / SPLITS} names {first_names(named)}; split again"
    if aside := [name for name in store.root.names() if SET_ASIDE in name]:
        yield f"what was set aside may hold data of theirs; remove it yourself: {first_names(aside)}"


def _cases_in_splits(store: Store) -> set[str]:
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        folds = json.loads(store.root.read(SPLITS))
        return {str(case) for fold in folds for names in fold.values() for case in names}
    return set()
