"""Everything about a dataset that can be known before a run: from names and headers, and on request from the voxels.

Nothing is written, and neither torch nor MONAI is loaded; but for the second reading of voxels, which ITK does, and
ITK loads torch where it is installed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.checks import check_case
from monai_mriprep.dataset.label_values import undeclared_labels
from monai_mriprep.dataset.second_reading import SecondReading, read_again
from monai_mriprep.dataset.survey import CaseOutlines, Survey, layout_of, survey_dataset
from monai_mriprep.dataset.training import training_of
from monai_mriprep.dataset.voxel_summary import MANY_VALUES, LabelSummary, combined, summarize_image, summarize_label
from monai_mriprep.errors import MriprepError, VolumeError, counted, first_names
from monai_mriprep.formats.header import Header, Outline
from monai_mriprep.formats.read import read_header
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.run.dataset_report import CaseReport, ClassCount, DatasetReport, Needs
from monai_mriprep.run.estimates import estimated, free_bytes, output_bytes, run_seconds, shown_bytes
from monai_mriprep.run.kept import Kept, TargetDecision, decide_target, decide_target_unlocked
from monai_mriprep.run.memory import available_memory, default_workers, fits, too_large
from monai_mriprep.run.outlook import check_writable, foresee_departures
from monai_mriprep.run.plan import cases_of, check_output_folder, wanted_by
from monai_mriprep.steps import Step, steps_of
from monai_mriprep.types import IMAGE, LABEL
from monai_mriprep.volume.axes import axis_codes
from monai_mriprep.volume.geometry import Grid

__all__ = ["check_dataset"]

COPIES = 4
"""Memory that reading a volume and looking at it takes, in volumes as stored (measured: 1.3 to 3.0)."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def check_dataset(
    root: str | Path,
    recipe: Recipe | None = None,
    voxels: bool = False,
    workers: int | None = None,
    output_root: str | Path | None = None,
    like: str | Path | None = None,
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

    Returns
    -------
    DatasetReport
        What is wrong with the dataset is listed there; it is not raised.
    """
    root, default, layout = Path(root), given_or_default(recipe), None
    try:
        training = training_of(like, recipe)
        layout = layout_of(root, training)
        options = () if training is not None or default.channels is not None else layout.options
        proposed = _with_options(default, options)
        survey = survey_dataset(root, proposed, with_labels=True, training=training, layout=layout)
    except MriprepError as error:
        return DatasetReport(root, None if layout is None else layout.seen, fatal=(str(error),))
    survey, moving, doubt = (survey, (), ()) if default.geometry == "resample" else _with_channels_moved(survey)
    output = None if output_root is None else Path(output_root)
    report = _Check(survey, available_memory(), output).report(
        default_workers() if workers is None else workers, voxels
    )
    misplaced = () if output is None else tuple(_misplaced(output, survey))
    return replace(
        report,
        options=(*options, *moving),
        fatal=(*report.fatal, *misplaced),
        warnings=(*report.warnings, *doubt),
    )


def _with_options(recipe: Recipe, options: Sequence[str]) -> Recipe:
    """A recipe with what a layout needs on the command line, and a user has not given."""
    given = dict(zip(options[::2], options[1::2], strict=True))
    changes: dict[str, object] = {"geometry": "resample"} if "--set" in given else {}
    if "--channels" in given:
        changes["channels"] = tuple(given["--channels"].split(","))
    return recipe.model_copy(update=changes)


def _with_channels_moved(survey: Survey) -> tuple[Survey, tuple[str, ...], tuple[str, ...]]:
    """Where channels lie on other grids than the first: with them put there; the option for that; and a warning."""
    apart = [case.name for case, found in zip(survey.grouping.cases, survey.outlines, strict=True) if found.are_apart]
    if not apart or survey.training is not None:
        return survey, (), ()
    doubt = (
        f"channels lie on another grid than the first in {counted(len(apart), 'case')}: {first_names(apart, 3)}; "
        "`geometry: resample` puts them there, as their headers say where they lie: see that they show the same place"
    )
    if survey.recipe.geometry == "resample":  # the layout has proposed it
        return survey, (), (doubt,)
    moved = survey.recipe.model_copy(update={"geometry": "resample"})
    return replace(survey, recipe=moved), ("--set", "geometry=resample"), (doubt,)


@dataclass(frozen=True)
class _Check:
    """Judges what a survey has found, given the memory there is, and the output folder if it is known."""

    survey: Survey
    memory: int
    output: Path | None

    def report(self, workers: int, voxels: bool) -> DatasetReport:
        """Judge everything."""
        survey, (decision, fatal) = self.survey, self.decide()
        job = None if decision is None else Job(survey.recipe, decision.target, self.output or Path())
        cases, again = self.check_headers(job), None
        if voxels:
            cases = tuple(map(self.with_undeclared, self.check_voxels(cases, workers)))
            again = read_again(self.headers(), self.memory // COPIES)
            cases = tuple(_with_second_reading(case, again) for case in cases)
        needs = None if job is None else self.needs(job, cases, workers)
        of_target = () if decision is None else (*decision.warnings, *self.doubts(decision))
        return DatasetReport(
            survey.root,
            survey.layout.seen,
            fatal=fatal,
            warnings=(*survey.findings, *of_target, *_duplicates(cases), *_lack_of_space(needs)),
            orphans=survey.orphans,
            target_spacing=None if decision is None else decision.target,
            derivation=None if decision is None else decision.derivation,
            cases=cases,
            classes=_classes(cases),
            needs=needs,
            second_reading=again,
        )

    def decide(self) -> tuple[TargetDecision | None, tuple[str, ...]]:
        """The target spacing that a run would work to, and what would stop it."""
        try:
            wanted = wanted_by(self.survey, self.survey.choice, self.output or Path())
        except MriprepError as error:
            return None, (str(error),)
        if self.output is None:
            return decide_target(Kept(), wanted), ()
        try:
            decision = decide_target_unlocked(wanted)
            leaving = foresee_departures(wanted, self.survey.root, self.cases)
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
            for path, one in zip(_files(case), (*image, label), strict=False)
            if one is not None
        }

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases, without their costs."""
        return tuple(cases_of(self.survey.layout, ((files, None) for files in self.survey.grouping.cases)))

    def headers(self) -> Iterator[Header]:
        """Of images and labels; one that cannot be read is named by the case's problems."""
        for path, outline in self.outlines.items():
            with suppress(VolumeError):
                if isinstance(outline, Outline):
                    yield read_header(path, outline.channels)

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
        (case,) = cases_of(self.survey.layout, [(files, estimate)])
        lack = () if fits(case, self.memory) else (too_large(case, self.memory),)
        problems, warnings = ((), lack) if case.is_upper_bound else (lack, ())
        return replace(
            report,
            target_shape=estimate.grid.shape,
            memory_bytes=case.memory_bytes,
            output_bytes=output_bytes(case.output_voxels),
            is_upper_bound=case.is_upper_bound,
            problems=(*report.problems, *problems),
            warnings=(*report.warnings, *warnings),
        )

    def check_voxels(self, cases: Sequence[CaseReport], workers: int) -> tuple[CaseReport, ...]:
        """Judge the cases by their voxels, too; as many at once as the memory allows."""
        room = self.memory // COPIES
        outlines = (outline for outline in self.outlines.values() if isinstance(outline, Outline))
        sizes = [outline.nbytes for outline in outlines if outline.nbytes <= room]
        fitting = room // max(sizes, default=1)
        return _mapped(partial(_check_voxels, self.survey.recipe, self.outlines, room), cases, min(workers, fitting))

    def with_undeclared(self, report: CaseReport) -> CaseReport:
        """Name the values of a label that the dataset does not declare."""
        declared, label = self.survey.layout.label_values, report.label_contents
        if declared is None or label is None or not (strange := declared.undeclared(label.histogram)):
            return report
        return replace(report, warnings=(*report.warnings, undeclared_labels(strange, declared.values)))

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


