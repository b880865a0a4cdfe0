"""What a run would do, without doing it: nothing is written, and neither torch nor MONAI is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.formats.names import natural_key
from monai_mriprep.machine import processors
from monai_mriprep.run.cases import Case
from monai_mriprep.run.dataset_report import Needs
from monai_mriprep.run.decide import Decision
from monai_mriprep.run.estimates import case_seconds, check_space, elapsed_seconds, free_bytes, output_bytes
from monai_mriprep.run.kept import kept_in
from monai_mriprep.run.memory import available_memory, fits, too_large
from monai_mriprep.run.outlook import check_writable, departed, look_ahead
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.store.journal import pending_records
from monai_mriprep.store.lock import shared
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.outdated import outdated_in
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.store import open_store
from monai_mriprep.types import Spacing

__all__ = ["CaseOutlook", "DryRun", "dry_run"]

NEW = Decision("run", "no record")
WAITING = Decision("skip", "finished before; a run puts its files into place first")


@dataclass(frozen=True)
class CaseOutlook:
    """What would be done with a case, and why; with its estimated peak memory and disk, which may be upper bounds."""

    case: str
    action: str
    reason: str
    memory_bytes: int
    output_bytes: int
    is_upper_bound: bool


@dataclass(frozen=True)
class DryRun:
    """What a run would do.

    Parameters
    ----------
    output_root
        Where.
    target_spacing, derivation
        Mm, z y x, and where it comes from.
    cases
        In natural order.
    retired
        Names of the cases whose files would go to ``retired/``.
    needs
        What it would take, and what there is; None where nothing is to be done.
    warnings
        What needs review.
    orphans
        How many files of the dataset would be skipped, for they have no partner.
    excluded
        Names of the cases of the dataset that a list leaves out.
    """

    output_root: Path | str
    target_spacing: Spacing
    derivation: str
    cases: tuple[CaseOutlook, ...]
    retired: tuple[str, ...]
    needs: Needs | None
    warnings: tuple[str, ...]
    orphans: int
    excluded: tuple[str, ...] = ()


def dry_run(
    plan: RunPlan,
    retire: bool = False,
    workers: int | None = None,
    max_memory: int | None = None,
    elsewhere: Mapping[str, Origin] | None = None,
) -> DryRun:
    """Say what a run would do.

    What dead runs have left in ``.partial`` is not looked at, but for finished cases that wait there.

    Parameters
    ----------
    plan
        From `monai_mriprep.run.plan.plan_run`.
    retire, elsewhere
        As in `monai_mriprep.run.session.open_session`.
    workers, max_memory
        As in `monai_mriprep.run.engines.ThisMachine.limited`.

    Raises
    ------
    LockedError, DiskFullError, OutputError
        Where a run would not start.
    """
    output = plan.job.output_root
    check_writable(output)
    memory = available_memory() if max_memory is None else max_memory
    decisions, retired, warnings = _foreseen(plan, retire, elsewhere)
    todo = [case for case, decision in decisions if decision.action != "skip"]
    lack = check_space(todo, output) if elsewhere is None else ()
    too_much = tuple(f"{case.name}: {too_large(case, memory)}" for case in todo if not fits(case, memory))
    return DryRun(
        output,
        plan.job.target,
        plan.derivation,
        tuple(sorted(map(_case_outlook, decisions), key=lambda case: natural_key(case.case))),
        retired,
        _needs(output, todo, processors() if workers is None else workers, memory) if todo else None,
        (*warnings, *lack, *too_much),
        plan.orphans,
        plan.excluded,
    )


Decisions = Sequence[tuple[Case, Decision]]


def _foreseen(
    plan: RunPlan, confirmed: bool, elsewhere: Mapping[str, Origin] | None
) -> tuple[Decisions, tuple[str, ...], tuple[str, ...]]:
    """What is to be done with each case, who leaves, and what needs review."""
    output = plan.job.output_root
    if not os.path.isdir(output):  # noqa: PTH112, Path raises below a closed one
        return [(case, NEW) for case in plan.own_cases], (), plan.warnings
    with open_store(output, elsewhere=elsewhere) as store, shared(store.root):
        index = read_index(store.root)
        outlook = look_ahead(plan, store, index, kept_in(store, index), confirmed)
        made = outlook.plan.job
        pending = pending_records(store, outdated_in(store, index))
        waiting = {done.case for done in pending if (done.fingerprint, done.redo) == (made.fingerprint, made.redo)}
    decisions = [(look.case, WAITING if look.case.name in waiting else look.decision) for look in outlook.looks]
    leaving = departed(outlook.departures, output, "a run moves the files from before to {}")
    return decisions, outlook.departures.names, (*outlook.warnings, *leaving)


def _case_outlook(of: tuple[Case, Decision]) -> CaseOutlook:
    case, decision = of
    costs = case.memory_bytes, output_bytes(case), case.is_upper_bound
    return CaseOutlook(case.name, decision.action, decision.reason, *costs)


def _needs(output: Path, todo: Sequence[Case], workers: int, memory: int) -> Needs:
    return Needs(
        output,
        output_bytes=sum(map(output_bytes, todo)),
        free_bytes=free_bytes(output),
        memory_bytes=max(case.memory_bytes for case in todo),
        available_bytes=memory,
        workers=workers,
        seconds=elapsed_seconds([case_seconds(case) for case in todo], min(workers, len(todo))),
        is_upper_bound=any(case.is_upper_bound for case in todo),
    )
