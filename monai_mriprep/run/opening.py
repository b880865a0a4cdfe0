"""How a run begins in its output folder: what others have left is finished, and what is to be done is decided.

Whatever stops a run is found before anything that stands there is changed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_mriprep._version import __version__
from monai_mriprep.errors import OutputError, counted, first_names
from monai_mriprep.run.cases import ALGORITHM_VERSION, Case, Job
from monai_mriprep.run.decide import Decision, decide
from monai_mriprep.run.departures import (
    DatasetIdentity,
    Departures,
    find_departures,
    is_renamed,
    outputs_of_others,
    refuse_departures,
    retire_cases,
)
from monai_mriprep.run.estimates import check_space
from monai_mriprep.run.kept import Kept, TargetDecision, Wanted, decide_target, kept_in
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.store.description import RunDescription, write_description
from monai_mriprep.store.layout import MANIFEST, RETIRED, ROLE_FOLDERS, STATISTICS
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import AGAIN, Store, named_errors, open_store
from monai_mriprep.store.takeover import take_over

__all__ = ["Opening", "foresee_departures", "open_folder"]

VERSIONED = ("monai", "torch", "numpy", "scipy", "nibabel", "isal")

SHOWN_NAMES = 20
MOVED = "the files from before are in {} until `prune` deletes them"


@dataclass(frozen=True)
class Opening:
    """What a run is going to do in its output folder.

    Parameters
    ----------
    plan
        With the writer, and the number of the redo.
    description
        What ``run.json`` says.
    decisions
        What is to be done with each of the plan's cases, in their order, and why.
    outdated
        Cases whose files were made by another recipe or target; if such a case fails, its old files must not stay.
    index
        The records of these, at least.
    retired
        Names of the cases that were retired.
    warnings
        What needs review in the dataset and the output folder as a whole.
    """

    plan: RunPlan
    description: RunDescription
    decisions: tuple[tuple[Case, Decision], ...]
    outdated: frozenset[str]
    index: Index
    retired: tuple[str, ...]
    warnings: tuple[str, ...]


def open_folder(plan: RunPlan, recorder: Recorder, *, confirmed: bool, foreign: bool) -> Opening:
    """Begin a run; the lock is held.

    Parameters
    ----------
    plan
        From `monai_mriprep.run.plan.plan_run`.
    recorder
        Of the output folder.
    confirmed
        Cases may leave, however many.
    foreign
        Take over what writers of other machines have left.

    Raises
    ------
    DiskFullError
        If the cases to do cannot fit on the disk.
    OutputError
        If the folder keeps another recipe or target, if cases would leave that nobody confirmed, or if it cannot be
        written to.
    """
    store = recorder.store
    left_by_others = take_over(recorder, foreign)
    index = read_index(store.root)
    kept = kept_in(store, index)
    decision = _decided(plan, kept)
    plan = replace(plan, job=replace(plan.job, writer=store.writer, redo=decision.redo.number))
    seen = tuple(_look(plan, index, store))
    departures = find_departures(index, plan.cases, (look.case.name for look in seen if look.is_renamed))
    before, now = _recorded_identity(index, kept), _identity(plan.dataset_root, plan.job)
    if not confirmed:
        refuse_departures(store.root.path, departures, before, now)
    todo = [look.case for look in seen if look.decision.action != "skip"]
    if todo:
        store.probe(ROLE_FOLDERS.values())
    lack = check_space(todo, store.root.path)
    description = _kept_description(plan, decision, kept, store)
    if departures.names:
        retire_cases(recorder, index, departures.names, outputs_of_others(index, set(departures.names)))
    if todo or departures.names or (before is not None and before != now) or _has_other_count(index, plan):
        recorder.add(_opened(plan, now))
    outdated = frozenset(look.case.name for look in seen if look.is_outdated and not look.is_renamed)
    decisions = tuple((look.case, look.decision) for look in seen)
    found = (*plan.warnings, *left_by_others, *index.problems(), *_without_records(index, store), *decision.warnings)
    warnings = (*found, *_said(departures, store.root.path, MOVED), *lack)
    records = index if outdated else Index(store.root)
    return Opening(plan, description, decisions, outdated, records, departures.names, warnings)


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


def _decided(plan: RunPlan, kept: Kept) -> TargetDecision:
    """The target, as it was when the run was planned."""
    decision = decide_target(kept, plan.wanted, plan.redo)
    if decision.target != plan.job.target:
        place = plan.job.output_root
        msg = f"{place}: its finished cases have changed since this run was planned; start it again"
        raise OutputError(msg)
    return decision


@dataclass(frozen=True)
class _Look:
    """What is found of a case, and what is to be done with it."""

    case: Case
    decision: Decision
    is_renamed: bool
    is_outdated: bool


def _look(plan: RunPlan, index: Index, store: Store) -> Iterator[_Look]:
    for case in plan.cases:
        latest = index.latest(case.name)
        done = latest if isinstance(latest, Done) else index.done(case.name)
        renamed = is_renamed(case, done)
        decision = decide(plan.job, case, None if renamed else latest, store)
        yield _Look(case, decision, renamed, done is not None and done.fingerprint != plan.job.fingerprint)


def foresee_departures(wanted: Wanted, dataset_root: Path, cases: Sequence[Case]) -> tuple[str, ...]:
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
        departures = find_departures(
            index, cases, (case.name for case in cases if is_renamed(case, index.done(case.name)))
        )
        refuse_departures(output, departures, before, _identity(dataset_root, wanted.job))
        return tuple(_said(departures, output, "a run moves the files from before to {}"))


def _recorded_identity(index: Index, kept: Kept) -> DatasetIdentity | None:
    """Where the cases of an output folder come from; None if that is not known."""
    if index.opened is not None:
        return DatasetIdentity(index.opened.dataset_root, index.opened.pattern)
    if kept.description is not None:
        return DatasetIdentity(kept.description.dataset_root, kept.description.recipe.get("pattern"))
    return None


def _identity(dataset_root: Path, job: Job) -> DatasetIdentity:
    return DatasetIdentity(str(dataset_root.resolve()), job.recipe.pattern)


def _kept_description(plan: RunPlan, decision: TargetDecision, kept: Kept, store: Store) -> RunDescription:
    """What ``run.json`` says, written where the folder gets its recipe and target."""
    if kept.description is not None and not decision.is_new:
        return kept.description.model_copy(update={"redo": decision.redo})
    if plan.computed_statistics is not None:
        store.replace(STATISTICS, [plan.computed_statistics.as_csv().encode()])
    description = RunDescription(
        dataset_root=str(plan.dataset_root.resolve()),
        recipe=plan.job.recipe.as_dict(),
        target_spacing=decision.target,
        derivation=decision.derivation,
        fingerprint=plan.job.fingerprint,
        algorithm_version=ALGORITHM_VERSION,
        versions=_versions(),
        statistics=plan.wanted.statistics,
        redo=decision.redo,
    )
    write_description(store, description)
    return description


def _has_other_count(index: Index, plan: RunPlan) -> bool:
    """Whether the run before had another number of cases."""
    return index.opened is not None and index.opened.cases != len(plan.cases)


def _opened(plan: RunPlan, now: DatasetIdentity) -> dict[str, Any]:
    return {
        "event": "opened",
        "dataset_root": now.dataset_root,
        "pattern": now.pattern,
        "cases": len(plan.cases),
        "warnings": plan.warnings,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    of_packages = {name: version(name) for name in VERSIONED}
    return {"python": platform.python_version(), "monai-mriprep": __version__, **of_packages}


def _said(departures: Departures, output: Path, what_of_them: str) -> Iterator[str]:
    """Who leaves, in words."""
    for names, what in (
        (departures.left, "left the dataset"),
        (departures.renamed, "got outputs of another name, to be done again"),
    ):
        if names:
            some = f"{counted(len(names), 'case')} of {output} {what}: {first_names(names, SHOWN_NAMES)}"
            yield f"{some}; {what_of_them.format(output / RETIRED)}"
