"""How a report is split into files: one, or a front page and further ones where there are many cases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from monai_mriprep.report.html.charts import LINKED_CASES
from monai_mriprep.report.html.facts import CaseFacts
from monai_mriprep.store.layout import REPORT, REPORT_PAGES

__all__ = ["Part", "address", "addresses", "parts_of"]

CASES_A_PAGE = 500
"""Of a report on more than `LINKED_CASES`."""
MOST_ON_FRONT = 200
"""Failures and suspects that such a report shows on its front page."""


@dataclass(frozen=True)
class Part:
    """One file of a report.

    Parameters
    ----------
    file
        Its path, relative to the folder of the report.
    cases
        Whose cards are in it.
    first
        The number of the first of them on the page as a whole, from 1 on.
    is_front
        Whether the verdict is in it.
    """

    file: str
    cases: Sequence[CaseFacts]
    first: int = 1
    is_front: bool = False


def parts_of(cases: Sequence[CaseFacts], front: str = REPORT, further: str = REPORT_PAGES) -> tuple[Part, ...]:
    """The files of a report.

    Parameters
    ----------
    cases
        All, the worst first.
    front
        Name of the front page, which is the first part.
    further
        Name of the folder beside it for the others.
    """
    if len(cases) <= LINKED_CASES:
        return (Part(front, cases, is_front=True),)
    worst = sum(not {"failed", "suspect"}.isdisjoint(case.kinds) for case in cases)
    starts = range(min(worst, MOST_ON_FRONT), len(cases), CASES_A_PAGE)
    pages = (
        Part(f"{further}/page-{number:04}.html", cases[start : start + CASES_A_PAGE], start + 1)
        for number, start in enumerate(starts, 1)
    )
    return (Part(front, cases[: starts.start], is_front=True), *pages)


def address(part: Part, seen_from: Part, case: int | None = None) -> str:
    """Where a file is, or the card of a case in it, seen from another file of the report."""
    anchor = "" if case is None else f"#case-{case}"
    if part == seen_from:
        return anchor
    return ("" if seen_from.is_front else "../") + quote(os.fsencode(part.file)) + anchor


def addresses(parts: Sequence[Part]) -> Iterator[tuple[int, CaseFacts, str]]:
    """Every case with its number and where its card is, seen from the front page."""
    for part in parts:
        for number, case in enumerate(part.cases, part.first):
            yield number, case, address(part, parts[0], number)
