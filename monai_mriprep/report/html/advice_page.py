"""The page on target spacings, as a file that the user has named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from monai_mriprep import __version__
from monai_mriprep.advice.model import Advice
from monai_mriprep.errors import counted, first_names
from monai_mriprep.report.html.advice import section_of
from monai_mriprep.report.html.axes import shown_number, shown_row
from monai_mriprep.report.html.facts import Count, Fact, Page, target_fact
from monai_mriprep.report.html.page_file import require_place, write_page

__all__ = ["page_of_advice", "require_advice_place", "write_advice_page"]

WHAT = "spacing advice"
"""What the page is, in its title."""

MOST_NAMED = 10


def require_advice_place(file: Path) -> None:
    """Refuse a place where the page may not be; errors as of `monai_mriprep.report.html.page_file.require_place`."""
    require_place(file, WHAT, "advise")


def write_advice_page(file: Path, advice: Advice) -> None:
    """Write the page; it appears whole, or the one before stays.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    write_page(file, page_of_advice(advice), lambda _: None)


def page_of_advice(advice: Advice) -> Page:
    """What is known of the target spacings of a dataset."""
    root = Path(advice.dataset)
    return Page(
        title=root.name,
        verdict=_verdict(advice),
        counts=tuple(_counts(advice)),
        facts=tuple(_facts(advice)),
        cases=(),
        made=datetime.now(),
        version=__version__,
        notes=advice.warnings,
        key=f"advise {root}",
        stops=tuple(f"{one.case}: {one.problem}" for one in advice.failed),
        what=WHAT,
        advice=section_of(advice),
    )


def _verdict(advice: Advice) -> str:
    """What the default keeps at best, and which candidate on the front is the next better one."""
    default = advice.default
    said = f"At the default spacing a network can reach a mean Dice of {default.mean_dice:.4f} at best."
    better = [one for one in advice.candidates if one.front and one.mean_dice > default.mean_dice]
    if not better:
        return f"{said} No other candidate keeps more."
    best = min(better, key=lambda one: one.voxels)
    edges, times = shown_row(best.spacing), shown_number(best.voxels)
    return f"{said} {edges} mm keeps {best.mean_dice:.4f}, with {times} times the voxels."


def _counts(advice: Advice) -> Iterator[Count]:
    yield Count(len(advice.candidates), "spacings")
    yield Count(advice.cases, "case compared" if advice.cases == 1 else "cases compared")
    if advice.failed:
        yield Count(len(advice.failed), "not compared")
    yield Count(len(advice.labels), "class" if len(advice.labels) == 1 else "classes")
    yield Count(advice.lesions, "lesion" if advice.lesions == 1 else "lesions")


def _facts(advice: Advice) -> Iterator[Fact]:
    yield Fact("Dataset", (advice.dataset,))
    yield target_fact(advice.target_spacing, advice.derivation)
    classes = [f"{number} in {counted(one.cases, 'case')}" for number, one in advice.labels.items()]
    yield Fact("Label values", (first_names(classes, 30),))
    if advice.empty:
        yield Fact("Without a class", (first_names(advice.empty, MOST_NAMED),))
