"""What other writers have left in an output folder: finished where they are dead, else named and left alone.

Parts of a run work beside each other. So what one part has left is the business of that part, and of `merge`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from monai_mriprep.errors import LockedError, OutputError, package_logger
from monai_mriprep.store.attempts import Shard, attempts_in
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.journal import recover
from monai_mriprep.store.layout import is_entry
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.outdated import outdated_in
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.store import Store, named_errors
from monai_mriprep.store.writers import State, Writer, another_name

__all__ = ["clear_taken", "refuse_shards", "refuse_whole", "take_over"]

PROBLEM = "what earlier runs have left cannot be read"

_taken: set[str] = set()
"""Folders that this process has taken over. One that an error did not let it clear is tried again."""


def take_over(recorder: Recorder, foreign: bool = False) -> tuple[str, ...]:
    """Record what dead writers, and versions up to 0.3.0, have finished in ``.partial``, and clear away the rest.

    A folder is renamed before it is touched, so that of two processes only one gets it. One that cannot be taken over
    is named, and stops nothing. Finished cases that later runs have gone on without are dropped and named.

    A part of a run takes over what dead writers of the same part have left, and those of whole runs.

    Parameters
    ----------
    recorder
        Of the output folder. Its lock is held, or the file system has none.
    foreign
        Take over writers of other machines, too. They cannot be asked whether they are alive.

    Returns
    -------
    tuple of str
        What needs review.

    Raises
    ------
    LockedError
        If the same part of the run may be under way, or one of another split.
    OutputError
        If there are records of another split.
    NewerVersionError
        If a newer version has written an entry of the journal.
    DiskFullError, OutputError
        If the records cannot be written, or ``.partial`` cannot be read.
    """
    store = recorder.store
    mine = shard_of(store)
    with named_errors(store.partial.path, PROBLEM):
        staging = store.staging  # is seen by others from here on, and only then do we look for them
        if mine is not None:
            _refuse_other_split(store, mine)
            refuse_shards(store, foreign, mine)
            refuse_whole(store, foreign=True)  # one that is alive here; of another machine it may be long dead
        problems = [*_recover(recorder, staging)]
        left = [name for name in store.partial.names() if name != store.writer and store.partial.is_folder(name)]
        left.sort(key=lambda name: _time_of(store.partial, name), reverse=True)  # of a case, the newest counts
    for name in left:
        writer = Writer.of(name)
        if writer is not None and (mine is None or writer.shard in (None, mine)):
            problems += _take_over(recorder, name, writer, foreign)
    with named_errors(store.partial.path, PROBLEM):
        problems += _recover(recorder, store.partial)  # where versions up to 0.3.0 put everything
    return tuple(problems)


def clear_taken(recorder: Recorder) -> None:
    """Clear once more what was taken over and is not empty: a worker of a dead run may have written there meanwhile.

    Raises
    ------
    DiskFullError, OutputError
        If the records cannot be written.
    """
    for name in sorted(filter(recorder.store.partial.is_folder, _taken)):
        _recover_and_remove(recorder, name)


def shard_of(store: Store) -> Shard | None:
    """The part of a run that the store's writer works on; None for the whole."""
    writer = Writer.of(store.writer)
    return None if writer is None else writer.shard


def refuse_shards(store: Store, foreign: bool = False, shard: Shard | None = None) -> None:
    """Stop where parts of a run may be under way.

    Parameters
    ----------
    store
        The output folder.
    foreign
        Those of other machines have ended, as somebody says who knows.
    shard
        This part alone, and those of another split, which share its cases; None is any.

    Raises
    ------
    LockedError
        With what writes there, and the remedy.
    OutputError
        If ``.partial`` cannot be listed.
    """
    _refuse(store, foreign, lambda name, writer: _is_beside(writer.shard, shard))


