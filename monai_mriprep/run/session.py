"""What surrounds the work on the cases: the output folder, its lock and records, and what is left to do.

Neither torch nor MONAI is loaded here, so a run that finds nothing to do ends at once.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from monai_mriprep.errors import OutputError, package_logger
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.decide import Decision
from monai_mriprep.run.departures import retire_cases
from monai_mriprep.run.derived import remove_derived, write_derived
from monai_mriprep.run.nnunet_doubts import asks_nnunet, nnunet_doubts
from monai_mriprep.run.opening import Opening, open_folder, recorder_of
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.store.description import Redo, write_description
from monai_mriprep.store.journal import recover, recover_case
from monai_mriprep.store.layout import DATASET, TABLE
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.merging import merge_records
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.recorder import Recorder
from monai_mriprep.store.store import Store, make_store, open_store
from monai_mriprep.store.takeover import clear_taken
from monai_mriprep.store.writers import this_writer

__all__ = ["RunSummary", "Session", "open_session"]

LOGGER = package_logger()


@dataclass(frozen=True)
class Session:
    """An output folder that this process writes to.

    Parameters
    ----------
    opening
        What the run is going to do there.
    store, recorder
        Where to, and who writes the records.
    warnings
        What needs review in the dataset and the output folder as a whole.
    retired
        Names of the cases that were retired so far.
    attempted
        Names of the cases that have a result.
    """

    opening: Opening
    store: Store
    recorder: Recorder
    warnings: tuple[str, ...] = ()
    retired: list[str] = field(default_factory=list)
    attempted: list[str] = field(default_factory=list)

    @property
    def plan(self) -> RunPlan:
        """What the run is going to do."""
        return self.opening.plan

    @property
    def decisions(self) -> tuple[tuple[Case, Decision], ...]:
        """What is to be done with each of the plan's cases, in their order, and why."""
        return self.opening.decisions

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
        """Record a result. What a failed case has of another recipe or target goes to ``retired/`` first.

        Raises
        ------
        OutputError
            If a case failed because another process has taken this one's place, or the records cannot be written.
        """
        if result.status == "failed":
            self.store.require_staging()
        is_outdated = result.case in self.opening.outdated
        if result.status == "failed" and is_outdated and not result.stops_run:
            retire_cases(self.recorder, self.opening.index, [result.case])
            self.retired.append(result.case)
        self.recorder.add(result.record())
        self.attempted.append(result.case)

    def finished(self, case: str) -> Result | None:
        """The result of a case whose worker has died after it had finished the case; None if it had not."""
        record = recover_case(self.store, case)
        return None if record is None else Result.of_record(record)

    def close(self) -> None:
        """Record what was finished and not recorded, and remove what else workers have left; none may be alive."""
        self.recorder.flush()
        recover(self.store, self.store.staging, self.recorder.enter)
        clear_taken(self.recorder)
        if self.plan.shard is None:
            self._complete_redo()

    def _complete_redo(self) -> None:
        description, was_redo = self.opening.description, not self.opening.description.redo.complete
        if was_redo and len(self.attempted) >= len(self.todo):
            redo = Redo(number=description.redo.number)
            write_description(self.store, description.model_copy(update={"redo": redo}))

    def afterthoughts(self) -> tuple[str, ...]:
        """What the records of all cases say against the recipe; nothing where they cannot be read, or of a part."""
        job = self.plan.job
        if self.plan.shard is not None or not asks_nnunet(job.recipe):
            return ()
        try:
            index = read_index(self.store.root)
            current = index.made_by(job.fingerprint, (case.name for case in self.plan.cases))
            return tuple(nnunet_doubts(job.recipe, job.target, self.plan.wanted.statistics, current))
        except OutputError:
            return ()

    def summary(
        self,
        done: tuple[Result, ...] = (),
        failed: tuple[Result, ...] = (),
        seconds: float = 0.0,
        stopped: str | None = None,
        afterthoughts: tuple[str, ...] = (),
    ) -> RunSummary:
        """What the run did, with these results; see `RunSummary`."""
        return RunSummary(
            self.plan.job.output_root,
            done,
            failed,
            self.skipped,
            (*self.warnings, *afterthoughts),
            seconds,
            stopped,
            tuple(self.retired),
            self.plan.orphans,
            self.plan.excluded,
            shard=None if self.plan.shard is None else str(self.plan.shard),
        )


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Parameters
    ----------
    output_root
        Where: a folder, or an address.
    done, failed
        Results of the cases it worked on, without their facts: these are in the records.
    skipped
        Names of the cases that were finished before.
    warnings
        Of the dataset as a whole; those of a case stand in its result.
    seconds
        Wall time spent on the cases.
    stopped
        Why the run was stopped before its last case, or None.
    retired
        Names of the cases whose files went to ``retired/``.
    orphans
        How many files of the dataset were skipped, for they have no partner.
    excluded
        Names of the cases of the dataset that a list has left out.
    report
        The page that shows the cases; None where none was written.
    suspects
        Names of the cases of the output folder that deserve a look, where the page was written anew.
    shard
        The part of the cases that it worked on, such as ``3-of-8``; None is the whole.
    """

    output_root: Path | str
    done: tuple[Result, ...] = ()
    failed: tuple[Result, ...] = ()
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    stopped: str | None = None
    retired: tuple[str, ...] = ()
    orphans: int = 0
    excluded: tuple[str, ...] = ()
    report: Path | str | None = None
    suspects: tuple[str, ...] = ()
    shard: str | None = None


@contextmanager
def open_session(
    plan: RunPlan,
    retire: bool = False,
    take_over: bool = False,
    elsewhere: Mapping[str, Origin] | None = None,
) -> Iterator[Session]:
    """Take the output folder, finish what a crash interrupted there, and decide what is to be done.

    The records of parts of a run are merged first, unless this is such a part itself.

    What needs review is logged, and the target spacing. When the session ends, however it does, what its workers have
    finished is recorded, and ``manifest.csv`` and ``dataset.json`` are written.

    Parameters
    ----------
    plan
        From `monai_mriprep.run.plan.plan_run`. That of a part of the cases is worked on beside others that work on
        theirs; nothing is derived from its records.
    retire
        Cases may leave the dataset, however many and whatever else has changed: their files go to ``retired/``.
    take_over
        Finish and clear away what writers of other machines have left; they must have ended.
    elsewhere
        As of `monai_mriprep.store.store.Store`.

    Raises
    ------
    LockedError
        If another run is alive in the folder.
    DiskFullError
        If the cases to do cannot fit on the disk.
    OutputError
        If the folder cannot be made or written to, if its finished cases have another recipe or target, or if cases
        would leave and `retire` does not confirm it.
    """
    make_store(plan.job.output_root)
    writer = replace(this_writer(), shard=plan.shard)
    with open_store(plan.job.output_root, writer.name, elsewhere=elsewhere) as store:
        aside = store.prepare(plan.folders)
        with exclusive(store.root, plan.shard):
            try:
                with _session(plan, store, aside, retire, take_over) as session:
                    yield session
            finally:
                store.leave()


@contextmanager
def _session(plan: RunPlan, store: Store, aside: tuple[str, ...], retire: bool, take_over: bool) -> Iterator[Session]:
    """The session itself; the lock is held."""
    if plan.shard is None:
        store.own_manifest()
        merge_records(store, take_over)
    with closing(recorder_of(plan, store)) as recorder:
        opening = open_folder(plan, recorder, confirmed=retire, foreign=take_over)
        session = Session(opening, store, recorder, (*aside, *opening.warnings), list(opening.retired))
        _log(session)
        try:
            yield session
        finally:
            with suppress(OutputError, OSError):  # what cannot be done now, the next run does
                session.close()
            if plan.shard is None:
                _derive(session)


def _derive(session: Session) -> None:
    """Write the lists; if the records cannot be read, that is no more than a warning: an error may be under way."""
    plan, store = session.plan, session.store
    try:
        index = read_index(store.root)
    except OutputError as error:
        LOGGER.warning("%s; %s and %s cannot be made of them", error, TABLE, DATASET)
        remove_derived(store)
    else:
        job, cases = plan.job, [case.name for case in plan.cases]
        write_derived(store, index, cases, job.fingerprint, job.recipe.channels, job.virtual)


def _log(session: Session) -> None:
    """What needs review, the target spacing, and why finished cases are done again; a shared reason is said once."""
    for message in session.warnings:
        LOGGER.warning("%s", message)
    LOGGER.info("%s", session.plan.derivation)
    reasons = Counter(decision.reason for _, decision in session.decisions if decision.action == "redo")
    for reason, count in reasons.items():
        LOGGER.info("redo: %s", reason + f" ({count} cases)" * (count > 1))
    LOGGER.debug("recipe: %s", session.plan.job.recipe.as_dict())
    LOGGER.debug(
        "fingerprint %s, redo %d, as %s", session.plan.job.fingerprint, session.plan.job.redo, session.store.writer
    )
    for case, decision in session.decisions:
        LOGGER.debug("%s: %s: %s", case.name, decision.action, decision.reason)
