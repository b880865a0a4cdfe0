"""How a run begins in its output folder: what others have left is finished, and what is to be done is decided.

Whatever stops a run is found before anything that stands there is changed.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from monai_mriprep._version import __version__
from monai_mriprep.machine import processor_type
from monai_mriprep.recipe.fingerprint import ALGORITHM_VERSION
from monai_mriprep.run.case_list import drop_list
from monai_mriprep.run.cases import Case
from monai_mriprep.run.decide import Decision
from monai_mriprep.run.departures import DatasetIdentity, outputs_of_others, retire_cases
from monai_mriprep.run.estimates import check_space
from monai_mriprep.run.kept import Kept, TargetDecision, kept_in
from monai_mriprep.run.outlook import decided, departed, identity, look_ahead
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.run.shards import plan_hash
from monai_mriprep.store.description import RunDescription, create_description, read_description, write_description
from monai_mriprep.store.layout import STATISTICS
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.recorder import Recorder, ShardRecorder
from monai_mriprep.store.store import Store
from monai_mriprep.store.takeover import take_over

__all__ = ["Opening", "describe", "open_folder", "package_versions", "recorder_of"]

VERSIONED = ("monai", "torch", "numpy", "scipy", "nibabel", "isal")

MOVED = "the files from before, if any, are in {} until `prune` deletes them"


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
        What is to be done with each of the plan's own cases, in their order, and why.
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


def recorder_of(plan: RunPlan, store: Store) -> Recorder:
    """Who writes the records of a run."""
    if plan.shard is None:
        return Recorder(store)
    parts = {"shard": str(plan.shard), "plan": plan_hash(plan.cases), "writer": store.writer}
    return ShardRecorder(store, plan.shard, _opened(plan, identity(plan.dataset_name, plan.job)) | parts)


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
    plan = replace(plan, job=replace(plan.job, writer=store.writer))
    outlook = look_ahead(plan, store, index, kept, confirmed)
    plan, todo, departures = outlook.plan, outlook.todo, outlook.departures
    if todo:
        store.probe(plan.folders)
    lack = () if store.is_stage else check_space(todo, store.root.path)
    description = _kept_description(plan, outlook.target, kept, store)
    if plan.shard is None:  # the run has looked at the dataset itself
        drop_list(store)
        description = description.model_copy(update={"plan": None})
    if leaving := (*departures.names, *departures.never_tried):
        retire_cases(recorder, index, leaving, outputs_of_others(index, set(leaving)), plan.exclusions)
    has_moved = outlook.before is not None and outlook.before != outlook.now
    if isinstance(recorder, ShardRecorder):
        recorder.begin()
        decided(plan, replace(kept, description=read_description(store)))  # where another one has replaced it meanwhile
    elif todo or departures.names or has_moved or _has_other_count(index, plan):
        recorder.add(_opened(plan, outlook.now))
    outdated = frozenset(look.case.name for look in outlook.looks if look.is_outdated and not look.is_renamed)
    decisions = tuple((look.case, look.decision) for look in outlook.looks)
    warnings = (*left_by_others, *outlook.warnings, *departed(departures, store.root.path, MOVED), *lack)
    records = index if outdated else Index(store.root)
    return Opening(plan, description, decisions, outdated, records, departures.names, warnings)


def _kept_description(plan: RunPlan, decision: TargetDecision, kept: Kept, store: Store) -> RunDescription:
    """What ``run.json`` says, written where the folder gets its recipe and target.

    Of the parts of a run that begin at once, one writes it, and the others are held to it.
    """
    description = describe(plan, decision, kept)
    if kept.description is not None and not decision.is_new:
        return description
    if plan.computed_statistics is not None:
        store.replace(STATISTICS, [plan.computed_statistics.as_csv().encode()])
    if plan.shard is None or kept.description is not None:
        write_description(store, description, is_shared=plan.shard is not None)
    elif not create_description(store, description):
        kept = replace(kept, description=read_description(store))
        return _kept_description(plan, decided(plan, kept), kept, store)
    return description


def describe(plan: RunPlan, decision: TargetDecision, kept: Kept) -> RunDescription:
    """What ``run.json`` is to say."""
    if kept.description is not None and not decision.is_new:
        return kept.description.model_copy(update={"redo": decision.redo})
    return RunDescription(
        dataset_root=plan.dataset_name,
        recipe=plan.job.recipe.as_dict(),
        target_spacing=decision.target,
        derivation=decision.derivation,
        fingerprint=plan.job.fingerprint,
        algorithm_version=ALGORITHM_VERSION,
        versions=package_versions(),
        statistics=plan.wanted.statistics,
        like=plan.wanted.like,
        redo=decision.redo,
        virtual=plan.job.virtual,
    )


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
        "versions": package_versions(),
        "processor": processor_type(),
        "orphans": plan.orphans,
        "declared_labels": plan.job.declared_labels,
    }


def package_versions() -> dict[str, str]:
    """The versions of the packages that compute, of this one and of Python."""
    of_packages = {name: version(name) for name in VERSIONED}
    return {"python": platform.python_version(), "monai-mriprep": __version__, **of_packages}
