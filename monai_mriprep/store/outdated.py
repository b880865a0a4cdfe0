"""Which finished cases of a journal later runs have gone on without: they are not put in place any more."""

from __future__ import annotations

from collections.abc import Callable

from monai_mriprep.errors import OutputError, RecordError
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.store.description import read_description
from monai_mriprep.store.manifest import Index
from monai_mriprep.store.records import Done, Opened, Record, Started
from monai_mriprep.store.store import Store

__all__ = ["IsOutdated", "never", "outdated_in"]

IsOutdated = Callable[[Done, float], bool]
"""Tells by the record of a case, and the time of its entry in seconds since 1970."""

TICK = 0.02
"""Seconds by which the clock of files may lag behind that of records."""


def never(_done: Done, _written: float) -> bool:
    """No case is outdated: nobody but this run has written."""
    return False


def outdated_in(store: Store, index: Index) -> IsOutdated:
    """A function that tells them.

    A case is outdated if the folder was started anew since (``--redo``), if the folder has a newer record of it, or if
    it has none at all, and a later run has begun that was no shard: the case was pruned. Older records say nothing, for
    a power cut may have lost those that came after them. That somebody has begun the case anew says nothing either.

    Parameters
    ----------
    store, index
        The output folder, and its records.

    Raises
    ------
    NewerVersionError
        If a newer version has written ``run.json``.
    OutputError
        By the function, if the records cannot be read.
    """
    redo = _number_of_redo(store)

    def is_outdated(done: Done, written: float) -> bool:
        try:
            last = _last_word(index, done.case)
        except RecordError as error:  # a fault of the disk, which says nothing of the entry
            raise OutputError(str(error)) from error
        if isinstance(last, Done) and _made(last) == _made(done):  # it has been recorded
            return False
        return done.redo < redo or (last is not None and last.time > written + TICK)

    return is_outdated


def _made(done: Done) -> object:
    """By what a result of a case is told from another: its files or, where it has none, the seconds of its stages."""
    return done.outputs or done.seconds


def _last_word(index: Index, case: str) -> Record | Opened | None:
    latest = index.latest(case)
    if latest is None:
        return index.opened_whole
    return index.done(case) if isinstance(latest, Started) else latest


def _number_of_redo(store: Store) -> int:
    try:
        description = read_description(store)
    except NewerVersionError:
        raise
    except RecordError:
        return 0
    return 0 if description is None else description.redo.number
