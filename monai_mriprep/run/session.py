"""What surrounds the work on the cases: the output folder, its lock and records, and what is left to do.

Neither torch nor MONAI is loaded here, so a run that finds nothing to do ends at once.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_mriprep._version import __version__
from monai_mriprep.dataset.survey import STATISTICS_NAME
from monai_mriprep.errors import OutputError, package_logger
from monai_mriprep.run.case_table import write_table
from monai_mriprep.run.cases import ALGORITHM_VERSION, Case, Result
from monai_mriprep.run.commit import recover, remove_entry
from monai_mriprep.run.dataset_json import write_dataset, write_json
from monai_mriprep.run.decide import Decision, decide
from monai_mriprep.run.estimates import check_space
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.manifest import Manifest, Records
from monai_mriprep.store.records import Failed, Record, Started
from monai_mriprep.types import ROLES

__all__ = ["RunSummary", "Session", "open_session"]

LOGGER = package_logger()

TABLE_NAME = "manifest.csv"

VERSIONED = ("monai", "torch", "numpy", "scipy", "nibabel", "isal")


@dataclass(frozen=True)
class Session:
    """An output folder that this process alone writes to.

    Parameters
    ----------
    plan
        What the run is going to do.
    manifest
        Where its records go.
    decisions
        What is to be done with each of the plan's cases, in their order, and why.
    warnings
        What needs review in the dataset and the output folder as a whole.
    started_before
        The record of each case that an earlier run has started and not finished.
    """

    plan: RunPlan
    manifest: Manifest
    decisions: tuple[tuple[Case, Decision], ...]
    warnings: tuple[str, ...] = ()
    started_before: Mapping[str, Started] = field(default_factory=dict)

    @property
    def todo(self) -> tuple[Case, ...]:
        """The cases to work on."""
        return tuple(case for case, decision in self.decisions if decision.action != "skip")

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of the cases that were finished before."""
        return tuple(case.name for case, decision in self.decisions if decision.action == "skip")

    def record(self, result: Result) -> None:
        """Enter a result into the manifest."""
        self.manifest.append(result.record())
        if result.status == "done":  # a case that failed while its files were moved is finished by `recover`
            remove_entry(self.plan.job.partial, result.case)

    def interrupted(self) -> tuple[list[Result], set[str]]:
        """After workers have died: results that were finished but not recorded, and cases that were under way."""
        finished = recover(self.plan.job.partial)
        started = _started(self.manifest.latest())
        under_way = {name for name, record in started.items() if record != self.started_before.get(name)}
        return finished, under_way - {result.case for result in finished}

    def record_finished(self) -> None:
        """Record cases that were finished and not yet recorded, and remove what others left; no worker may be alive."""
        for result in recover(self.plan.job.partial):
            self.record(result)


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Parameters
    ----------
    output_root
        Where.
    done, failed
        Results of the cases it worked on.
    skipped
        Names of the cases that were finished before.
    warnings
        Of the dataset as a whole; those of a case stand in its result.
    seconds
        Wall time spent on the cases.
    stopped
        Why the run was stopped before its last case, or None.
    """

    output_root: Path
    done: tuple[Result, ...] = ()
    failed: tuple[Result, ...] = ()
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    stopped: str | None = None


@contextmanager
def open_session(plan: RunPlan, overwrite: bool = False) -> Iterator[Session]:
    """Take the output folder, finish what a crash interrupted there, and decide what is to be done.

    What needs review is logged, and the target spacing. When the session ends, however it does, what its workers have
    finished is recorded, and ``manifest.csv`` and ``dataset.json`` are written.

    Parameters
    ----------
    plan
        From `monai_mriprep.run.plan.plan_run`.
    overwrite
        Do all cases again, whatever is recorded.

    Raises
    ------
    LockedError
        If another run is alive in the folder.
    DiskFullError
        If the cases to do cannot fit on the disk.
    OutputError
        If the folder cannot be made or written to.
    """
    job, root = plan.job, plan.job.output_root
    _make_folders(root, *(root / role.folder for role in ROLES), job.partial)
    with exclusive(root / ".lock"):
        session = _prepare(plan, overwrite)
        _log(session)
        try:
            yield session
        finally:
            with suppress(OutputError, OSError):  # what cannot be done now, the next run does
                session.record_finished()
            _write_summaries(plan, session.manifest.read())


def _write_summaries(plan: RunPlan, records: Records) -> None:
    """The table of all cases, and the list of those of this dataset whose files are good for training."""
    job, root = plan.job, plan.job.output_root
    write_table(root / TABLE_NAME, job.partial, records.latest)
    names = [case.name for case in plan.cases if not isinstance(records.latest.get(case.name), Failed)]
    write_dataset(root, [records.done[name] for name in names if name in records.done], job.fingerprint)


def _prepare(plan: RunPlan, overwrite: bool) -> Session:
    """Describe the run, finish what the one before has left, and decide; the lock is held."""
    job, root = plan.job, plan.job.output_root
    if plan.computed_statistics is not None:
        plan.computed_statistics.to_csv(root / STATISTICS_NAME)
    write_json(root / "run.json", _description(plan))
    manifest = Manifest(job.manifest)
    Session(plan, manifest, ()).record_finished()
    latest = manifest.latest()
    records = {} if overwrite else latest
    decisions = tuple((case, decide(job, case, records.get(case.name))) for case in plan.cases)
    session = Session(plan, manifest, decisions, started_before=_started(latest))
    return replace(session, warnings=plan.warnings + check_space(session.todo, root))


def _log(session: Session) -> None:
    """What needs review, the target spacing, and why finished cases are done again; a shared reason is said once."""
    for message in session.warnings:
        LOGGER.warning("%s", message)
    LOGGER.info("%s", session.plan.derivation)
    reasons = Counter(decision.reason for _, decision in session.decisions if decision.action == "redo")
    for reason, count in reasons.items():
        LOGGER.info("redo: %s", reason + f" ({count} cases)" * (count > 1))


def _started(records: Mapping[str, Record]) -> dict[str, Started]:
    return {name: record for name, record in records.items() if isinstance(record, Started)}


def _make_folders(*folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{folder}: the output folder cannot be made ({error.strerror}); choose another, or free the name"
            raise OutputError(msg) from error


def _description(plan: RunPlan) -> dict[str, Any]:
    return {
        "dataset_root": str(plan.dataset_root.resolve()),
        "recipe": plan.job.recipe.as_dict(),
        "target_spacing": list(plan.job.target),
        "derivation": plan.derivation,
        "fingerprint": plan.job.fingerprint,
        "algorithm_version": ALGORITHM_VERSION,
        "cases": len(plan.cases),
        "warnings": list(plan.warnings),
        "versions": {
            "python": platform.python_version(),
            "monai-mriprep": __version__,
            **{name: version(name) for name in VERSIONED},
        },
    }
