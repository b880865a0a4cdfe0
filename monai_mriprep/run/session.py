"""What surrounds the work on the cases: the output folder, its lock and records, and what is left to do.

Neither torch nor MONAI is loaded here, so a run that finds nothing to do ends at once.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai_mriprep._version import __version__
from monai_mriprep.errors import OutputError, package_logger
from monai_mriprep.run.cases import ALGORITHM_VERSION, Case, Result
from monai_mriprep.run.decide import Decision, decide
from monai_mriprep.run.derived import write_derived
from monai_mriprep.run.estimates import check_space
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.store.description import RunDescription, write_description
from monai_mriprep.store.journal import recover, recover_case
from monai_mriprep.store.layout import ROLE_FOLDERS, STATISTICS
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.records import Opened
from monai_mriprep.store.store import Store, make_store, open_store
from monai_mriprep.store.takeover import take_over

__all__ = ["RunSummary", "Session", "open_session"]

LOGGER = package_logger()

VERSIONED = ("monai", "torch", "numpy", "scipy", "nibabel", "isal")


@dataclass(frozen=True)
class Session:
    """An output folder that this process writes to.

    Parameters
    ----------
    plan
        What the run is going to do.
    store, recorder
        Where to, and who writes the records.
    decisions
        What is to be done with each of the plan's cases, in their order, and why.
    warnings
        What needs review in the dataset and the output folder as a whole.
    """

    plan: RunPlan
    store: Store
    recorder: Recorder
    decisions: tuple[tuple[Case, Decision], ...]
    warnings: tuple[str, ...] = ()

    @property
    def todo(self) -> tuple[Case, ...]:
        """The cases to work on."""
        return tuple(case for case, decision in self.decisions if decision.action != "skip")

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of the cases that were finished before."""
        return tuple(case.name for case, decision in self.decisions if decision.action == "skip")

    def announce(self, case: str) -> None:
        """Record that the work on a case begins."""
        self.recorder.add({"event": "started", "case": case, "pid": os.getpid()})

    def record(self, result: Result) -> None:
        """Record a result."""
        self.recorder.add(result.record())

    def finished(self, case: str) -> Result | None:
        """The result of a case whose worker has died after it had finished the case; None if it had not."""
        record = recover_case(self.store, case)
        return None if record is None else Result.of_record(record)

    def close(self) -> None:
        """Record what was finished and not recorded, and remove what else workers have left; none may be alive."""
        self.recorder.flush()
        recover(self.store, self.store.staging, self.recorder.enter)


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
    make_store(plan.job.output_root)
    with open_store(plan.job.output_root) as store:
        aside = store.settle()
        with exclusive(store.root):
            store.own_manifest()
            session = _prepare(plan, store, aside, overwrite)
            _log(session)
            try:
                yield session
            finally:
                with suppress(OutputError, OSError):  # what cannot be done now, the next run does
                    session.close()
                names = [case.name for case in plan.cases]
                write_derived(store, read_index(store.root), names, plan.job.fingerprint)
                store.leave()


def _prepare(plan: RunPlan, store: Store, aside: tuple[str, ...], overwrite: bool) -> Session:
    """Describe the run, finish what others have left, and decide; the lock is held."""
    if plan.computed_statistics is not None:
        store.replace(STATISTICS, plan.computed_statistics.as_csv().encode())
    write_description(store, _description(plan))
    recorder = Recorder(store)
    left = take_over(recorder)
    index = read_index(store.root)
    decisions = tuple(_decided(plan, store, index, overwrite))
    plan = replace(plan, job=replace(plan.job, writer=store.writer))
    session = Session(plan, store, recorder, decisions)
    if session.todo:
        store.probe(ROLE_FOLDERS.values())
    lack = check_space(session.todo, plan.job.output_root)
    if session.todo or _is_other(index.opened, plan):
        recorder.add(_opened(plan))
    return replace(session, warnings=(*plan.warnings, *aside, *left, *index.problems(), *lack))


def _decided(plan: RunPlan, store: Store, index: Index, overwrite: bool) -> Iterator[tuple[Case, Decision]]:
    for case in plan.cases:
        yield case, decide(plan.job, case, None if overwrite else index.latest(case.name), store)


def _log(session: Session) -> None:
    """What needs review, the target spacing, and why finished cases are done again; a shared reason is said once."""
    for message in session.warnings:
        LOGGER.warning("%s", message)
    LOGGER.info("%s", session.plan.derivation)
    reasons = Counter(decision.reason for _, decision in session.decisions if decision.action == "redo")
    for reason, count in reasons.items():
        LOGGER.info("redo: %s", reason + f" ({count} cases)" * (count > 1))


def _is_other(opened: Opened | None, plan: RunPlan) -> bool:
    """Whether a run that finds nothing to do has another dataset before it than the one before."""
    return opened is not None and opened.cases != len(plan.cases)


def _opened(plan: RunPlan) -> dict[str, Any]:
    return {
        "event": "opened",
        "dataset_root": str(plan.dataset_root.resolve()),
        "cases": len(plan.cases),
        "warnings": plan.warnings,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    of_packages = {name: version(name) for name in VERSIONED}
    return {"python": platform.python_version(), "monai-mriprep": __version__, **of_packages}


def _description(plan: RunPlan) -> RunDescription:
    return RunDescription(
        dataset_root=str(plan.dataset_root.resolve()),
        recipe=plan.job.recipe.as_dict(),
        target_spacing=plan.job.target,
        derivation=plan.derivation,
        fingerprint=plan.job.fingerprint,
        algorithm_version=ALGORITHM_VERSION,
        versions=_versions(),
    )
