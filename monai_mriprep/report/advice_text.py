"""What target spacings keep of labels, as text. The command line prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from monai_mriprep.advice.model import Advice, Candidate
from monai_mriprep.errors import counted, first_names
from monai_mriprep.report.lines import shown, table

__all__ = ["ABOUT", "advice_text", "lost_text", "worst_text"]

MOST_CLASSES = 6
"""That have a column; of more there is the lowest."""

SPARE = ("worst", "size z y x")
"""Columns that are left out first where there is no room; then come those of the classes."""

ABOUT = (
    "Dice of each label with itself, there and back: what a network reaches that repeats the labels of a spacing "
    "without an error"
)


def advice_text(advice: Advice, width: int | None = None) -> Iterator[str]:
    """Lines of text: a table of the candidates, the finest first, and what was compared.

    Parameters
    ----------
    advice
        Of `monai_mriprep.advice.advise.advise`.
    width
        Of a line at most, in characters; None is no limit.
    """
    numbers = _numbers(advice)
    yield from table(_rows(advice, numbers), width, (*SPARE, *_headings(numbers)))
    yield ""
    yield f"{ABOUT}."
    yield "*: nothing keeps more for as few voxels. voxels: those of the default, times. lost: lesions without a voxel."
    yield advice.derivation
    yield from (f"problem: {shown(one.case)}: {one.problem}" for one in advice.failed)
    if advice.empty:
        names = first_names([shown(case) for case in advice.empty])
        yield f"no class in the label of {counted(len(advice.empty), 'case')}: {names}"
    yield _outcome(advice)


def _outcome(advice: Advice) -> str:
    total = advice.cases + len(advice.failed)
    compared = f"{counted(len(advice.candidates), 'spacing')} compared by the labels of {advice.cases} of {total} cases"
    classes = "1 class" if len(advice.labels) == 1 else f"{len(advice.labels)} classes"
    found = f"{classes}, {counted(advice.lesions, 'lesion')}"
    return f"{advice.dataset}: {compared}: {found}"


def _numbers(advice: Advice) -> Sequence[int]:
    """The classes that have a column: of one alone the mean says it, of many the lowest is told."""
    return [*advice.labels] if 1 < len(advice.labels) <= MOST_CLASSES else []


def _headings(numbers: Iterable[int]) -> list[str]:
    return [f"Dice {number}" for number in numbers]


def _rows(advice: Advice, numbers: Sequence[int]) -> Iterator[list[str]]:
    has_lowest = len(advice.labels) > MOST_CLASSES
    lowest = ["lowest"] if has_lowest else []
    yield ["spacing mm", "", "voxels", "Dice", *_headings(numbers), *lowest, "lost", "size z y x", "worst", "what"]
    for one in advice.candidates:
        yield [
            " ".join(f"{edge:.4g}" for edge in one.spacing),
            "*" if one.front else "",
            f"{one.voxels:.3g}",
            f"{one.mean_dice:.4f}",
            *(f"{one.dice[number]:.4f}" for number in numbers),
            *([_lowest(one)] if has_lowest else []),
            f"{one.lost_lesions}/{advice.lesions}",
            "x".join(f"{size:.0f}" for size in one.shape),
            worst_text(one),
            "; ".join(one.names),
        ]


def _lowest(candidate: Candidate) -> str:
    """The class of which least is left."""
    number, dice = min(candidate.dice.items(), key=lambda item: item[1])
    return f"{dice:.4f} ({number})"


def lost_text(candidate: Candidate) -> str:
    """How many lesions are lost, and the volume of the largest of them."""
    largest = max((one.largest_mm3 or 0.0 for one in candidate.lost.values()), default=0.0)
    return f"{candidate.lost_lesions}, up to {largest:.3g} mm3" if candidate.lost_lesions else "0"


def worst_text(candidate: Candidate) -> str:
    """The lowest Dice of a class in a case, and where."""
    number, worst = min(candidate.worst.items(), key=lambda item: item[1].dice)
    return f"{worst.dice:.3f} ({number} in {shown(worst.case)})"
