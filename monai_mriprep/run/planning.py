"""`plan` looks at a dataset once, for all the machines that then work on it: its cases are written down.

Nothing here loads torch or MONAI. `monai_mriprep.run.planned` reads what was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from monai_mriprep.errors import OutputError, counted
from monai_mriprep.run.case_list import write_cases
from monai_mriprep.run.cases import Case
from monai_mriprep.run.estimates import case_seconds, check_space, output_bytes
from monai_mriprep.run.kept import kept_in
from monai_mriprep.run.opening import describe
from monai_mriprep.run.outlook import departed, look_ahead
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.store.attempts import attempts_in
from monai_mriprep.store.description import write_description
from monai_mriprep.store.layout import STATISTICS
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.store import Store, make_store, open_store
from monai_mriprep.store.takeover import refuse_shards
from monai_mriprep.types import Spacing

__all__ = ["PlanSummary", "plan_cases"]


@dataclass(frozen=True)
class PlanSummary:
    """What `plan` has written.

    Parameters
    ----------
    output_root
        Where the list is: a folder, or an address.
    target_spacing, derivation
        Mm, z y x, and where it comes from.
    cases
        How many there are.
    finished
        How many of them are done already, and stay as they are.
    retired
        Names of the cases whose files the first shard moves to ``retired/``.
    seconds
        Estimated time of one core for all that is to be done.
    longest_seconds
        That of the longest case.
    memory_bytes, output_bytes
        Estimated memory of the largest case, and disk of all that is to be done.
    is_upper_bound
        Whether the estimates say what it can be at most.
    sha256
        Of the list, as ``run.json`` has it.
    warnings
        What needs review.
    orphans
        How many files of the dataset were skipped, for they have no partner.
    excluded
        Names of the cases of the dataset that a list leaves out.
    """

    output_root: Path | str
    target_spacing: Spacing
    derivation: str
    cases: int
    finished: int
    retired: tuple[str, ...]
    seconds: float
    longest_seconds: float
    memory_bytes: int
    output_bytes: int
    is_upper_bound: bool
    sha256: str
    warnings: tuple[str, ...]
    orphans: int
    excluded: tuple[str, ...]


def plan_cases(plan: RunPlan, retire: bool = False, elsewhere: Mapping[str, Origin] | None = None) -> PlanSummary:
    """Write the list of cases, and what an output folder keeps of a run; nothing else in it is changed.

    Parameters
    ----------
    plan
        From `monai_mriprep.run.plan.plan_run`; one with `redo` begins a new round of all cases.
    retire
        Cases may leave the dataset, however many: shards need not be told again.
    elsewhere
        As of `monai_mriprep.store.store.Store`.

    Raises
    ------
    LockedError
        If a run or a shard is alive in the folder, or may be on another machine.
    DiskFullError
        If the cases to do cannot fit on the disk.
    OutputError
        If the folder cannot be made or written to, keeps another recipe or target, holds records of shards that are
        not merged, or if cases would leave and `retire` does not confirm it.
    """
    make_store(plan.job.output_root)
    with open_store(plan.job.output_root, elsewhere=elsewhere) as store:
        aside = store.prepare(())
        with exclusive(store.root):
            try:
                summary = _plan(plan, store, retire)
            finally:
                store.leave()
    return replace(summary, warnings=(*aside, *summary.warnings))


def _plan(plan: RunPlan, store: Store, retire: bool) -> PlanSummary:
    """The lock is held."""
    refuse_shards(store)
    if unmerged := attempts_in(store.root):
        what = f"{store.root.path}: holds {counted(len(unmerged), 'file')} of records of shards that are not merged"
        msg = f"{what}; when all shards have ended, `merge {store.root.path}`, then plan again"
        raise OutputError(msg)
    index = read_index(store.root)
    kept = kept_in(store, index)
    outlook = look_ahead(plan, store, index, kept, retire)
    lack = () if store.is_stage else check_space(outlook.todo, store.root.path)
    if outlook.target.is_new and plan.computed_statistics is not None:
        store.replace(STATISTICS, [plan.computed_statistics.as_csv().encode()])
    frozen = write_cases(store, plan, retire)
    description = describe(outlook.plan, outlook.target, kept)
    write_description(store, description.model_copy(update={"plan": frozen}))
    leaving = departed(outlook.departures, store.root.path, "the first shard moves the files from before to {}")
    return PlanSummary(
        store.root.path,
        plan.job.target,
        plan.derivation,
        len(plan.cases),
        len(plan.cases) - len(outlook.todo),
        outlook.departures.names,
        *_costs(outlook.todo),
        frozen.sha256,
        (*outlook.warnings, *leaving, *lack),
        plan.orphans,
        plan.excluded,
    )


def _costs(todo: Iterable[Case]) -> tuple[float, float, int, int, bool]:
    cases = tuple(todo)
    seconds = [case_seconds(case) for case in cases]
    return (
        sum(seconds),
        max(seconds, default=0.0),
        max((case.memory_bytes for case in cases), default=0),
        sum(map(output_bytes, cases)),
        any(case.is_upper_bound for case in cases),
    )
