"""Where a run reads and writes on this machine, be dataset and output folders or in an object store."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from monai_mriprep.errors import MriprepError, RemoteError, package_logger
from monai_mriprep.machine import processors
from monai_mriprep.recipe import Recipe
from monai_mriprep.remote.dataset import RemoteDataset
from monai_mriprep.remote.engine import WithFiles
from monai_mriprep.remote.output import RemoteOutput
from monai_mriprep.remote.publishing import Publisher
from monai_mriprep.remote.read_ahead import ReadAhead
from monai_mriprep.run.cases import Result
from monai_mriprep.run.dry_run import DryRun
from monai_mriprep.run.merge import MergeSummary
from monai_mriprep.run.plan import RunPlan
from monai_mriprep.run.planned import plan_part
from monai_mriprep.run.planning import PlanSummary, plan_cases
from monai_mriprep.run.session import RunSummary, Session, open_session
from monai_mriprep.store.layout import REPORT
from monai_mriprep.store.record_parts import Origin

if TYPE_CHECKING:
    from monai_mriprep.run.engines import Engine

__all__ = ["Places"]

Foreseen = TypeVar("Foreseen", DryRun, PlanSummary)
Done = TypeVar("Done", RunSummary, MergeSummary)

MOST_SHOWN = 15
"""The largest number of suspects that a report shows with their voxels."""
MORE_AHEAD = 2
"""So many cases more than there are workers are fetched before anybody asks for them."""


class Places:
    """Where a run reads and writes on this machine.

    The methods are called in the order in which they stand here.

    Parameters
    ----------
    dataset, output
        The folders, or what stands in their place in an object store.

    Attributes
    ----------
    dataset, output
        The folders to plan with.
    """

    def __init__(self, dataset: Path | RemoteDataset, output: Path | RemoteOutput) -> None:
        self._dataset = dataset if isinstance(dataset, RemoteDataset) else None
        self._output = output if isinstance(output, RemoteOutput) else None
        self.dataset = dataset if isinstance(dataset, Path) else dataset.root
        self.output = output if isinstance(output, Path) else output.root
        self._ahead: ReadAhead | None = None
        self._publisher: Publisher | None = None

    def plan(
        self,
        recipe: Recipe | None = None,
        redo: bool = False,
        like: str | Path | None = None,
        report: bool = True,
        exclude: str | Path | None = None,
        shard: str | None = None,
        virtual: bool = False,
    ) -> tuple[RunPlan, bool]:
        """What `monai_mriprep.run.planned.plan_part` says; sources of cases are where they will be fetched to.

        Raises
        ------
        DatasetError, RemoteError
            If a dataset cannot be listed, or its headers cannot be read.
        MriprepError
            As of that.
        """
        options = (recipe, redo, like, report, exclude, shard, virtual)
        if self._dataset is None:
            return plan_part(self.dataset, self.output, *options)
        plan, retire = plan_part(self._dataset.address, self.output, *options, headers=self._dataset.read_headers)
        return self._dataset.planned(plan), retire

    @property
    def elsewhere(self) -> Mapping[str, Origin] | None:
        """As `monai_mriprep.run.session.open_session` takes it."""
        return None if self._output is None else self._output.elsewhere

    def foreseen(self, found: Foreseen) -> Foreseen:
        """What a dry run or a plan has found; it tells of addresses."""
        found = replace(found, warnings=tuple(map(self.told, found.warnings)))
        if self._output is None:
            return found
        if isinstance(found, DryRun) and found.needs is not None:  # what is free there nobody knows
            needs = replace(found.needs, output_root=self._output.address, free_bytes=None)
            found = replace(found, needs=needs)
        return replace(found, output_root=self._output.address)

    def plan_cases(self, plan: RunPlan, retire: bool = False) -> PlanSummary:
        """As `monai_mriprep.run.planning.plan_cases`; what it has written is written back, and addresses are told.

        Raises
        ------
        MriprepError
            As of that, or of `finish`.
        """
        found = plan_cases(plan, retire, self.elsewhere)
        if self._output is not None:
            self._output.put_plan()
        return self.foreseen(found)

    @contextmanager
    def session(self, plan: RunPlan, retire: bool = False, take_over: bool = False) -> Iterator[Session]:
        """As `monai_mriprep.run.session.open_session`; what it has decided at its start is written back.

        Raises
        ------
        MriprepError
            As of that, or of `finish`.
        """
        with open_session(plan, retire, take_over, self.elsewhere) as session:
            if self._output is not None:
                self._output.put_description()
                self._publisher = Publisher(self._output, session)
                self._publisher.publish()
            yield session

    def engine(self, session: Session, engine: Engine, workers: int | None) -> Engine:
        """The engine of a run, which gets each case when its files are here.

        Parameters
        ----------
        session
            With the cases.
        engine
            Where they are worked on.
        workers
            About how many cases at once; by default one for each processor of this machine.
        """
        if self._dataset is None:
            return engine
        ahead = (processors() if workers is None else workers) + MORE_AHEAD
        self._ahead = ReadAhead(session.todo, self._dataset.fetch, self._dataset.drop, ahead)
        return WithFiles(engine, self._ahead)

    def through(self, results: Iterable[Result]) -> Generator[Result, None, None]:
        """The results, which name no files of this machine, and whose own are written back."""
        told = self._told_results(results)
        yield from told if self._publisher is None else self._publisher.through(told)

    def _told_results(self, results: Iterable[Result]) -> Iterator[Result]:
        for result in results:
            if self._ahead is not None:
                self._ahead.finish(result.case)
            error = None if result.error is None else self.told_failure(result.error, result.stops_run)
            facts = {key: self.told(value) if isinstance(value, str) else value for key, value in result.facts.items()}
            yield replace(result, error=error, warnings=tuple(map(self.told, result.warnings)), facts=facts)

    def reported(self, summary: Done, write: Callable[[Done], Done]) -> Done:
        """The summary, with what `write` says of the report that it writes; what was drawn before is there.

        Suspects are shown with their voxels, and only the report says who they are: it is written again with these.
        """
        if self._output is None:
            return write(summary)
        if self._output.has_report and self._output.is_derived:
            return summary
        self._fetched_for_report(self._output.fetch_pictures)
        found = write(summary)
        shown = found.suspects[:MOST_SHOWN]
        return write(found) if self._fetched_for_report(partial(self._output.fetch_volumes, shown)) else found

    def _fetched_for_report(self, fetch: Callable[[], int]) -> int:
        """How many objects came; a report without some of them is better than none."""
        try:
            return fetch()
        except (RemoteError, OSError) as error:
            package_logger().warning("the report shows less: %s", error)
            return 0

    def finish(self, summary: RunSummary) -> RunSummary:
        """Write back what is not there yet, after the session; the summary tells of addresses.

        Raises
        ------
        OutputError
            If another run has begun there meanwhile, to other ends.
        RemoteError
            If something cannot be written.
        """
        warnings = tuple(map(self.told, summary.warnings))
        if self._output is None or self._publisher is None:
            return replace(summary, warnings=warnings)
        self._publisher.publish()
        if summary.shard is None and (summary.report is not None or not self._output.is_derived):
            self._output.put_derived()
        address = self._output.address
        has_report = summary.report is not None or (summary.shard is None and self._output.has_report)
        return replace(
            summary, output_root=address, warnings=warnings, report=f"{address}/{REPORT}" if has_report else None
        )

    def finish_merge(self, found: MergeSummary) -> MergeSummary:
        """Write back what `merge` has made of records; errors and the rest as of `finish`."""
        if self._output is None:
            return found
        if found.report is not None or not self._output.is_derived:
            self._output.put_derived()
        self._output.put_description()
        address = self._output.address
        report = None if found.report is None else f"{address}/{REPORT}"
        return replace(found, output_root=address, warnings=tuple(map(self.told, found.warnings)), report=report)

    def rescue(self) -> None:
        """Write back what a session has finished that an error, or an interrupt, has ended."""
        if self._publisher is not None:
            try:
                self._publisher.publish()
            except (MriprepError, OSError) as error:
                package_logger().warning("%s; what is not recorded there is done again", error)

    def told(self, text: str) -> str:
        """A text with addresses in place of the files of this machine that stand for them."""
        for one in (self._dataset, self._output):
            text = text if one is None else one.told(text)
        return text

    def told_failure(self, text: str, is_full: bool) -> str:
        """The same of an error; where the disk of the stage is full, that is not the store."""
        scratch = "; what is full is the scratch folder: give --scratch one with more space"
        return self.told(text) + scratch * (is_full and self._output is not None)

    def close(self) -> None:
        """Fetch and write nothing more."""
        for one in (self._ahead, self._publisher):
            if one is not None:
                one.close()
