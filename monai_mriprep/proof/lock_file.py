"""``data.lock``: what a folder was made of, by what, and what came out, a line of sealed JSON for each case.

The first line holds what all cases share, and their names; the last one the hash of all before it. Every other line is
a case. There are no times, and no places but those relative to dataset and output folder: equal folders give equal
bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

from monai_mriprep.errors import RecordError, first_names
from monai_mriprep.formats.sealed import seal, unseal
from monai_mriprep.models import Model, Sha256, checked
from monai_mriprep.proof.locked import LockedCase, LockHead

__all__ = ["FORMAT", "LockFile", "case_of", "chosen_names", "end_of", "lock_lines", "read_lock"]

FORMAT = 1
"""Of the lock as a whole; a reader refuses a higher one."""
LONGEST_LINE = 1 << 24
LARGEST = 1 << 32
"""Bytes that are taken for a line, and for a lock."""


class _End(Model):
    """The last line: SHA-256 of the bytes of all lines before it."""

    sha256: Sha256


_HEAD, _CASE, _LAST = TypeAdapter(LockHead), TypeAdapter(LockedCase), TypeAdapter(_End)


def lock_lines(head: LockHead, cases: Iterable[LockedCase]) -> Iterator[str]:
    """The lines of a lock, each with its line end."""
    digest = hashlib.sha256()
    for facts in chain([head], cases):
        line = f"{seal(facts.model_dump(mode='json'))}\n"
        digest.update(line.encode())
        yield line
    yield f"{seal({'sha256': digest.hexdigest()})}\n"


def end_of(line: str) -> str:
    """The hash that the last line of a lock holds."""
    end: _End = checked(_LAST, unseal(line)[1])
    return end.sha256


@dataclass(frozen=True)
class LockFile:
    """A lock that was read.

    Parameters
    ----------
    path
        The file.
    head
        What all cases share.
    lines
        The line of each case, by its name: a case is parsed when it is asked for, since there may be thousands.
    sha256
        That of its last line.
    """

    path: Path
    head: LockHead
    lines: Mapping[str, str]
    sha256: str

    def case(self, name: str) -> LockedCase:
        """What the lock says of a case."""
        return case_of(self.lines[name])


def case_of(line: str) -> LockedCase:
    """The case that a line tells of.

    Raises
    ------
    RecordError
        If the line was changed since it was written, or is none of a case.
    """
    case: LockedCase = checked(_CASE, unseal(line)[1])
    return case


def read_lock(path: str | Path) -> LockFile:
    """Read a lock and check that it is whole: no line of it was changed, added, moved or taken away.

    Raises
    ------
    RecordError
        If it cannot be read, is not whole, contradicts itself, or a newer version has written it; with the line.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); give a file that `lock` has written"
        raise RecordError(msg) from error


def _read(path: Path, file: IO[bytes]) -> LockFile:
    lines, digest = _numbered(path, file), hashlib.sha256()
    number, line = next(lines, (1, b""))
    head = _head(path, number, line)
    cases: dict[str, str] = {}
    while True:
        digest.update(line)
        number, line = next(lines, (number, b""))
        if not line or _is_end(line):
            break
        name = _case_name(path, number, line, head, cases)
        cases[name] = line.decode()
    _require_whole(path, head, cases)
    if not line:
        msg = f"{path}: its last line is missing: it was cut off"
        raise RecordError(msg)
    end: _End = _parsed(path, number, line, _LAST, "the end")
    if end.sha256 != digest.hexdigest() or next(lines, None) is not None:
        msg = f"{path}: a line was moved or added since it was written: its last line has the hash of other ones"
        raise RecordError(msg)
    return LockFile(path, head, cases, end.sha256)


def _head(path: Path, number: int, line: bytes) -> LockHead:
    head: LockHead = _parsed(path, number, line, _HEAD, "what all cases share")
    if head.lock > FORMAT:
        msg = f"{path}: a newer version of monai-mriprep has written it (lock {head.lock}); update monai-mriprep"
        raise RecordError(msg)
    return head


def _case_name(path: Path, number: int, line: bytes, head: LockHead, before: Container[str]) -> str:
    """The name of a case, which must be of the kind that the first line says, and another one than those before it."""
    case: LockedCase = _parsed(path, number, line, _CASE, "a case")
    if case.case in before:
        msg = f"{path}, line {number}: tells of the case {case.case} again"
        raise RecordError(msg)
    if not case.is_of(head):
        msg = f"{path}, line {number}: its sources or volumes are not those that the first line says of all cases"
        raise RecordError(msg)
    return case.case


def _numbered(path: Path, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    size = 0
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1):
        size += len(line)
        if not line.endswith(b"\n") or size > LARGEST:
            msg = f"{path}, line {number}: is cut off, or longer than any line of a lock"
            raise RecordError(msg)
        yield number, line


def _is_end(line: bytes) -> bool:
    """Whether this seems to be the last line."""
    return line.startswith(b'{"version": 1, "sha256": ')


def _parsed(path: Path, number: int, line: bytes, adapter: TypeAdapter[Any], what: str) -> Any:
    try:
        return checked(adapter, unseal(line.decode())[1])
    except UnicodeDecodeError:
        problem = "it is no text"
    except RecordError as error:
        problem = str(error)
    msg = f"{path}, line {number}: is not as `lock` writes {what}, or was changed since ({problem})"
    raise RecordError(msg)


def _require_whole(path: Path, head: LockHead, cases: Mapping[str, str]) -> None:
    missing, more = ([*set(one) - set(other)] for one, other in ((head.cases, cases), (cases, head.cases)))
    for names, problem in ((missing, "lacks the line of"), (more, "has a line, and not in its first one the name, of")):
        if names:
            msg = f"{path}: {problem} {first_names(sorted(names))}: it was changed since it was written, or cut off"
            raise RecordError(msg)
    if sorted(head.cases) != list(head.cases) or len(set(head.cases)) != len(head.cases):
        msg = f"{path}, line 1: the names of its cases are not sorted, or one is there twice"
        raise RecordError(msg)


def chosen_names(lock: LockFile, names: Sequence[str]) -> tuple[str, ...]:
    """These cases of a lock.

    Raises
    ------
    RecordError
        If it does not tell of one, or none is named.
    """
    if not names:
        msg = f"{lock.path}: no case of it is named, so nothing would be compared"
        raise RecordError(msg)
    if unknown := [name for name in names if name not in lock.lines]:
        msg = f"{lock.path}: tells of no case {first_names(unknown)}; it has {first_names(lock.head.cases)}"
        raise RecordError(msg)
    return tuple(dict.fromkeys(names))
