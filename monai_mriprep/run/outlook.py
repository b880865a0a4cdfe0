"""What a run would do in its output folder as it stands; nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monai_mriprep.dataset.exclusions import NOBODY, Exclusions
from monai_mriprep.errors import OutputError, counted, first_names
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.run.decide import EXCLUDED_BEFORE, Decision, decide
from monai_mriprep.run.departures import DatasetIdentity, Departures, find_departures, is_renamed, refuse_departures
from monai_mriprep.run.kept import Kept, TargetDecision, Wanted, decide_target, kept_in
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.run.virtual import refuse_volumes
from monai_mriprep.store.layout import MANIFEST, RETIRED
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import AGAIN, Store, named_errors, open_store

__all__ = [
    "Look",
    "Outlook",
    "check_writable",
    "decided",
    "departed",
    "foresee_departures",
    "identity",
    "look_ahead",
]

SHOWN_NAMES = 20


@dataclass(frozen=True)
class Look:
    """What is found of a case, and what is to be done with it.

    Parameters
    ----------
    case, decision
        What, and why.
    is_renamed
        Whether the outputs that it has are of another name.
    is_outdated
        Whether they were made by another recipe or target.
    """

    case: Case
    decision: Decision
    is_renamed: bool
    is_outdated: bool


@dataclass(frozen=True)
class Outlook:
    """What a run is going to do in an output folder.

    Parameters
    ----------
    plan
        With the number of the redo.
    target
        What the run works to.
    looks
        At each of the plan's own cases, in their order.
    departures
        Who has left the dataset.
    before, now
        Where the cases came from, if that is known, and where they come from.
    warnings
        What needs review in the dataset and the output folder, the departures apart.
    """

    plan: RunPlan
    target: TargetDecision
    looks: tuple[Look, ...]
    departures: Departures
    before: DatasetIdentity | None
    now: DatasetIdentity
    warnings: tuple[str, ...]

    @property
    def todo(self) -> tuple[Case, ...]:
        """The cases to work on."""
        return tuple(look.case for look in self.looks if look.decision.action != "skip")


def look_ahead(plan: RunPlan, store: Store, index: Index, kept: Kept, confirmed: bool) -> Outlook:
    """Decide what is to be done with each case, or stop where the run would.

    Parameters
    ----------
    plan
        From `monai_mriprep.run.plan.plan_run`.
    store, index, kept
        The output folder, its records, and what it holds.
    confirmed
        Cases may leave, however many.

    Raises
    ------
    OutputError
        If the folder keeps another recipe or target, or if cases would leave that nobody confirmed.
    """
    refuse_volumes(plan.job, store)
    target = decided(plan, kept)
    plan = replace(plan, job=replace(plan.job, redo=target.redo.number))
    looks = tuple(_look(plan, index, store))
    renamed = (look.case.name for look in looks if look.is_renamed)
    departures = find_departures(index, plan.cases, renamed, plan.exclusions, plan.excluded)
    before, now = _recorded_identity(index, kept), identity(plan.dataset_name, plan.job)
    if not confirmed:
        refuse_departures(store.root.path, departures, before, now)
    if not plan.leads:
        departures = departures.renamed_alone()
    warnings = (*plan.warnings, *index.problems(), *_without_records(index, store), *target.warnings, *_back(looks))
    return Outlook(plan, target, looks, departures, before, now, warnings)


def decided(plan: RunPlan, kept: Kept) -> TargetDecision:
    """The target of a run, as it was when the run was planned.

    Raises
    ------
    OutputError
        If the folder keeps another recipe or target by now.
    """
    decision = decide_target(kept, plan.wanted, plan.redo)
    if decision.target != plan.job.target:
        place = plan.job.output_root
        msg = f"{place}: its finished cases have changed since this run was planned; start it again"
        raise OutputError(msg)
    return decision


def _look(plan: RunPlan, index: Index, store: Store) -> Iterator[Look]:
    for case in plan.own_cases:
        latest = index.latest(case.name)
        done = latest if isinstance(latest, Done) else index.done(case.name)
        renamed = is_renamed(case, done)
        decision = decide(plan.job, case, None if renamed else latest, store)
        yield Look(case, decision, renamed, done is not None and done.fingerprint != plan.job.fingerprint)


def _back(looks: Iterable[Look]) -> Iterator[str]:
    """Say who was excluded before and is not any more: the list may have been forgotten."""
    if back := [look.case.name for look in looks if look.decision == EXCLUDED_BEFORE]:
        yield (
            f"{counted(len(back), 'case')} that an earlier run excluded {'is' if len(back) == 1 else 'are'} back: "
            f"{first_names(back, SHOWN_NAMES)}; to leave them out, give --exclude the list that names them"
        )


def _recorded_identity(index: Index, kept: Kept) -> DatasetIdentity | None:
    """Where the cases of an output folder come from; None if that is not known."""
    if index.opened is not None:
        return DatasetIdentity(index.opened.dataset_root, index.opened.pattern)
    if kept.description is not None:
        return DatasetIdentity(kept.description.dataset_root, kept.description.recipe.get("pattern"))
    return None


def identity(dataset_name: str, job: Job) -> DatasetIdentity:
    """Where the cases of a run come from."""
    return DatasetIdentity(dataset_name, job.recipe.pattern)


def _without_records(index: Index, store: Store) -> Iterator[str]:
    """Volumes in a folder whose records are lost: they are no finished cases, so they are about to be replaced."""
    if index.places:
        return
    with named_errors(store.root.path, "its volumes cannot be listed", AGAIN):
        n_volumes = sum(1 for _ in store.volumes())
    if n_volumes:
        yield (
            f"{store.root.path}: {counted(n_volumes, 'volume')} there, and no records in {MANIFEST}: what this run "
            "makes takes their places. If records were lost, interrupt it: `repair` rebuilds them"
        )


def check_writable(output: Path) -> None:
    """Refuse an output folder that cannot be made or written to, as far as its permissions tell.

    Raises
    ------
    OutputError
        With the remedy.
    """
    places = (output.absolute(), *output.absolute().parents)
    existing = next(place for place in places if os.path.exists(place))  # noqa: PTH110, Path raises below a closed one
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        why = "its permissions forbid it" if existing.is_dir() else "it is a file"
        msg = f"{output}: the output cannot be written, for {existing} takes no files ({why}); choose another folder"
        raise OutputError(msg)


def foresee_departures(
    wanted: Wanted, dataset_root: Path, cases: Sequence[Case], exclusions: Exclusions = NOBODY
) -> tuple[str, ...]:
    """Name the cases that a run would retire, or stop where it would; nothing is changed.

    Raises
    ------
    OutputError
        As `open_folder`.
    """
    output = wanted.job.output_root
    if not os.path.isdir(output):  # noqa: PTH112, Path raises below a closed one
        return ()
    with open_store(output) as store:
        index = read_index(store.root)
        before = _recorded_identity(index, kept_in(store, index))
        renamed = (case.name for case in cases if is_renamed(case, index.done(case.name)))
        departures = find_departures(index, cases, renamed, exclusions)
        refuse_departures(output, departures, before, identity(str(dataset_root.resolve()), wanted.job))
        return tuple(departed(departures, output, "a run moves the files from before to {}"))


def departed(departures: Departures, output: Path, what_of_them: str) -> Iterator[str]:
    """Who leaves, in words; `what_of_them` says with ``{}`` what becomes of their files, which go there."""
    for names, what in (
        (departures.left, "left the dataset"),
        (departures.excluded, "excluded"),
        (departures.renamed, "got outputs of another name, to be done again"),
    ):
        if names:
            some = f"{counted(len(names), 'case')} of {output} {what}: {first_names(names, SHOWN_NAMES)}"
            yield f"{some}; {what_of_them.format(output / RETIRED)}"
