"""What other writers have left in an output folder: finished where they are dead, else named and left alone."""

from __future__ import annotations

import uuid
from contextlib import closing

from monai_mriprep.store.journal import recover
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.store import named_errors
from monai_mriprep.store.writers import Writer, this_writer

__all__ = ["take_over"]


def take_over(recorder: Recorder, foreign: bool = False) -> tuple[str, ...]:
    """Record what dead writers, and versions up to 0.3.0, have finished in ``.partial``, and clear away the rest.

    A folder is renamed before it is touched, so that of two processes only one gets it. One that cannot be taken over
    is named, and stops nothing.

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
    NewerVersionError
        If a newer version has written an entry of the journal.
    DiskFullError, OutputError
        If the records cannot be written, or ``.partial`` cannot be read.
    """
    store = recorder.store
    with named_errors(store.partial.path, "what earlier runs have left cannot be read"):
        problems = [*recover(store, store.partial, recorder.enter)]  # where versions up to 0.3.0 put everything
        problems += recover(store, store.staging, recorder.enter)
        left = [name for name in store.partial.names() if name != store.writer and store.partial.is_folder(name)]
    for name in left:
        writer = Writer.of(name)
        if writer is not None:
            problems += _take_over(recorder, name, writer, foreign)
    return tuple(problems)


def _take_over(recorder: Recorder, name: str, writer: Writer, foreign: bool) -> tuple[str, ...]:
    partial, state = recorder.store.partial, writer.state()
    if state == "own":  # a transform of this process is saving there
        return ()
    if state == "alive":
        return (f"{partial.path / name}: process {writer.pid} is writing there; it is left alone",)
    if state == "foreign" and not foreign:
        msg = (
            f"{partial.path / name}: process {writer.pid} of {writer.host} may be writing there, and cannot be asked "
            "from here; it is left alone. If it has ended, --take-over clears up after it"
        )
        return (msg,)
    mine = f"{this_writer().name}+{uuid.uuid4().hex}"
    try:
        partial.move(name, partial, mine)
        return _recover_and_remove(recorder, mine)
    except FileNotFoundError:  # another process was quicker
        return ()
    except OSError as error:
        return (f"{partial.path / name}: what a dead run has left there cannot be used ({error.strerror})",)


def _recover_and_remove(recorder: Recorder, name: str) -> tuple[str, ...]:
    store = recorder.store
    with closing(store.partial.folder(name)) as staging:
        problems = recover(store, staging, recorder.enter)
    store.partial.remove_folder(name)
    return problems
