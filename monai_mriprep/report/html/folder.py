"""The facts of a page from an output folder: its records and ``run.json``. No volume is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from monai_mriprep import __version__
from monai_mriprep.advice.file import read_advice
from monai_mriprep.advice.model import Advice
from monai_mriprep.cohort.labels import many_empty
from monai_mriprep.errors import RecipeError, RecordError
from monai_mriprep.recipe import Recipe
from monai_mriprep.report.html.advice import section_of
from monai_mriprep.report.html.facts import (
    CaseFacts,
    Count,
    Fact,
    Page,
    Paper,
    count_of,
    counted_as,
    looks,
    recipe_fact,
    target_fact,
    with_suspicions,
    worst_first,
)
from monai_mriprep.report.html.methods import Study, paper_of
from monai_mriprep.report.html.record_facts import Labels, case_facts, held, whole, without_thumbnails
from monai_mriprep.run.nnunet_doubts import asks_nnunet, nnunet_doubts
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.layout import MANIFEST
from monai_mriprep.store.manifest import Index
from monai_mriprep.store.records import Retired
from monai_mriprep.store.store import Store

__all__ = ["page_of_folder"]

MOST_EXCLUDED = 10
"""Cases that are named."""
AFTER_ALONE = (
    "The pictures show the result alone, not what was before: a run before version 0.6.0, or one with --no-report, "
    "draws none."
)


def page_of_folder(store: Store, index: Index) -> Page:
    """What the records of an output folder say.

    Parameters
    ----------
    store, index
        The output folder, and its records.

    Raises
    ------
    RecordError
        If there are none.
    """
    if not index.cases():
        msg = f"{store.root.path}: {MANIFEST} has no record of a case; give the output folder of a run"
        raise RecordError(msg)
    description, problems = _described(store)
    recipe, more_problems = _recipe(description)
    advice, doubts = _advice(store)
    labels = Labels(dict(recipe.label_map) if recipe else {}, index.opened.declared_labels if index.opened else None)
    compared = with_suspicions(held(case_facts(index, name, labels)) for name in index.cases())
    cases = worst_first(map(without_thumbnails, compared))
    folder = _Folder(store.root.path.resolve(), index, description, recipe, cases)
    return Page(
        title=(folder.dataset or folder.path).name,
        verdict=folder.verdict,
        counts=tuple(folder.counts()),
        facts=tuple(folder.facts()),
        cases=cases,
        made=datetime.now(),
        version=__version__,
        notes=(*folder.notes(), *problems, *more_problems, *doubts),
        target=description.target_spacing if description else None,
        channels=(recipe and recipe.channels) or (),
        about_pictures="" if any(case.cohort.measures for case in cases) else AFTER_ALONE,
        paper=folder.paper(),
        key=f"{folder.dataset} {description.fingerprint if description else ''}",
        advice=section_of(advice),
        whole=partial(whole, index, labels),
    )


def _advice(store: Store) -> tuple[Advice | None, tuple[str, ...]]:
    """What `advise` has left in the folder, and what is wrong with it."""
    try:
        return read_advice(store), ()
    except RecordError as error:
        return None, (str(error),)


def _described(store: Store) -> tuple[RunDescription | None, tuple[str, ...]]:
    """What ``run.json`` says, and what is wrong with it: the records are enough for a page."""
    try:
        return read_description(store), ()
    except RecordError as error:
        return None, (str(error),)


def _recipe(description: RunDescription | None) -> tuple[Recipe | None, tuple[str, ...]]:
    """The recipe, and why it is not known, as where a step of its own is not installed here."""
    try:
        return Recipe.model_validate(description.recipe) if description else None, ()
    except RecipeError as error:
        return None, (str(error),)


@dataclass(frozen=True)
class _Folder:
    """An output folder as a whole; `description` and `recipe` are None where they are not known."""

    path: Path
    index: Index
    description: RunDescription | None
    recipe: Recipe | None
    cases: tuple[CaseFacts, ...]

    @property
    def dataset(self) -> Path | None:
        """What was preprocessed."""
        source = self.index.opened or self.description
        return None if source is None else Path(source.dataset_root)

    @property
    def total(self) -> int:
        """Cases of the dataset; a run that was stopped has not come to all of them."""
        return max(len(self.cases), self.index.opened.cases if self.index.opened else 0)

    @property
    def versions(self) -> Mapping[str, str]:
        """Of packages, in the last run."""
        described = self.description.versions if self.description else {}
        return (self.index.opened.versions if self.index.opened else {}) or described

    @cached_property
    def retired(self) -> tuple[Retired, ...]:
        """The cases that have left the dataset."""
        places = self.index.places.items()
        latest = (self.index.latest(case) for case, place in places if place.event == "retired")
        return tuple(record for record in latest if isinstance(record, Retired))

    @property
    def excluded(self) -> tuple[str, ...]:
        """Those that somebody has excluded, and why."""
        reasons = {record.case: record.excluded for record in self.retired if record.excluded is not None}
        return tuple(f"{case}: {reason}" if reason else case for case, reason in reasons.items())

    @property
    def verdict(self) -> str:
        """One sentence on what was done, and one on what deserves a look."""
        done, failed = (count_of(self.cases, kind) for kind in ("done", "failed"))
        said = {1: "The one case was", 2: "Both cases were"}.get(self.total, f"All {self.total} cases were")
        if done < self.total:
            said = f"{done} of {self.total} cases {'was' if done == 1 else 'were'}"
        fails = f", {failed} failed" if failed else ""
        return f"{said} preprocessed{fails}. {looks(self.cases)}"

    def counts(self) -> Iterator[Count]:
        """The numbers of the verdict."""
        done, failed = count_of(self.cases, "done"), count_of(self.cases, "failed")
        opened = self.index.opened
        yield counted_as(self.total, "case", "all")
        yield Count(done, "done")
        yield Count(failed, "failed", "failed")
        yield counted_as(count_of(self.cases, "suspect"), "suspect", "suspect")
        yield Count(count_of(self.cases, "warning"), "with warnings", "warning")
        others = {
            "not finished": self.total - done - failed,
            "skipped (no partner)": (opened and opened.orphans) or 0,
            "excluded": len(self.excluded),
            "retired": len(self.retired) - len(self.excluded),
        }
        yield from (Count(number, name) for name, number in others.items() if number)

    def notes(self) -> Iterator[str]:
        """What needs review in the dataset, or the folder, as a whole."""
        yield from self.index.opened.warnings if self.index.opened else ()
        yield from many_empty([case.cohort for case in self.cases])
        yield from self.doubts()
        yield from self.index.problems()

    def doubts(self) -> Iterator[str]:
        """Where nnU-Net would have decided otherwise than the recipe that is its own."""
        if self.description is None or self.recipe is None or not asks_nnunet(self.recipe):
            return
        current = self.index.made_by(self.description.fingerprint, self.index.cases())
        yield from nnunet_doubts(self.recipe, self.description.target_spacing, self.description.statistics, current)

    def facts(self) -> Iterator[Fact]:
        """What there is to know of the folder."""
        if (source := self.index.opened or self.description) is not None:
            yield Fact("Dataset", (source.dataset_root,))
        yield Fact("Output", (str(self.path),))
        if self.description is not None:
            yield from _facts_of_run(self.description)
        if self.excluded:
            more = len(self.excluded) - MOST_EXCLUDED
            yield Fact("Excluded", (*self.excluded[:MOST_EXCLUDED], *([f"and {more} more"] if more > 0 else ())))
        if self.index.opened is not None:
            yield Fact("Last run", (datetime.fromtimestamp(self.index.opened.time).strftime("%Y-%m-%d %H:%M"),))
        if self.versions:
            yield Fact("Versions", (", ".join(f"{name} {version}" for name, version in self.versions.items()),))

    def paper(self) -> Paper | None:
        """What a paper can quote; None where nothing is done, or it is not known by which recipe."""
        done = [case for case in self.cases if case.is_done]
        if self.description is None or self.recipe is None or not done:
            return None
        source = self.description.statistics
        return paper_of(
            Study(
                recipe=self.recipe,
                target=self.description.target_spacing,
                target_from=self.recipe.target_rule if source in ("table", "computed") else source,
                done=len(done),
                failed=count_of(self.cases, "failed"),
                excluded=len(self.excluded),
                has_labels=any(case.cohort.after is not None for case in done),
                grids=[case.cohort.grid for case in done if case.cohort.grid is not None],
                versions=self.versions,
            )
        )


def _facts_of_run(description: RunDescription) -> Iterator[Fact]:
    if description.virtual:
        yield Fact("Volumes", ("none: patches are taken from the scans (--virtual)",))
    if description.like is not None:
        yield Fact("Test set", (f"with recipe and target of {description.like}",))
    yield target_fact(description.target_spacing, description.derivation)
    yield recipe_fact(description.recipe)