def _files(case: Case | CaseReport) -> tuple[Path, ...]:
    """All files of a case, the image's channels first."""
    if isinstance(case, Case):
        return tuple(path for paths in case.sources.values() for path in paths)
    return (case.image, *case.channels, *(() if case.label is None else (case.label,)))


def _check_voxels(
    recipe: Recipe, outlines: Mapping[Path, Outline | VolumeError], room: int, report: CaseReport
) -> CaseReport:
    """Read image and label, each as far as it can be read."""
    problems, warnings = [*report.problems], [*report.warnings]
    images, label = [], None
    for path in (report.image, *report.channels):
        image, image_problems = _attempt(summarize_image, path, outlines[path], room)
        images.append(image)
        problems += [*image_problems, *(image.problems() if image else ())]
        warnings += image.warnings() if image else ()
    if report.label is not None:
        label, label_problems = _attempt(summarize_label, report.label, outlines[report.label], room)
        problems += [*label_problems, *(label.problems(dict(recipe.label_map)) if label else ())]
        warnings += label.warnings() if label else ()
        warnings += [] if report.problems else _outside(report.grid, outlines[report.label], label)
    known = [image for image in images if image is not None]
    contents = combined(known) if len(known) == len(images) else None
    return replace(
        report, problems=tuple(problems), warnings=tuple(warnings), image_contents=contents, label_contents=label
    )


