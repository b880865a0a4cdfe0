"""What a page shows, as plain frozen values: it does not matter whether they come from records or from raw scans."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from monai_mriprep.cohort.case import CohortCase, Suspect
from monai_mriprep.cohort.suspects import find_suspects
from monai_mriprep.cohort.thresholds import FEWEST
from monai_mriprep.formats.names import natural_key
from monai_mriprep.recipe.differences import changed_keys
from monai_mriprep.report.html.advice import AdviceSection
from monai_mriprep.report.html.axes import shown_row
from monai_mriprep.types import Spacing

__all__ = [
    "CaseFacts",
    "Count",
    "Fact",
    "Kind",
    "Moments",
    "Page",
    "Paper",
    "count_of",
    "counted_as",
    "looks",
    "recipe_fact",
    "target_fact",
    "with_suspicions",
    "worst_first",
]

Kind = Literal["failed", "suspect", "warning"]
"""What a case can be, and what a reader can filter by; a case can be several."""


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of the foreground of one channel, in the units of the scan, and its voxels."""

    mean: float
    std: float
    voxels: int


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case.

    Parameters
    ----------
    cohort
        What is known of its geometry and voxels. A case that failed has its ``error`` there.
    suspicions
        Why it deserves a look.
    warnings
        What was said of it.
    moments
        One a channel; empty where they are not known.
    is_done
        Whether it was preprocessed.
    planned
        Of one that was not: the size that a run would give it, in words.
    """

    cohort: CohortCase
    suspicions: tuple[Suspect, ...] = ()
    warnings: tuple[str, ...] = ()
    moments: tuple[Moments, ...] = ()
    is_done: bool = False
    planned: str = ""

    @property
    def name(self) -> str:
        """The name of the case."""
        return self.cohort.name

    @property
    def reasons(self) -> tuple[Suspect, ...]:
        """Why it deserves a look, beside a failure, which is told apart."""
        return tuple(suspect for suspect in self.suspicions if suspect.kind != "failed")

    @property
    def other_warnings(self) -> tuple[str, ...]:
        """What was said of it, beside the reasons, which say it already."""
        return tuple(said for said in self.warnings if not any(said.endswith(why.reason) for why in self.reasons))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it is, the worst first."""
        held: dict[Kind, bool] = {
            "failed": self.cohort.error is not None,
            "suspect": bool(self.reasons),
            "warning": bool(self.warnings),
        }
        return tuple(kind for kind, is_so in held.items() if is_so)


@dataclass(frozen=True)
class Count:
    """A number of the verdict, with its name; ``kind`` is what a click on it filters by, None for nothing."""

    number: int
    name: str
    kind: Kind | Literal["all"] | None = None


@dataclass(frozen=True)
class Fact:
    """Something about the whole set: a name, and one value a line."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Paper:
    """What a paper can quote: a paragraph of methods, and BibTeX."""

    methods: str
    bibtex: str


@dataclass(frozen=True)
class Page:
    """Everything on a page but the pictures, which are read one at a time.

    Parameters
    ----------
    title
        What it is about, such as the name of a dataset.
    verdict
        One sentence or two.
    counts, facts
        Below it.
    notes
        What needs review in the set as a whole.
    cases
        In the order of the page.
    made
        When, in local time.
    version
        Of monai-mriprep, which has made it.
    target
        The target spacing, which the charts mark; None where there is none.
    channels
        Names of the channels of an image; empty where there is one without a name.
    about_pictures
        What is to be said of all pictures, such as that they show what was after alone.
    paper
        None where there is nothing to quote.
    key
        Equal for reports on the same folder: ratings are kept under it.
    what
        What kind of page it is, in two words.
    failed, failures
        What is said of a case that has an error, and of all such cases.
    stops
        Why nothing could be done with the set as a whole.
    advice
        What is told of target spacings; None where nothing is.
    whole
        Given one of `cases`, the case with all that its card shows; it is called when the card is written. So the page
        holds of each case only the numbers that cases are compared by.
    """

    title: str
    verdict: str
    counts: tuple[Count, ...]
    facts: tuple[Fact, ...]
    cases: Sequence[CaseFacts]
    made: datetime
    version: str
    notes: tuple[str, ...] = ()
    target: Spacing | None = None
    channels: tuple[str, ...] = ()
    about_pictures: str = ""
    paper: Paper | None = None
    key: str = ""
    what: str = "preprocessing report"
    failed: str = "failed"
    failures: str = "Failed"
    stops: tuple[str, ...] = ()
    advice: AdviceSection | None = None
    whole: Callable[[CaseFacts], CaseFacts] = lambda case: case

    @property
    def has_cards(self) -> bool:
        """Whether it shows cases, and not spacings alone."""
        return bool(self.cases) or self.advice is None

    @cached_property
    def has_results(self) -> bool:
        """Whether any case was preprocessed, so that there is something after."""
        return any(case.is_done for case in self.cases)

    def word_of(self, kind: Kind) -> str:
        """What a case of a kind is called here."""
        return self.failed if kind == "failed" else kind


def counted_as(number: int, name: str, kind: Kind | Literal["all"]) -> Count:
    """A number with its name, which gets an s unless there is one."""
    return Count(number, name if number == 1 else f"{name}s", kind)


def target_fact(target: Spacing, derivation: str) -> Fact:
    """The target spacing, and how it came about; its derivation begins with the spacing."""
    return Fact("Target spacing", (f"{shown_row(target)} mm (z y x)", derivation.partition(": ")[2] or derivation))


def recipe_fact(recipe: Mapping[str, Any]) -> Fact:
    """Where the plain values of a recipe differ from the default."""
    changed = changed_keys({}, recipe)
    return Fact("Recipe", ("as by default, but for (default -> here)", *changed) if changed else ("the default",))


def count_of(cases: Iterable[CaseFacts], kind: Kind | Literal["done"]) -> int:
    """How many of the cases are of a kind, or done."""
    return sum(case.is_done if kind == "done" else kind in case.kinds for case in cases)


def looks(cases: Iterable[CaseFacts]) -> str:
    """A sentence on how many of the cases are suspects."""
    cases = tuple(cases)
    suspects = count_of(cases, "suspect")
    if not suspects and len(cases) < FEWEST:
        return f"Fewer than {FEWEST} cases are not compared with one another."
    return {0: "None stands out.", 1: "One deserves a look."}.get(suspects, f"{suspects} deserve a look.")


def with_suspicions(cases: Iterable[CaseFacts]) -> Iterator[CaseFacts]:
    """The cases, each compared with the others."""
    cases = tuple(cases)
    of_case: dict[str, list[Suspect]] = defaultdict(list)
    for suspect in find_suspects([case.cohort for case in cases]):
        of_case[suspect.case].append(suspect)
    return (replace(case, suspicions=tuple(of_case.get(case.name, ()))) for case in cases)


def worst_first(cases: Iterable[CaseFacts]) -> tuple[CaseFacts, ...]:
    """Failures, then suspects, then warnings, then the rest; each in the natural order of the names.

    Of the suspects those come first whose kind is the rarest one: what is said of nearly all cases would hide them.
    """
    cases = tuple(cases)
    ranks = {kind: rank for rank, kind in enumerate(("failed", "suspect", "warning", None))}
    times = Counter(suspect.kind for case in cases for suspect in case.reasons)

    def order(case: CaseFacts) -> tuple[int, int, Any]:
        kind = next(iter(case.kinds), None)
        rarest = min(times[suspect.kind] for suspect in case.reasons) if kind == "suspect" else 0
        return ranks[kind], rarest, natural_key(case.name)

    return tuple(sorted(cases, key=order))
