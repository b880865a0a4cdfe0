"""The list of cases that somebody has excluded, as the report writes it: a case a line, and why."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from monai_mriprep.errors import DatasetError, counted, package_logger
from monai_mriprep.formats.names import composed

__all__ = ["NOBODY", "Exclusion", "Exclusions", "read_exclusions"]

COMMENT = re.compile(r"\s+#(?:\s+|$)")
"""What a comment begins with: a ``#`` with a blank on both sides. In ``scan #5`` it is part of the name."""
COMMENT_LINE = re.compile(r"#(?:\s|$)")
"""What a line without a case begins with. That of a case may begin with a ``#``, too, as in ``#5``."""

LARGEST = 1 << 24
"""Bytes of a list; what is larger is something else."""
LONGEST = 255
"""Characters of a name that may be that of a case; of a longer one the start is told."""

SHOWN = 5
"""So many names that fit no case are named one by one."""


class Exclusion(NamedTuple):
    """The name of a case as the list spells it, why it is excluded, and the number of the line."""

    case: str
    comment: str
    line: int


@dataclass(frozen=True)
class Exclusions:
    """The cases of a list.

    Parameters
    ----------
    path
        The file; None where there is none.
    by_name
        The lines by the name of the case, in unicode's composed form.
    """

    path: Path | None = None
    by_name: Mapping[str, Exclusion] = field(default_factory=dict)

    def __contains__(self, case: str) -> bool:
        return composed(case) in self.by_name

    def comment(self, case: str) -> str | None:
        """Why a case is excluded, which may be empty; None if it is not."""
        found = self.by_name.get(composed(case))
        return found and found.comment

    def unknown(self, place: object, cases: Collection[str]) -> tuple[str, ...]:
        """A warning for each name that fits no case, with the closest one; of many names one for the rest.

        Parameters
        ----------
        place
            The dataset, or the output folder.
        cases
            The names of all cases that it knows.
        """
        known = {composed(case): case for case in cases}
        strangers = [one for name, one in self.by_name.items() if name not in known]
        rest = len(strangers) - SHOWN
        more = (f"{self.path}: {counted(rest, 'more name')} fit no case of {place}",) if rest > 0 else ()
        return (*(self._warning(place, one, known) for one in strangers[:SHOWN]), *more)

    def warn_of_unknown(self, place: object, cases: Collection[str]) -> None:
        """Log these warnings."""
        for message in self.unknown(place, cases):
            package_logger().warning("%s", message)

    def _warning(self, place: object, stranger: Exclusion, known: Mapping[str, str]) -> str:
        if len(stranger.case) > LONGEST:
            start = stranger.case[: LONGEST // 4]
            return f"{self.path}, line {stranger.line}: no case has so long a name: {start!r} ...; give a case a line"
        near = difflib.get_close_matches(composed(stranger.case), known, n=1)
        hint = f"; did you mean {known[near[0]]!r}?" if near else ""
        hint += "; a comment begins with ' # ', with blanks" if "#" in stranger.case else ""
        return f"{self.path}, line {stranger.line}: {place} has no case {stranger.case!r}{hint}"


NOBODY = Exclusions()


def read_exclusions(path: str | Path | None) -> Exclusions:
    """Read a list of excluded cases.

    A line is ``CASE  # comment``, in UTF-8. The comment may be missing. It begins with the first ``#`` that has blanks
    on both sides, so that a name can hold a ``#`` or a blank. Empty lines, and lines that begin with ``#`` and a blank,
    do not count. Marks and ends of lines of Windows are accepted. Of a name that comes twice the first line counts.

    Parameters
    ----------
    path
        The file; None excludes nobody.

    Raises
    ------
    DatasetError
        If it cannot be read, is not UTF-8, or is too large for a list.
    """
    if path is None:
        return NOBODY
    found: dict[str, Exclusion] = {}
    for number, line in enumerate(_lines(Path(path)), start=1):
        if line and not COMMENT_LINE.match(line):
            case, _, comment = COMMENT.sub("\n", line, count=1).partition("\n")
            found.setdefault(composed(case), Exclusion(case, comment, number))
    return Exclusions(Path(path), found)


def _lines(path: Path) -> Iterator[str]:
    """The lines, without the blanks around them."""
    try:
        text = _content(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = error.object[error.start]
        msg = f"{path}, line {line}: the byte {found:#04x} is not UTF-8; save the list as UTF-8, with a case a line"
        raise DatasetError(msg) from error
    except OSError as error:
        msg = f"{path}: the list of excluded cases cannot be read ({error.strerror or error}); name a file that can be"
        raise DatasetError(msg) from error
    return map(str.strip, re.split("\r\n|\r|\n", text))


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        msg = f"{path}: holds more than {LARGEST >> 20} MiB; give a list of cases to exclude, with a case a line"
        raise DatasetError(msg)
    return content
