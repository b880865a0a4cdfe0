"""Records that are deleted from ``manifest.jsonl`` for good, such as after a withdrawn consent."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.store.layout import MANIFEST
from monai_mriprep.store.manifest import manifest_lines, named_cases
from monai_mriprep.store.records import Opened, Record, Retired, read_record
from monai_mriprep.store.store import Store

__all__ = ["Retirement", "delete_records", "retirements"]


@dataclass(frozen=True)
class Retirement:
    """What was retired of a case.

    Parameters
    ----------
    line
        Number of the last line of the manifest that says so, from 0. A case that lives on has later ones.
    files
        Where its files are by these lines, relative to the output folder.
    """

    line: int
    files: frozenset[str]


def retirements(store: Store) -> dict[str, Retirement]:
    """Everything that the records say was retired, by the name of the case.

    Raises
    ------
    RecordError
        If the records cannot be read, or a newer version has written one.
    """
    found: dict[str, Retirement] = {}
    for number, (line, _) in enumerate(manifest_lines(store.root)):
        record = _record(line)
        if isinstance(record, Retired):
            before = found[record.case].files if record.case in found else frozenset()
            found[record.case] = Retirement(number, before | frozenset(record.files))
    return found


def delete_records(store: Store, retired: Mapping[str, Retirement]) -> int:
    """Delete the lines of these cases up to their retirement, damaged ones included; the others stay as they are.

    Returns
    -------
    int
        How many there were.

    Raises
    ------
    RecordError
        If the records cannot be read.
    DiskFullError, OutputError
        If they cannot be written; they are as before then.
    """
    n_deleted = 0

    def kept() -> Iterator[bytes]:
        nonlocal n_deleted
        goes = False
        for number, (line, is_rest) in enumerate(manifest_lines(store.root)):
            if not is_rest:
                goes = any(number <= retired[case].line for case in _cases(line) if case in retired)
                n_deleted += goes
            if not goes:
                yield line

    store.replace(MANIFEST, kept())
    return n_deleted


def _record(line: bytes) -> Record | Opened | None:
    try:
        return read_record(line.lstrip(b"\0").decode(errors="replace"))
    except NewerVersionError:
        raise
    except RecordError:
        return None


def _cases(line: bytes) -> Collection[str]:
    """The cases that a line names; a damaged one may name several."""
    record = _record(line)
    if record is None:
        return set(named_cases(line))
    return () if isinstance(record, Opened) else (record.case,)
