"""Rows of ratios, and how they are shown."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Row", "as_markdown", "as_text", "fill_page", "row_facts"]

HEADINGS = ("section", "what", "ours", "beside", "value", "ratio", "bar", "met")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Parameters
    ----------
    section
        The part of the benchmark.
    what
        What was measured.
    ours
        Our value, the median.
    unit
        Of both values.
    peer
        What stands beside it; empty where nothing does.
    theirs
        Its value, the median.
    ratio
        How many times better we are (`bar_is_minimum`), or what share of it we take. None where there is nothing to
        compare.
    bar
        What the ratio must reach; None for a row that only informs.
    bar_is_minimum
        Whether the ratio must be at least the bar; else at most.
    samples
        All measurements that the medians were taken of, for the JSON file.
    """

    section: str
    what: str
    ours: float | None
    unit: str
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    bar: float | None = None
    bar_is_minimum: bool = True
    samples: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def faster(cls, section: str, what: str, ours: float, unit: str, peer: str, theirs: float, **rest: Any) -> Row:
        """A row whose ratio is how many times less we take."""
        ratio = theirs / ours if ours > 0 and theirs > 0 else None  # a difference of two runs can drown in noise
        return cls(section, what, ours, unit, peer, theirs, ratio, **rest)

    @classmethod
    def share(cls, section: str, what: str, ours: float, unit: str, peer: str, theirs: float, **rest: Any) -> Row:
        """A row whose ratio is our share of the other value, which may not be over the bar."""
        ratio = ours / theirs if theirs else None
        return cls(section, what, ours, unit, peer, theirs, ratio, bar_is_minimum=False, **rest)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar. Without a ratio it is not."""
        if self.bar is None:
            return None
        if self.ratio is None:
            return False
        return self.ratio >= self.bar if self.bar_is_minimum else self.ratio <= self.bar

    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        bar = "" if self.bar is None else f"{'>=' if self.bar_is_minimum else '<='} {self.bar:g}"
        verdict = {True: "yes", False: "NO", None: ""}[self.met]
        beside = f"{_number(self.theirs)} {self.unit}" if self.theirs is not None else ""
        ours = f"{_number(self.ours)} {self.unit}" if self.ours is not None else "not measured"
        return self.section, self.what, ours, self.peer, beside, _number(self.ratio), bar, verdict


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def row_facts(row: Row) -> dict[str, Any]:
    """A row as JSON can hold it."""
    return {**asdict(row), "met": row.met}


def as_text(rows: Sequence[Row]) -> str:
    """A table for the terminal."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def as_markdown(rows: Iterable[Row]) -> str:
    """The same table for a page."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def fill_page(path: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks of a document."""
    head, first, rest = path.read_text(encoding="utf-8").partition(begin)
    _, last, tail = rest.partition(end)
    if not first or not last:
        sys.exit(f"{path}: no marks {begin} and {end}")
    path.write_text(f"{head}{begin}\n\n{text}\n{end}{tail}", encoding="utf-8")
