"""Everything about a dataset that can be known before a run: from names and headers, and on request from the voxels.

Nothing is written, and neither torch nor MONAI is loaded; but for the second reading of voxels, which ITK does, and
ITK loads torch where it is installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.checks import check_case
from monai_mriprep.dataset.exclusions import Exclusions, read_exclusions
from monai_mriprep.dataset.layout import Layout, command_options
from monai_mriprep.dataset.outlines import CaseOutlines
from monai_mriprep.dataset.survey import Survey, layout_of, survey_dataset
from monai_mriprep.dataset.training import Training, training_of
from monai_mriprep.errors import DatasetError, MriprepError, VolumeError, counted, first_names
from monai_mriprep.formats.header import Outline
from monai_mriprep.formats.names import refuse_address
from monai_mriprep.machine import processors
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.run.dataset_report import CaseReport, DatasetReport, Needs
from monai_mriprep.run.estimates import estimated, free_bytes, output_bytes, run_seconds, shown_bytes
from monai_mriprep.run.kept import Kept, TargetDecision, decide_target, decide_target_unlocked
from monai_mriprep.run.memory import available_memory, fits, too_large
from monai_mriprep.run.outlook import check_writable, foresee_departures
from monai_mriprep.run.plan import cases_of, check_output_folder, wanted_by
from monai_mriprep.run.voxel_check import check_voxels, count_classes
from monai_mriprep.run.voxel_reading import KeepPicture
from monai_mriprep.steps import Step, steps_of
from monai_mriprep.types import IMAGE, LABEL
from monai_mriprep.volume.axes import axis_codes
from monai_mriprep.volume.geometry import Grid

__all__ = ["check_dataset"]


def check_dataset(
    root: str | Path,
    recipe: Recipe | None = None,
    voxels: bool = False,
    workers: int | None = None,
    output_root: str | Path | None = None,
    like: str | Path | None = None,
    exclude: str | Path | None = None,
    keep_picture: KeepPicture | None = None,
    virtual: bool = False,
) -> DatasetReport:
    """Judge a dataset without processing it.

    Parameters
    ----------
    root
        A dataset, or images alone where `like` is given.
    recipe
        The default one if it is not given.
    voxels
        Read every voxel, too: whether the files can be decoded, and what images and labels hold.
    workers
        Threads for that, and the processes that the time is estimated for; by default one for each core.
    output_root
        Where the run would write. If cases are finished there, the folder keeps its target spacing, and what would stop
        the run is fatal. By default the current folder is looked at for free space.
    like
        The output folder of a training set: see `monai_mriprep.run.plan.plan_run`.
    exclude
        A list of cases that are left out: see there.
    keep_picture
        Given the name of each case whose image can be read, and a picture of it, WebP; where the voxels are read. It is
        called from several threads.
    virtual
        Whether the run would make records alone.

    Returns
    -------
    DatasetReport
        What is wrong with the dataset is listed there; it is not raised.

    Raises
    ------
    DatasetError
        If `root` is an address in an object store: a run takes one.
    """
    refuse_address(root, DatasetError)
    root, default, layout = Path(root), given_or_default(recipe), None
    try:
        training = training_of(like, recipe)
        layout = layout_of(root, training)
        proposal = _propose(root, default, layout, training, read_exclusions(exclude))
    except MriprepError as error:
        return DatasetReport(root, None if layout is None else layout.seen, fatal=(str(error),))
    output = None if output_root is None else Path(output_root)
    judge = _Check(proposal.survey, available_memory(), output, virtual)
    report = judge.report(processors() if workers is None else workers, voxels, keep_picture)
    misplaced = () if output is None else tuple(_misplaced(output, proposal.survey))
    return replace(
        report,
        options=command_options(proposal.keys),
        fatal=(*report.fatal, *misplaced),
        warnings=(*report.warnings, *proposal.doubts),
    )


@dataclass(frozen=True)
class _Proposal:
    """What a run needs besides what the user has given, and the dataset as that run would see it.

    Parameters
    ----------
    survey
        With these keys.
    keys
        Of a recipe, with their values; none for a test set.
    doubts
        What is to be reviewed in them.
    """

    survey: Survey
    keys: Mapping[str, Any]
    doubts: tuple[str, ...] = ()


def _propose(
    root: Path, recipe: Recipe, layout: Layout, training: Training | None, exclusions: Exclusions
) -> _Proposal:
    """Propose the channels that the names tell, the one of the labels first, and to move channels that lie apart."""
    if training is not None:
        return _Proposal(survey_dataset(root, recipe, True, training, layout, exclusions), {})
    keys = layout.proposed if recipe.channels is None else {}
    survey = _survey(root, recipe, layout, keys, exclusions)
    if (number := survey.channel_of_labels) and "channels" in keys:
        keys = {**keys, "channels": _first(number, keys["channels"])}
        survey = _survey(root, recipe, layout, keys, exclusions)
    doubts = () if recipe.geometry == "resample" else tuple(_channels_apart(survey))
    if doubts:
        keys = {**keys, "geometry": "resample"}
        survey = replace(survey, recipe=survey.recipe.model_copy(update=keys))
    return _Proposal(survey, keys, doubts)


def _survey(root: Path, recipe: Recipe, layout: Layout, keys: Mapping[str, Any], exclusions: Exclusions) -> Survey:
    return survey_dataset(root, recipe.model_copy(update=keys), True, layout=layout, exclusions=exclusions)


def _first(number: int, channels: Sequence[str]) -> tuple[str, ...]:
    """One of the channels before the others: the first fixes the grid, and a label keeps its own where that is one."""
    return channels[number], *channels[:number], *channels[number + 1 :]


def _channels_apart(survey: Survey) -> Iterator[str]:
    """Warnings where channels, and then labels, lie on other grids than the first channel."""
    cases = [*zip(survey.grouping.cases, survey.outlines, strict=True)]
    if survey.recipe.geometry != "resample" and not any(found.are_apart for _, found in cases):
        return
    channels = [case.name for case, found in cases if found.are_apart]
    labels = [case.name for case, found in cases if isinstance(found.label, Outline) and found.channel_of_label != 0]
    for volumes, apart in (("channels", channels), (f"{LABEL.name}s", labels)):
        if apart:
            yield (
                f"{volumes} lie on another grid than the first channel in {counted(len(apart), 'case')}: "
                f"{first_names(apart, 3)}; `geometry: resample` puts them there, as their headers say where they lie: "
                "see that they show the same place"
            )


@dataclass(frozen=True)
class _Check:
    """Judges what a survey has found, given the memory there is, the output folder if it is known, and its kind."""

    survey: Survey
    memory: int
    output: Path | None
    virtual: bool = False

    def report(self, workers: int, voxels: bool, keep_picture: KeepPicture | None) -> DatasetReport:
        """Judge everything."""
        survey, (decision, fatal) = self.survey, self.decide()
        job = None if decision is None else Job(survey.recipe, decision.target, self.output or Path())
        cases = self.check_headers(job)
        seen = check_voxels(survey, cases, self.outlines, self.memory, workers, keep_picture) if voxels else None
        cases = cases if seen is None else seen.cases
        needs = None if job is None else self.needs(job, cases, workers)
        of_target = () if decision is None else (*decision.warnings, *self.doubts(decision))
        return DatasetReport(
            survey.root,
            survey.layout.seen,
            fatal=fatal,
            warnings=(*survey.findings, *of_target, *(seen.warnings if seen else ()), *_lack_of_space(needs)),
            orphans=survey.orphans,
            target_spacing=None if decision is None else decision.target,
            derivation=None if decision is None else decision.derivation,
            cases=cases,
            classes=count_classes(cases),
            needs=needs,
            suspects=seen.suspects if seen else (),
            second_reading=seen.second_reading if seen else None,
            excluded=survey.excluded,
            cohort=seen.cohort if seen else (),
            recipe=survey.recipe,
        )

    def decide(self) -> tuple[TargetDecision | None, tuple[str, ...]]:
        """The target spacing that a run would work to, and what would stop it."""
        try:
            wanted = wanted_by(self.survey, self.survey.choice, self.output or Path(), self.virtual)
        except MriprepError as error:
            return None, (str(error),)
        if self.output is None:
            return decide_target(Kept(), wanted), ()
        try:
            decision = decide_target_unlocked(wanted)
            leaving = foresee_departures(wanted, self.survey.root, self.cases, self.survey.exclusions)
        except MriprepError as error:
            return decide_target(Kept(), wanted), (str(error),)
        return replace(decision, warnings=(*decision.warnings, *leaving)), ()

    def doubts(self, decision: TargetDecision) -> tuple[str, ...]:
        """What needs review in the target of the dataset, if the run works to it."""
        choice = self.survey.choice
        return (*choice.warnings, *choice.misfit) if decision.target == choice.spacing else ()

    @cached_property
    def outlines(self) -> Mapping[Path, Outline | VolumeError]:
        """Of each image and label, or what is wrong with its header."""
        found = zip(self.cases, self.survey.outlines, strict=True)
        return {
            path: one
            for case, (image, label) in found
            for path, one in zip(
                (path for paths in case.sources.values() for path in paths), (*image, label), strict=False
            )
            if one is not None
        }

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases, without their costs."""
        return tuple(
            cases_of(self.survey.layout, ((files, None) for files in self.survey.grouping.cases), self.virtual)
        )

    def check_headers(self, job: Job | None) -> tuple[CaseReport, ...]:
        """Judge each pair by its headers; its costs, too, where there is a target."""
        found = zip(self.cases, self.survey.outlines, self.survey.grids, strict=True)
        reports = tuple(self.check_case(case, outlines, grid) for case, outlines, grid in found)
        if job is None:
            return reports
        steps = steps_of(job.recipe, job.target)
        known = zip(reports, self.survey.grouping.cases, self.survey.outlines, strict=True)
        return tuple(self.with_costs(report, files, outlines, steps) for report, files, outlines in known)

    def check_case(self, case: Case, outlines: CaseOutlines, grid: Grid | MriprepError) -> CaseReport:
        """Judge a case by its headers."""
        first, *channels = case.sources[IMAGE.name]
        (label,) = case.sources.get(LABEL.name, (None,))
        report = CaseReport(case.name, first, label, tuple(channels))
        problems = [str(problem) for problem in (grid, outlines.label) if isinstance(problem, MriprepError)]
        image = outlines.first
        if isinstance(image, VolumeError):
            return replace(report, problems=tuple(problems))
        problems += self.geometry_problems(case)
        native = grid if isinstance(grid, Grid) else None
        return replace(
            report,
            grid=image.grid,
            dtype=image.dtype.name,
            axes=axis_codes(image.grid),
            native_grid=native,
            problems=tuple(problems),
        )

    def geometry_problems(self, case: Case) -> list[str]:
        """Why its volumes do not lie on one grid."""
        known = {
            role: [(path, found.grid) for path in paths if isinstance(found := self.outlines[path], Outline)]
            for role, paths in case.sources.items()
        }
        try:
            check_case(known, self.survey.recipe.geometry)
        except MriprepError as error:
            return [str(error)]
        return []

    def with_costs(
        self, report: CaseReport, files: CaseFiles, outlines: CaseOutlines, steps: Sequence[Step]
    ) -> CaseReport:
        """Add the predicted size and what it takes; or, once, why a step refuses the case."""
        estimate = estimated(steps, *outlines, self.survey.recipe.geometry)
        if isinstance(estimate, MriprepError):
            return replace(report, problems=tuple(dict.fromkeys((*report.problems, str(estimate)))))
        (case,) = cases_of(self.survey.layout, [(files, estimate)], self.virtual)
        lack = () if fits(case, self.memory) else (too_large(case, self.memory),)
        problems, warnings = ((), lack) if case.is_upper_bound else (lack, ())
        return replace(
            report,
            target_shape=estimate.grid.shape,
            memory_bytes=case.memory_bytes,
            output_bytes=output_bytes(case),
            is_upper_bound=case.is_upper_bound,
            problems=(*report.problems, *problems),
            warnings=(*report.warnings, *warnings),
        )

    def needs(self, job: Job, cases: Iterable[CaseReport], workers: int) -> Needs:
        """Add up what the cases without a problem will take."""
        cases = [case for case in cases if not case.problems]
        work = [(math.prod(c.grid.shape), math.prod(c.target_shape)) for c in cases if c.grid and c.target_shape]
        return Needs(
            job.output_root,
            output_bytes=sum(case.output_bytes for case in cases),
            free_bytes=free_bytes(job.output_root),
            memory_bytes=max((case.memory_bytes for case in cases), default=0),
            available_bytes=self.memory,
            workers=workers,
            seconds=run_seconds(work, min(workers, len(cases))),
            is_upper_bound=any(case.is_upper_bound for case in cases),
        )


def _misplaced(output: Path, survey: Survey) -> Iterator[str]:
    try:
        check_output_folder(output, survey)
    except MriprepError as error:
        yield str(error)
    try:
        check_writable(output)
    except MriprepError as error:
        yield str(error)


def _lack_of_space(needs: Needs | None) -> Iterator[str]:
    if needs is not None and needs.free_bytes is not None and needs.output_bytes > needs.free_bytes:
        need, free = shown_bytes(needs.output_bytes), shown_bytes(needs.free_bytes)
        about = "at most" if needs.is_upper_bound else "about"
        yield f"the output needs {about} {need} of disk, and {free} are free in {needs.output_root}"
