"""Lines of text: names that break none, tables that fit into a width, and sentences that are broken between words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from monai_mriprep.errors import counted

__all__ = ["rough_time", "shown", "table", "wrapped"]

NAME_WIDTH = 30
"""Of the first column at most: one long name must not take the room of the other columns."""

GAP = "  "
GLUE = "\0"
"""A blank at which no line is broken."""


def shown(name: str) -> str:
    """A name as it is; escaped if it holds characters that would break a line or a terminal."""
    return name if name.isprintable() else repr(name)


def rough_time(seconds: float) -> str:
    """An estimated time in the unit that fits it."""
    limits = ((100, 1, "second"), (100 * 60, 60, "minute"), (float("inf"), 3600, "hour"))
    size, unit = next((size, unit) for limit, size, unit in limits if seconds < limit)
    return counted(round(seconds / size), unit)


def table(rows: Iterable[Sequence[str]], width: int | None = None, spare: Sequence[str] = ()) -> Iterator[str]:
    """Pad the columns, with two blanks between them.

    Parameters
    ----------
    rows
        Cells; the headings first.
    width
        Of a line at most, in characters; None is no limit. A name in the first column that is longer than
        `NAME_WIDTH` makes its own line longer.
    spare
        Headings of columns that are left out where there is no room, the first one first. A last line names them.
    """
    columns = {column[0]: column for column in zip(*rows, strict=True)}
    gone = []
    for heading in filter(columns.__contains__, spare):
        if width is None or sum(_widths(columns.values(), width)) + len(GAP) * (len(columns) - 1) <= width:
            break
        gone.append(heading)
        del columns[heading]
    widths = _widths(columns.values(), width)
    for row in zip(*columns.values(), strict=True):
        yield GAP.join(cell.ljust(room) for cell, room in zip(row, widths, strict=True)).rstrip()
    if gone:
        yield f"(no room for {', '.join(gone)}: in a wider window, or by --json)"


def _widths(columns: Iterable[Sequence[str]], width: int | None) -> list[int]:
    names, *others = (max(map(len, column)) for column in columns)
    return [names if width is None else min(names, NAME_WIDTH), *others]


def wrapped(text: str, width: int) -> str:
    """Break the lines of a text between words.

    A word that is longer than a line, such as a path, stays whole, and so does the gap between two columns.
    """
    return "\n".join(_wrapped_line(line, width) if len(line) > width else line for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    import textwrap  # 2 ms, which the command's help does not need

    indent = " " * (len(line) - len(line.lstrip(" ")))
    glued = re.sub(r"(?<=\S) {2,}", lambda gap: GLUE * len(gap[0]), line)
    lines = textwrap.wrap(glued, width, subsequent_indent=indent + GAP, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(GLUE, " ")
