"""What the records say, in little memory: of a case, the last line of the last file counts.

They are in ``manifest.jsonl``, and in the files of shards until ``merge``: see `monai_mriprep.store.attempts`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.store.attempts import Shard, record_files
from monai_mriprep.store.folder import Folder
from monai_mriprep.store.layout import LONGEST_NAME, MANIFEST
from monai_mriprep.store.record_lines import file_lines, reading
from monai_mriprep.store.records import Done, Opened, Record, Retired, read_record

__all__ = ["Index", "Made", "named_cases", "read_index"]

CASE = re.compile(rb'"case": *("(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})){0,%d}")' % LONGEST_NAME)
"""Where a line names its case; what comes after it may be torn."""

STARTS = (b'{"version":', b'{"event":')
"""How a record begins; the second one up to 0.3.0."""


class Made(NamedTuple):
    """By what a case was made: fingerprint of recipe, target and algorithm, number of the redo; whether virtual."""

    fingerprint: str
    redo: int
    virtual: bool = False


class _Place(NamedTuple):
    """Where a line is, what its event is, and by what its case was made if it is finished."""

    event: str
    file: str
    offset: int
    length: int
    made: Made | None = None


@dataclass
class Index:
    """Where the records of each case are. A record is read again when it is asked for.

    Parameters
    ----------
    root
        The output folder; must be open when a record is asked for.
    places
        Where the last record of each case is.
    done_places
        Where the last record of success is, whatever was tried since, unless the case was retired.
    damaged
        What is wrong with the last line of a case, where that is no record or was changed. Such a case has no latest
        record, so that it is done again.
    nameless
        What is wrong with lines that are no records and name no case, and that no crash has torn.
    opened
        Of the last run, or shard; None up to 0.3.0.
    opened_whole
        Of the last run that was no shard.
    repeated
        Cases with more than one record of success.
    begun
        The numbers of the shards that have begun, by the hash of their list of cases and their count.
    """

    root: Folder
    places: dict[str, _Place] = field(default_factory=dict)
    done_places: dict[str, _Place] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    nameless: list[str] = field(default_factory=list)
    opened: Opened | None = None
    opened_whole: Opened | None = None
    repeated: set[str] = field(default_factory=set)
    begun: dict[tuple[str | None, int], set[int]] = field(default_factory=dict)
    _made: dict[Made, Made] = field(default_factory=dict)

    def finished(self, without: Collection[str] = ()) -> Counter[Made]:
        """How many cases, but for some, have a record of success and were not retired, by what they were made."""
        places = self.done_places.items()
        return Counter(place.made for case, place in places if place.made is not None and case not in without)

    def cases(self) -> set[str]:
        """All that have a record, or a damaged one; those that were retired are left out."""
        return {name for name, place in self.places.items() if place.event != "retired"} | self.damaged.keys()

    def known(self) -> set[str]:
        """All that a line names, those that were retired included."""
        return {*self.places, *self.damaged}

    def event(self, case: str) -> str | None:
        """The last one of a case."""
        place = self.places.get(case)
        return None if place is None else place.event

    def made(self, case: str) -> Made | None:
        """By what its last success was made."""
        place = self.done_places.get(case)
        return None if place is None else place.made

    def latest(self, case: str) -> Record | None:
        """The last record of a case."""
        return self._read(self.places.get(case))

    def done(self, case: str) -> Done | None:
        """The last record of success of a case, whatever was tried since."""
        record = self._read(self.done_places.get(case))
        return record if isinstance(record, Done) else None

    def all_done(self) -> Iterator[Done]:
        """The last record of success of each case, one at a time, in the order of the files."""
        order = {file: number for number, file in enumerate(record_files(self.root))}
        places = self.done_places.items()
        for case, _ in sorted(places, key=lambda item: (order.get(item[1].file, -1), item[1].offset)):
            record = self.done(case)
            if record is not None:
                yield record

    def made_by(self, fingerprint: str, cases: Iterable[str]) -> Iterator[Done]:
        """The last record of success of each of these cases that was made by this, one at a time."""
        for case in cases:
            record = self.done(case)
            if record is not None and record.fingerprint == fingerprint:
                yield record

    def problems(self, shown: int = 5) -> tuple[str, ...]:
        """What cannot be trusted, a sentence for each of the first lines, and one for all others."""
        found = tuple(dict.fromkeys((*self.damaged.values(), *self.nameless)))  # a line may name several cases
        rest = len(found) - shown
        more = f"{rest} more lines of {MANIFEST} cannot be trusted; `verify` names the cases"
        return (*found[:shown], more) if rest > 1 else found

    def add(self, file: str, number: int, offset: int, line: bytes) -> None:
        """Enter the next line of a file.

        Raises
        ------
        NewerVersionError
            If a newer version has written it.
        """
        try:
            record = read_record(line.decode(errors="replace"))
        except NewerVersionError as error:
            msg = f"{self.root.path / file}, line {number}: {error}"
            raise NewerVersionError(msg) from error
        except RecordError as error:
            self._add_damaged(line, f"line {number} of {file} cannot be trusted ({error})")
            return
        if isinstance(record, Opened):
            self._add_opened(record)
        else:
            self._add_record(record, _Place(record.event, file, offset, len(line), self._made_of(record)))

    def _add_opened(self, opened: Opened) -> None:
        self.opened, shard = opened, Shard.of(opened.shard)
        if shard is None:
            self.opened_whole = opened
        else:
            self.begun.setdefault((opened.plan, shard.count), set()).add(shard.number)

    def _add_record(self, record: Record, place: _Place) -> None:
        self.places[record.case] = place
        self.damaged.pop(record.case, None)
        if isinstance(record, Done):
            if record.case in self.done_places:
                self.repeated.add(record.case)
            self.done_places[record.case] = place
        elif isinstance(record, Retired):
            self.done_places.pop(record.case, None)

    def _made_of(self, record: Record) -> Made | None:
        """One value for all cases of a run: the index is held for thousands of them."""
        if not isinstance(record, Done):
            return None
        made = Made(record.fingerprint, record.redo, not record.outputs)
        return self._made.setdefault(made, made)

    def _add_damaged(self, line: bytes, problem: str) -> None:
        cases = list(named_cases(line))  # more than one, where the end of a line is damaged
        for case in cases:
            self.places.pop(case, None)
            self.damaged[case] = problem
        if not cases and not _is_torn(line):
            self.nameless.append(problem)

    def _read(self, place: _Place | None) -> Record | None:
        if place is None:
            return None
        with reading(self.root, place.file) as file:
            file.seek(place.offset)
            line = file.read(place.length)
        record = read_record(line.decode(errors="replace"))
        return None if isinstance(record, Opened) else record


def _is_torn(line: bytes) -> bool:
    """Whether a crash has left it: the start of a record, or zeros. It was never synced, so no case relies on it."""
    text = line.strip(b"\0\r\n\t ")
    return not text.endswith(b"}") and any(start.startswith(text[: len(start)]) for start in STARTS)


def named_cases(line: bytes) -> Iterator[str]:
    """The cases that a line seems to name, which is no record."""
    for found in CASE.finditer(line):
        with suppress(ValueError):
            yield str(json.loads(found[1], strict=False))


def read_index(root: Folder) -> Index:
    """Read every line of every file of records once. Of a case, the last line of the last file counts.

    Raises
    ------
    RecordError
        If a newer version has written one, or a file cannot be read.
    """
    index = Index(root)
    for file in record_files(root):
        _read_file(index, file)
    return index


def _read_file(index: Index, file: str) -> None:
    offset, number = 0, 1
    for line, is_rest in file_lines(index.root, file):
        record = line.lstrip(b"\0")  # where a crash, or a sync that failed, has lost what stood before it
        if not is_rest:
            index.add(file, number, offset + len(line) - len(record), record)
        offset += len(line)
        number += line.endswith(b"\n")
