"""Records that are deleted from ``manifest.jsonl`` for good, such as after a withdrawn consent."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.sealed import NewerVersionError, seal, unseal
from monai_mriprep.store.layout import MANIFEST
from monai_mriprep.store.manifest import named_cases
from monai_mriprep.store.record_lines import manifest_lines
from monai_mriprep.store.records import Opened, Record, Retired, read_record
from monai_mriprep.store.store import Store

__all__ = ["Deleted", "Retirement", "delete_records", "retirements"]


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


class Deleted(NamedTuple):
    """How many records, and how many warnings in the records of runs."""

    records: int
    warnings: int


def retirements(store: Store) -> dict[str, Retirement]:
    """Everything that the records say was retired, by the name of the case.

    Raises
    ------
    RecordError
        If the records cannot be read, or a newer version has written one.
    """
    found: dict[str, Retirement] = {}
    for number, (line, _) in enumerate(manifest_lines(store.root)):
        try:
            record = _record(line)
        except NewerVersionError as error:
            msg = f"{store.root.path / MANIFEST}, line {number + 1}: {error}"
            raise NewerVersionError(msg) from error
        if isinstance(record, Retired):
            before = found[record.case].files if record.case in found else frozenset()
            found[record.case] = Retirement(number, before | frozenset(record.files))
    return found


def delete_records(store: Store, retired: Mapping[str, Retirement], dry_run: bool = False) -> Deleted:
    """Delete the lines of these cases up to their retirement, damaged ones included; the others stay as they are.

    From the records of runs the warnings go that name a file of theirs. With `dry_run` they are only counted.

    Raises
    ------
    RecordError
        If the records cannot be read.
    DiskFullError, OutputError
        If they cannot be written; they are as before then.
    """
    if not retired:
        return Deleted(0, 0)
    n_records = n_warnings = 0
    named = _naming(retired)

    def kept() -> Iterator[bytes]:
        nonlocal n_records, n_warnings
        goes = False
        for number, (line, is_rest) in enumerate(manifest_lines(store.root)):
            record = None if is_rest else _record(line)
            if not is_rest:
                goes = any(number <= retired[case].line for case in _cases(record, line) if case in retired)
                n_records += goes
            n_named = _count(named, record)
            n_warnings += n_named
            if not goes:
                yield _without_warnings(line, named) if n_named else line

    if dry_run:
        deque(kept(), maxlen=0)
    else:
        store.replace(MANIFEST, kept())
    return Deleted(n_records, n_warnings)


def _naming(retired: Mapping[str, Retirement]) -> re.Pattern[str]:
    """Finds the name of a case, or of a file of it, in a warning."""
    files = (path for one in retired.values() for path in one.files)
    stems = (re.sub(r"(\.[0-9]+)?\.npz$", "", path.rpartition("/")[2]) for path in files)
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, {*retired, *stems}))})(?![^\W_])")


def _count(named: re.Pattern[str], record: Record | Opened | None) -> int:
    """How many warnings of a run name what is deleted."""
    return sum(map(bool, map(named.search, record.warnings))) if isinstance(record, Opened) else 0


def _without_warnings(line: bytes, named: re.Pattern[str]) -> bytes:
    """The record of a run, with all that it says but for these warnings."""
    _, facts = unseal(line.lstrip(b"\0").decode(errors="replace"))
    left = [warning for warning in facts["warnings"] if not named.search(warning)]
    return f"{seal({**facts, 'warnings': left})}\n".encode()


def _record(line: bytes) -> Record | Opened | None:
    try:
        return read_record(line.lstrip(b"\0").decode(errors="replace"))
    except NewerVersionError:
        raise
    except RecordError:
        return None


def _cases(record: Record | Opened | None, line: bytes) -> Collection[str]:
    """The cases that a line names; a damaged one may name several."""
    if record is None:
        return set(named_cases(line))
    return () if isinstance(record, Opened) else (record.case,)
