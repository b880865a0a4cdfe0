"""A section of a page on target spacings: a chart of what each keeps of the labels, and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from monai_mriprep.advice.model import Advice, Candidate
from monai_mriprep.report.advice_text import lost_text, worst_text
from monai_mriprep.report.html.axes import Axis, axis_of, shown_number, shown_row
from monai_mriprep.report.html.charts import Label

__all__ = ["AdviceSection", "Place", "section_of"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760.0, 320.0, 56.0, 20.0, 14.0, 40.0
"""Of the chart and its margins, in units of the drawing."""

MOST_CLASSES = 12
"""That have a column of the table: of more, those of which the default keeps least."""


class Place(NamedTuple):
    """A candidate in the chart: where, and what it says."""

    x: float
    y: float
    said: str
    name: str
    front: bool
    default: bool


@dataclass(frozen=True)
class AdviceSection:
    """What the section shows.

    Parameters
    ----------
    advice
        What was found.
    """

    advice: Advice
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM
    top: float = TOP

    @cached_property
    def classes(self) -> Sequence[int]:
        """The classes that have a column, in the order of their numbers; of one alone the mean says it."""
        dice = self.advice.default.dice
        if len(dice) == 1:
            return []
        return sorted(sorted(dice, key=lambda number: dice[number])[:MOST_CLASSES])

    @cached_property
    def _axes(self) -> tuple[Axis, Axis]:
        return (
            axis_of(one.voxels for one in self.advice.candidates),
            axis_of(one.mean_dice for one in self.advice.candidates),
        )

    def _x(self, value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * self._axes[0].place(value), 1)

    def _y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * self._axes[1].place(value), 1)

    @property
    def columns(self) -> list[Label]:
        """Ticks of the axis of voxels."""
        return [Label(self._x(tick), f"{text} x") for tick, text in self._axes[0].labels]

    @property
    def rows(self) -> list[Label]:
        """Ticks of the axis of Dice."""
        return [Label(self._y(tick), text) for tick, text in self._axes[1].labels if tick <= 1]

    @cached_property
    def places(self) -> list[Place]:
        """The candidates in the chart: the front, and of it the default, above the others."""
        ranked = sorted(self.advice.candidates, key=lambda one: (one.default, one.front))
        return [
            Place(
                self._x(one.voxels), self._y(one.mean_dice), _said(one), shown_row(one.spacing), one.front, one.default
            )
            for one in ranked
        ]

    @property
    def line(self) -> str:
        """The front as a path, from step to step: between two of its candidates the coarser one is what there is."""
        front = sorted((one for one in self.advice.candidates if one.front), key=lambda one: one.voxels)
        (first, *others) = ((self._x(one.voxels), self._y(one.mean_dice)) for one in front)
        return f"M{first[0]} {first[1]}" + "".join(f"H{x}V{y}" for x, y in others)

    @property
    def table(self) -> list[tuple[Candidate, list[str]]]:
        """The rows of the table; what stands in each after the spacing."""
        return [(one, self._cells(one)) for one in self.advice.candidates]

    def _cells(self, one: Candidate) -> list[str]:
        return [
            "; ".join(one.names),
            f"{shown_number(one.voxels)} x",
            "x".join(f"{size:.0f}" for size in one.shape),
            f"{one.mean_dice:.4f}",
            worst_text(one),
            lost_text(one),
            *(f"{one.dice[number]:.4f}" for number in self.classes),
        ]

    @property
    def headings(self) -> list[str]:
        """Of these cells."""
        numbers = [f"Dice {number}" for number in self.classes]
        return ["what it is", "voxels", "median size", "mean Dice", "worst case", "lesions lost", *numbers]


def _said(one: Candidate) -> str:
    return (
        f"{shown_row(one.spacing)} mm ({'; '.join(one.names)}): Dice {one.mean_dice:.4f}, "
        f"{shown_number(one.voxels)} times the voxels, {one.lost_lesions} lesions lost"
    )


def section_of(advice: Advice | None) -> AdviceSection | None:
    """The section of an advice, if there is one."""
    return None if advice is None else AdviceSection(advice)
