"""One file of records out of those of all parts of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

from monai_mriprep.errors import RecordError
from monai_mriprep.store.attempts import attempts_in, record_files
from monai_mriprep.store.description import settle_description, share_description
from monai_mriprep.store.layout import MANIFEST
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.record_lines import file_lines, manifest_lines
from monai_mriprep.store.record_parts import OutputRecord
from monai_mriprep.store.records import Done, read_record
from monai_mriprep.store.store import AGAIN, Store, named_errors
from monai_mriprep.store.takeover import refuse_shards, refuse_whole

__all__ = ["merge_records"]


def merge_records(store: Store, foreign: bool = False) -> int:
    """Put the records of all parts of a run into ``manifest.jsonl``, in the order in which they count.

    The files of the parts go when it is on the disk. So after a crash at any step another call goes on: a file whose
    lines are in ``manifest.jsonl`` already is only removed.

    Parameters
    ----------
    store
        The output folder; its lock is held, or the file system has none.
    foreign
        Parts that other machines have worked on have ended.

    Returns
    -------
    int
        How many files there were.

    Raises
    ------
    LockedError
        If a part may be under way, or somebody else who merges.
    RecordError
        If a file of records cannot be read.
    DiskFullError, OutputError
        If the records cannot be written; nothing is lost then.
    """
    files = [attempt.file for attempt in attempts_in(store.root)]
    refuse_shards(store, foreign)  # after it: who begins meanwhile, where there are no locks, has a file that stays
    if files:
        refuse_whole(store, foreign)
        store.replace(MANIFEST, _merged(store, files))
        with named_errors(store.root.path, "merged files of records cannot be removed", AGAIN):
            for file in files:
                store.root.remove(file)
            store.root.sync()
    if not attempts_in(store.root):
        settle_description(store)
        if attempts_in(store.root):  # of a shard that has begun in between
            share_description(store)
    return len(files)


def _merged(store: Store, files: Collection[str]) -> Iterator[bytes]:
    """A file is known by its first line, which says who has begun it, and when.

    Of a case that was made more than once, as where somebody was wrongly told to have ended, the record comes last
    whose files are there.
    """
    firsts = {file: next(_whole_lines(store, file), b"") for file in files}
    wanted, there = set(firsts.values()), set[bytes]()
    for line in _whole_lines(store, MANIFEST) if MANIFEST in record_files(store.root) else ():
        if line in wanted:
            there.add(line)
        yield line
    for file in files:
        if firsts[file] not in there:
            yield from _whole_lines(store, file)
    yield from _standing(store)


def _standing(store: Store) -> Iterator[bytes]:
    """A line for each case whose last record does not fit the files that are there, while an earlier one does."""
    index = read_index(store.root)
    wrong = {case for case in index.repeated if index.event(case) == "done" and not _stands(store, index.done(case))}
    found = dict[str, bytes]()
    for line, is_rest in manifest_lines(store.root) if wrong else ():
        with suppress(RecordError):
            record = None if is_rest else read_record(line.decode(errors="replace"))
            if isinstance(record, Done) and record.case in wrong and _stands(store, record):
                found[record.case] = line
    yield from found.values()


def _stands(store: Store, record: Done | None) -> bool:
    """Whether its files are there, by their size and time."""
    return record is not None and all(_is_there(store, file) for file in record.outputs.values())


def _is_there(store: Store, file: OutputRecord) -> bool:
    folder, name = file.path.split("/")
    found = store.folder(folder).status(name) if store.has_folder(folder) else None
    return found is not None and file.fits(found)


def _whole_lines(store: Store, file: str) -> Iterator[bytes]:
    """The lines of a file, in pieces where they are very long; what a crash has torn at its end gets an end."""
    before: bytes | None = None
    for line, _ in file_lines(store.root, file):
        if before is not None:
            yield before
        before = line
    if before is not None:
        yield before if before.endswith(b"\n") else before + b"\n"