def refuse_whole(store: Store, foreign: bool = False) -> None:
    """Stop where a run of the whole, or another merge, may be under way: two that merge at once would lose records.

    Raises
    ------
    LockedError, OutputError
        As `refuse_shards`.
    """
    _ = store.staging  # is seen by others from here on, and only then do we look for them
    _refuse(store, foreign, lambda name, writer: name == writer.name and writer.shard is None)


def _refuse(store: Store, foreign: bool, matters: Callable[[str, Writer], bool]) -> None:
    with named_errors(store.partial.path, PROBLEM):
        names = store.partial.names()
    for name in names:
        writer = Writer.of(name)
        if writer is None or name == store.writer or not matters(name, writer):
            continue
        state = writer.state()
        if state == "alive" or (state == "foreign" and not foreign):
            raise LockedError(_under_way(store.partial.path / name, writer, state))


def _is_beside(there: Shard | None, mine: Shard | None) -> bool:
    """Whether both have cases in common, of two parts; None is no part, and the whole."""
    return there is not None and (mine is None or mine == there or mine.count != there.count)


def _refuse_other_split(store: Store, mine: Shard) -> None:
    """Stop where the cases were split into another number of parts, as by ``--shard auto`` in a part of an array."""
    counts = sorted({attempt.shard.count for attempt in attempts_in(store.root)} - {mine.count})
    if counts:
        has = " and ".join(map(str, counts))
        msg = (
            f"{store.root.path}: holds records of one of {has} shards, and this is one of {mine.count}; give the same "
            f"number, or `merge {store.root.path}` when all have ended, and go on with another"
        )
        raise OutputError(msg)


def _under_way(place: Path, writer: Writer, state: State) -> str:
    what = "works there" if writer.shard is None else f"works on shard {writer.shard}"
    who = f"{place}: process {writer.pid} of {writer.host} {what}"
    if state == "alive":
        return f"{who}; wait for its end"
    return f"{who}, or did, and cannot be asked from here. If it has ended, --take-over clears up after it, with " + (
        "`merge` or `run`" if writer.shard is None else "`run --shard` of it, or with `merge`"
    )


def _time_of(partial: Folder, name: str) -> float:
    found = partial.status(name)
    return 0.0 if found is None else found.st_mtime


def _take_over(recorder: Recorder, name: str, writer: Writer, foreign: bool) -> tuple[str, ...]:
    partial, state = recorder.store.partial, writer.state()
    if state == "own" and writer.shard is None and name not in _taken:  # a transform of this process is saving there
        return ()
    if state == "alive":
        return (f"{partial.path / name}: process {writer.pid} is writing there; it is left alone",)
    if state == "foreign" and not foreign:
        msg = (
            f"{partial.path / name}: process {writer.pid} of {writer.host} may be writing there, and cannot be asked "
            "from here; it is left alone. If it has ended, `run --take-over` clears up after it"
        )
        return (msg,)
    package_logger().debug(
        "%s: what process %s has left is put in place or cleared away", partial.path / name, writer.pid
    )
    try:
        return _recover_and_remove(recorder, _renamed(recorder.store, name))
    except FileNotFoundError:  # another process was quicker
        return ()
    except OSError as error:
        return (f"{partial.path / name}: what a dead run has left there cannot be used ({error.strerror})",)


def _renamed(store: Store, name: str) -> str:
    mine, partial = another_name(shard_of(store)), store.partial
    partial.move(name, partial, mine)
    _taken.add(mine)
    return mine


def _recover_and_remove(recorder: Recorder, name: str) -> tuple[str, ...]:
    store = recorder.store
    with closing(store.partial.folder(name)) as staging:
        problems = _recover(recorder, staging)
    store.partial.remove_folder(name)
    return problems


def _recover(recorder: Recorder, staging: Folder) -> tuple[str, ...]:
    store, has_entries = recorder.store, any(map(is_entry, staging.names()))
    index = read_index(store.root) if has_entries else Index(store.root)
    return recover(store, staging, recorder.enter, outdated_in(store, index))