def _attempt(
    read: Callable[[Header], Outcome], path: Path, outline: Outline | VolumeError, room: int
) -> tuple[Outcome | None, list[str]]:
    """Summarise a volume, or say why not; a header that could not be read is a problem already."""
    if isinstance(outline, VolumeError):
        return None, []
    too_large = f"{path}: not read: {shown_bytes(outline.nbytes)} of voxels do not fit into the memory"
    try:
        fits = outline.nbytes <= room
        return (read(read_header(path, outline.channels)), []) if fits else (None, [too_large])
    except VolumeError as error:
        return None, [str(error)]
    except MemoryError:
        return None, [too_large]


def _with_second_reading(report: CaseReport, again: SecondReading) -> CaseReport:
    """Add what ITK read otherwise in a case's files."""
    files = _files(report)
    problems = (again.problems[file] for file in files if file in again.problems)
    warnings = (again.warnings[file] for file in files if file in again.warnings)
    return replace(report, problems=(*report.problems, *problems), warnings=(*report.warnings, *warnings))


def _outside(image: Grid | None, outline: Outline | VolumeError, label: LabelSummary | None) -> Iterator[str]:
    """Say so where classes lie outside the image: `resample_label` would cut them off."""
    if image is None or isinstance(outline, VolumeError) or label is None or label.box is None:
        return
    to_image = np.linalg.solve(image.affine, outline.grid.affine)
    corners = np.array(np.meshgrid(*zip(*label.box, strict=True))).reshape(3, -1)
    inside = to_image[:3, :3] @ corners + to_image[:3, 3:]
    low, high = inside.min(axis=1), inside.max(axis=1)
    last = np.array(image.shape) - 1
    if (high < 0).any() or (low > last).any():
        yield "all that the label marks lies outside the image; check that it belongs to this image"
    elif (low < -1).any() or (high > last + 1).any():
        yield "what the label marks reaches beyond the image, which cuts it off"


def _mapped(function: Callable[[Item], Outcome], items: Sequence[Item], threads: int) -> tuple[Outcome, ...]:
    """Apply a function to each item; threads suffice, because isal and numpy release the interpreter."""
    if threads <= 1:
        return tuple(map(function, items))
    with ThreadPoolExecutor(threads) as executor:
        return tuple(executor.map(function, items))


def _duplicates(cases: Iterable[CaseReport]) -> Iterator[str]:
    """Name the scans that occur twice: one in training and its copy in validation is a leak."""
    names = defaultdict(list)
    for case in cases:
        if case.image_contents is not None and case.image_contents.foreground:
            names[case.image_contents.sha256, case.grid and case.grid.shape].append(case.case)
    for group in names.values():
        if len(group) > 1:
            yield f"the images of {', '.join(group)} have the same voxels; keep such cases out of different splits"


def _classes(cases: Iterable[CaseReport]) -> tuple[ClassCount, ...]:
    """Add up the labels; those that are no labels are left out."""
    in_cases, voxels = Counter[int](), Counter[int]()
    for case in cases:
        if case.label_contents is not None and len(case.label_contents.histogram) <= MANY_VALUES:
            in_cases.update(case.label_contents.histogram.keys())
            voxels.update(case.label_contents.histogram)
    return tuple(ClassCount(value, in_cases[value], voxels[value]) for value in sorted(voxels))


def _lack_of_space(needs: Needs | None) -> Iterator[str]:
    if needs is not None and needs.output_bytes > needs.free_bytes:
        need, free = shown_bytes(needs.output_bytes), shown_bytes(needs.free_bytes)
        about = "at most" if needs.is_upper_bound else "about"
        yield f"the output needs {about} {need} of disk, and {free} are free in {needs.output_root}"
