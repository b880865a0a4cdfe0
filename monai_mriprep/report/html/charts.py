"""A chart: where each of its dots lies. The template draws it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from monai_mriprep.report.html.axes import Axis, axis_of

__all__ = ["LINKED_CASES", "WIDTH", "Chart", "Dot", "Label", "Row", "Value", "ranked", "strips"]

LINKED_CASES = 1000
"""Up to so many cases each dot is a circle that leads to its case; beyond, a browser gets one path for all."""
LINKED_DOTS = 5000
"""The same for the dots of one chart."""

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 400.0, 48.0, 10.0, 6.0, 22.0
"""Of a chart and its margins, in units of the drawing."""
ROW, RANKED = 30.0, 140.0
"""Height of a row of dots, and of a chart without rows."""
GOLDEN = 0.6180339887
"""Its multiples, without their whole part, are spread evenly."""


class Value(NamedTuple):
    """What a case has: its number on the page, the value, what it says in words, and a range around it."""

    case: int
    value: float
    said: str
    ends: tuple[float, float] | None = None


class Row(NamedTuple):
    """Values of one kind; ``mark`` is what they are compared with, ``of_class`` the class whose colour they have."""

    name: str
    values: Sequence[Value]
    mark: float | None = None
    of_class: int | None = None


class Dot(NamedTuple):
    """A dot: its place, its case, what it says, what the case is ("" if nothing), and the ends of a line through it."""

    x: float
    y: float
    case: int
    said: str
    kind: str
    ends: tuple[float, float] | None = None


class Label(NamedTuple):
    """A text at an axis, and where; ``of_class`` is the class whose colour stands beside it."""

    place: float
    text: str
    of_class: int | None = None


@dataclass(frozen=True)
class Chart:
    """A chart.

    Parameters
    ----------
    title, note
        What it shows, and how to read it.
    height
        In units of the drawing, as all places are.
    columns, rows
        What stands below it and at its left.
    dots
        What is unsuspicious first, so that the rest lies above it.
    is_linked
        Whether each dot leads to its case.
    marks
        Short upright lines: x, and from which y to which.
    """

    title: str
    note: str
    height: float
    columns: tuple[Label, ...]
    rows: tuple[Label, ...]
    dots: tuple[Dot, ...]
    is_linked: bool
    marks: tuple[tuple[float, float, float], ...] = ()

    @property
    def paths(self) -> Mapping[str, tuple[str, str]]:
        """Of each kind the dots, as lines without length that have round ends, and the lines through them."""
        of_kinds: dict[str, list[Dot]] = defaultdict(list)
        for dot in self.dots:
            of_kinds[dot.kind].append(dot)
        return {kind: (_points(dots), _lines(dots)) for kind, dots in of_kinds.items()}


def _points(dots: Iterable[Dot]) -> str:
    return "".join(f"M{dot.x} {dot.y}h0" for dot in dots)


def _lines(dots: Iterable[Dot]) -> str:
    return "".join(f"M{dot.x} {dot.ends[0]}V{dot.ends[1]}" for dot in dots if dot.ends)


def strips(title: str, note: str, kinds: Sequence[str], rows: Sequence[Row], axis: Axis | None = None) -> Chart:
    """A strip of dots for each row, all along one axis.

    Parameters
    ----------
    title, note
        Of the chart.
    kinds
        What each case of the page is, in their order; "" if nothing.
    rows
        From top to bottom.
    axis
        By default one that shows all values and marks.
    """
    marks = [row.mark for row in rows if row.mark is not None]
    axis = axis or axis_of([*(value.value for row in rows for value in row.values), *marks])
    lanes = [(row, TOP + ROW * (position + 0.5)) for position, row in enumerate(rows)]
    dots = [
        Dot(_x(axis, number), round(middle + _aside(case, row), 1), case, said, kinds[case - 1])
        for row, middle in lanes
        for case, number, said, _ in row.values
    ]
    return Chart(
        title,
        note,
        TOP + ROW * len(rows) + BOTTOM,
        tuple(Label(_x(axis, tick), text) for tick, text in axis.labels),
        tuple(Label(middle, row.name, row.of_class) for row, middle in lanes),
        _plain_first(dots),
        _is_linked(kinds, dots),
        tuple(
            (_x(axis, row.mark), middle - 0.4 * ROW, middle + 0.4 * ROW)
            for row, middle in lanes
            if row.mark is not None
        ),
    )


def ranked(title: str, note: str, kinds: Sequence[str], values: Iterable[Value]) -> Chart:
    """One dot after the other, from the smallest value to the largest, each with a line from end to end."""
    in_order = sorted(values, key=lambda value: value.value)
    axis = axis_of(number for value in in_order for number in (value.value, *(value.ends or ())))
    step = (WIDTH - LEFT - RIGHT) / max(len(in_order), 1)

    def y(value: float) -> float:
        return round(TOP + RANKED * (1 - axis.place(value)), 1)

    places = (round(LEFT + step * (rank + 0.5), 1) for rank in range(len(in_order)))
    dots = [
        Dot(x, y(value), case, said, kinds[case - 1], ends and (y(ends[0]), y(ends[1])))
        for x, (case, value, said, ends) in zip(places, in_order, strict=True)
    ]
    rows = tuple(Label(y(tick), text) for tick, text in axis.labels)
    return Chart(title, note, TOP + RANKED + BOTTOM, (), rows, _plain_first(dots), _is_linked(kinds, dots))


def _x(axis: Axis, value: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * axis.place(value), 1)


def _aside(case: int, row: Row) -> float:
    """How far a dot lies off the middle of its row, so that equal values are seen: few lie close to it."""
    return (case * GOLDEN % 1 - 0.5) * min(0.7, 0.05 * len(row.values)) * ROW


def _plain_first(dots: Iterable[Dot]) -> tuple[Dot, ...]:
    ranks = {"": 0, "warning": 1, "suspect": 2, "failed": 3}
    return tuple(sorted(dots, key=lambda dot: ranks[dot.kind]))


def _is_linked(kinds: Sequence[str], dots: Sequence[Dot]) -> bool:
    return len(kinds) <= LINKED_CASES and len(dots) <= LINKED_DOTS
