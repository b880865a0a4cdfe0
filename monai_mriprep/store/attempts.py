"""The files of records: ``manifest.jsonl``, and one for each attempt of a shard, which nobody else writes to.

A shard is one of the parts that a run was split into, each worked on by a process of its own. Its file is named
``manifest.ATTEMPT.I-of-N.jsonl``. Attempts are counted over all shards, so that the order of the names is an order in
time, and no clock is asked. ``merge`` makes one file of them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from monai_mriprep.errors import RecordError
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.layout import MANIFEST

__all__ = ["Attempt", "Shard", "attempts_in", "has_records", "next_attempt", "record_files"]

_NAME = re.compile(r"manifest\.(?P<number>[0-9]{4,9})\.(?P<shard>[0-9]+-of-[0-9]+)\.jsonl")
_SHARD = re.compile(r"([1-9][0-9]{0,5})-of-([1-9][0-9]{0,5})")


@dataclass(frozen=True, order=True, slots=True)
class Shard:
    """One of the parts that a run was split into.

    Parameters
    ----------
    number
        Which one, from 1.
    count
        Of how many.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    @classmethod
    def of(cls, text: str | None) -> Shard | None:
        """The shard that has this name, such as ``3-of-8``; None if none has."""
        found = _SHARD.fullmatch(text or "")
        shard = None if found is None else cls(int(found[1]), int(found[2]))
        return shard if shard is not None and shard.number <= shard.count else None


class Attempt(NamedTuple):
    """One start of a shard.

    Parameters
    ----------
    number
        From 1, over all shards; those that have begun at once may share it.
    shard
        Which one.
    """

    number: int
    shard: Shard

    @property
    def file(self) -> str:
        """The name of its records."""
        return f"manifest.{self.number:04d}.{self.shard}.jsonl"

    @classmethod
    def of(cls, name: str) -> Attempt | None:
        """The attempt whose records have this name; None if none has."""
        found = _NAME.fullmatch(name)
        shard = None if found is None else Shard.of(found["shard"])
        attempt = None if found is None or shard is None else cls(int(found["number"]), shard)
        return attempt if attempt is not None and attempt.file == name else None


def attempts_in(root: Folder) -> tuple[Attempt, ...]:
    """Those whose records are in the output folder and not merged, in their order.

    Raises
    ------
    RecordError
        If the folder cannot be listed.
    """
    return _attempts_among(_names(root))


def next_attempt(root: Folder, shard: Shard) -> Attempt:
    """A new attempt of a shard, which counts after all that are there.

    Raises
    ------
    RecordError
        If the folder cannot be listed, or if somebody has used up the numbers.
    """
    attempt = Attempt(max((attempt.number for attempt in attempts_in(root)), default=0) + 1, shard)
    if Attempt.of(attempt.file) is None:
        msg = f"{root.path}: {attempts_in(root)[-1].file} leaves no number for a new attempt; merge, or remove it"
        raise RecordError(msg)
    return attempt


def record_files(root: Folder) -> tuple[str, ...]:
    """The files of records that are there, in the order in which they count: of a case, the last record is the one.

    Raises
    ------
    RecordError
        If the folder cannot be listed.
    """
    names = _names(root)  # once: between two looks a merge may make the one and remove the others
    return (*(name for name in names if name == MANIFEST), *(attempt.file for attempt in _attempts_among(names)))


def has_records(root: Folder) -> bool:
    """Whether a run has written records into the output folder.

    Raises
    ------
    RecordError
        If the folder cannot be listed.
    """
    return bool(record_files(root))


def _attempts_among(names: Iterable[str]) -> tuple[Attempt, ...]:
    found = map(Attempt.of, names)
    return tuple(sorted(attempt for attempt in found if attempt is not None))


def _names(root: Folder) -> list[str]:
    try:
        return root.names()
    except OSError as error:
        msg = f"{root.path}: cannot be listed ({error.strerror}); mend it, then run again"
        raise RecordError(msg) from error
