"""The facts of a page from an output folder: its records and ``run.json``. No volume is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from monai_mriprep import __version__
from monai_mriprep.errors import RecipeError, RecordError
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.differences import changed_keys
from monai_mriprep.report.html.axes import shown_row
from monai_mriprep.report.html.facts import CaseFacts, Count, Fact, Page, Paper, count_of, with_suspicions, worst_first
from monai_mriprep.report.html.methods import Study, paper_of
from monai_mriprep.report.html.record_facts import case_facts
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.layout import MANIFEST, PICTURES
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.store import Store

__all__ = ["page_of_folder"]

AFTER_ALONE = (
    "The pictures show the result alone, not what was before: a run before version 0.6.0, or one with --no-report, "
    "draws none."
)


def page_of_folder(store: Store) -> Page:
    """What the records of an output folder say.

    Raises
    ------
    NewerVersionError
        If a newer version has written them.
    RecordError
        If there are none, or they cannot be read.
    """
    index = read_index(store.root)
    if not index.cases():
        msg = f"{store.root.path}: {MANIFEST} has no record of a case; give the output folder of a run"
        raise RecordError(msg)
    description, problems = _described(store)
    recipe, more_problems = _recipe(description)
    new_numbers = dict(recipe.label_map) if recipe else {}
    cases = worst_first(with_suspicions(case_facts(index, name, new_numbers) for name in index.cases()))
    dataset = _dataset(index, description)
    return Page(
        title=dataset.name if dataset is not None else store.root.path.resolve().name,
        verdict=_verdict(cases, index),
        counts=tuple(_counts(cases, index)),
        facts=tuple(_facts(store.root.path.resolve(), dataset, index, description, recipe)),
        cases=cases,
        made=datetime.now(),
        version=__version__,
        notes=(*(index.opened.warnings if index.opened else ()), *index.problems(), *problems, *more_problems),
        target=description.target_spacing if description else None,
        channels=(recipe and recipe.channels) or (),
        about_pictures="" if store.has_folder(PICTURES) else AFTER_ALONE,
        paper=_paper(cases, description, recipe, index),
        key=f"{dataset} {description.fingerprint if description else ''}",
    )


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


def _dataset(index: Index, description: RunDescription | None) -> Path | None:
    source = index.opened or description
    return None if source is None else Path(source.dataset_root)


def _verdict(cases: Sequence[CaseFacts], index: Index) -> str:
    """One sentence on what was done, and one on what deserves a look."""
    done, failed, suspects = (count_of(cases, kind) for kind in ("done", "failed", "suspect"))
    total = _total(cases, index)
    all_done = {1: "The one case was", 2: "Both cases were"}.get(total, f"All {total} cases were") + " preprocessed"
    some = f"{done} of {total} cases {'was' if done == 1 else 'were'} preprocessed" + f", {failed} failed" * (
        failed > 0
    )
    look = {0: "None stands out.", 1: "One deserves a look."}.get(suspects, f"{suspects} deserve a look.")
    return f"{all_done if done == total else some}. {look}"


def _total(cases: Sequence[CaseFacts], index: Index) -> int:
    """Cases of the dataset; a run that was stopped has not come to all of them."""
    return max(len(cases), index.opened.cases if index.opened else 0)


def _counts(cases: Sequence[CaseFacts], index: Index) -> Iterator[Count]:
    done, failed, total = count_of(cases, "done"), count_of(cases, "failed"), _total(cases, index)
    yield Count(total, "cases", "all")
    yield Count(done, "done")
    yield Count(failed, "failed", "failed")
    if rest := total - done - failed:
        yield Count(rest, "not finished")
    yield Count(count_of(cases, "suspect"), "suspects", "suspect")
    yield Count(count_of(cases, "warning"), "with warnings", "warning")
    if retired := sum(place.event == "retired" for place in index.places.values()):
        yield Count(retired, "retired")


def _facts(
    output: Path, dataset: Path | None, index: Index, description: RunDescription | None, recipe: Recipe | None
) -> Iterator[Fact]:
    if dataset is not None:
        yield Fact("Dataset", (str(dataset),))
    yield Fact("Output", (str(output),))
    if description is None:
        return
    if description.like is not None:
        yield Fact("Test set", (f"with recipe and target of {description.like}",))
    derivation = description.derivation.partition(": ")[2] or description.derivation
    yield Fact("Target spacing", (f"{shown_row(description.target_spacing)} mm (z y x)", derivation))
    if recipe is not None:
        changed = changed_keys({}, recipe.as_dict())
        yield Fact("Recipe", (("as by default, but for (default -> here)", *changed) if changed else ("the default",)))
    if index.opened is not None:
        yield Fact("Last run", (datetime.fromtimestamp(index.opened.time).strftime("%Y-%m-%d %H:%M"),))
    yield Fact("Versions", (", ".join(f"{name} {version}" for name, version in _versions(index, description).items()),))


def _versions(index: Index, description: RunDescription) -> Mapping[str, str]:
    return (index.opened.versions if index.opened else {}) or description.versions


def _paper(
    cases: Iterable[CaseFacts], description: RunDescription | None, recipe: Recipe | None, index: Index
) -> Paper | None:
    done = [case for case in cases if case.is_done]
    if description is None or recipe is None or not done:
        return None
    has_statistics = description.statistics in ("table", "computed")
    return paper_of(
        Study(
            recipe=recipe,
            target=description.target_spacing,
            target_from=recipe.target_rule if has_statistics else description.statistics,
            done=len(done),
            failed=count_of(cases, "failed"),
            has_labels=any(case.cohort.before is not None for case in done),
            grids=[case.cohort.grid for case in done if case.cohort.grid is not None],
            versions=_versions(index, description),
        )
    )
