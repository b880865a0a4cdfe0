"""The files that are derived from the records when a run ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from monai_mriprep.errors import OutputError
from monai_mriprep.formats.names import natural_key
from monai_mriprep.run.case_table import table_of
from monai_mriprep.run.dataset_json import describe_dataset, is_current, listed_cases
from monai_mriprep.store.attempts import attempts_in
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.layout import DATASET, TABLE
from monai_mriprep.store.manifest import Index, Made, read_index
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import Store
from monai_mriprep.types import LABEL

__all__ = ["ONE_CHANNEL", "derive", "remove_derived", "training_cases", "write_derived"]

ONE_CHANNEL = ("MRI",)
TEXTS_AT_ONCE = 1000
"""Lines of the table, or tokens of JSON, that are written by one call."""


def write_derived(
    store: Store,
    index: Index,
    cases: Iterable[str],
    fingerprint: str,
    channels: Sequence[str] | None = None,
    virtual: bool = False,
) -> None:
    """Write ``manifest.csv``, all recorded cases, and ``dataset.json``, those that are good for training.

    Of a virtual folder there is no ``dataset.json``: it has no files to name.

    Where one cannot be written, as on a full disk, or the records cannot be read, an older one is removed: a wrong list
    is worse than none, and the records are in ``manifest.jsonl``.

    Parameters
    ----------
    store, index
        The output folder, and its records.
    cases
        Of the dataset.
    fingerprint
        Of the run.
    channels
        Names of an image's channels, where it has several.
    virtual
        Whether the folder is one.
    """
    latest = (index.latest(case) for case in sorted(index.cases(), key=natural_key))
    _write(store, TABLE, table_of(record for record in latest if record is not None))
    if virtual:
        _remove(store, DATASET)
    else:
        _write(store, DATASET, _json(_good(store, index, cases, fingerprint), channels or ONE_CHANNEL))


def _good(store: Store, index: Index, cases: Iterable[str], fingerprint: str, virtual: bool = False) -> Iterator[Done]:
    """The records of those cases that are good for training, in the order of the list."""
    good = (case for case in sorted(cases, key=natural_key) if index.event(case) != "failed")
    done = (record for case in good if (record := index.done(case)) is not None)
    yield from (record for record in done if is_current(record, store, fingerprint, virtual))


def training_cases(store: Store) -> tuple[str, ...]:
    """The training cases that ``dataset.json`` lists or, while records of shards are not merged, is going to list.

    Of a virtual folder, those that are good for training by the records.

    Raises
    ------
    RecordError
        If there is no such list, or the records cannot be read.
    """
    description = _described(store)
    if not (attempts_in(store.root) or (description is not None and description.virtual)):
        return listed_cases(store)
    index = read_index(store.root)
    fingerprint, _, virtual = _made_by(store, index)
    good = _good(store, index, index.cases(), fingerprint, virtual)
    return tuple(record.case for record in good if LABEL.name in record.sources)


def derive(store: Store, index: Index, cases: Iterable[str]) -> None:
    """Write both as the folder's own description says; without ``run.json``, as most of its cases were made."""
    write_derived(store, index, cases, *_made_by(store, index))


def _made_by(store: Store, index: Index) -> tuple[str, Sequence[str] | None, bool]:
    """The fingerprint of the cases to list, the names of channels, and whether the folder is virtual."""
    description = _described(store)
    if description is not None:
        return description.fingerprint, description.recipe.get("channels"), description.virtual
    made = next((made for made, _ in index.finished().most_common(1)), Made("", 0))
    return made.fingerprint, None, made.virtual


def _described(store: Store) -> RunDescription | None:
    """What ``run.json`` says, if it can be read."""
    with suppress(OutputError):
        return read_description(store)
    return None


def remove_derived(store: Store) -> None:
    """Remove both: they are older than the records, which cannot be read."""
    for name in (TABLE, DATASET):
        _remove(store, name)


def _json(records: Iterable[Done], channels: Sequence[str]) -> Iterator[str]:
    yield from json.JSONEncoder(indent=2).iterencode(describe_dataset(records, channels))
    yield "\n"


def _write(store: Store, name: str, texts: Iterable[str]) -> None:
    """Write texts that are made one at a time: with many cases the whole would take more memory than all else."""
    try:
        store.replace(name, map(_encoded, _gathered(texts)))
    except (OutputError, OSError):
        _remove(store, name)


def _remove(store: Store, name: str) -> None:
    with suppress(OSError):
        store.root.remove(name)


def _gathered(texts: Iterable[str]) -> Iterator[str]:
    """The same in pieces that are worth a call of the system."""
    piece: list[str] = []
    for text in texts:
        piece.append(text)
        if len(piece) == TEXTS_AT_ONCE:
            yield "".join(piece)
            piece.clear()
    yield "".join(piece)


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")  # names of files that are not text
