"""Lines of text: names that break none, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["shown", "table"]


def shown(name: str) -> str:
    """A name as it is; escaped if it holds characters that would break a line or a terminal."""
    return name if name.isprintable() else repr(name)


def table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Pad the columns, with two blanks between them."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
