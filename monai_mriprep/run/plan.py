"""Everything about a run that names and headers decide; nothing is written, and neither torch nor MONAI is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.exclusions import NOBODY, Exclusions, read_exclusions
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.dataset.survey import Survey, survey_dataset
from monai_mriprep.dataset.target_choice import TargetChoice
from monai_mriprep.dataset.training import training_of
from monai_mriprep.errors import MriprepError, OutputError
from monai_mriprep.formats.names import real_path
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.run.cases import Case, Job, OutputNames, SourceFiles
from monai_mriprep.run.estimates import Estimate, estimated
from monai_mriprep.run.kept import Wanted, decide_target_unlocked
from monai_mriprep.run.shards import split
from monai_mriprep.run.virtual import refuse_wholes
from monai_mriprep.steps import steps_of
from monai_mriprep.store.attempts import Shard
from monai_mriprep.types import ROLE_OF_FOLDER, ROLES, Role

__all__ = ["RunPlan", "cases_of", "check_output_folder", "plan_run", "wanted_by"]


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do.

    Parameters
    ----------
    dataset_root
        Where it reads.
    job
        What all cases share. Its target is that of the output folder, where finished cases have one.
    cases
        The largest first, so that the last one does not leave cores idle.
    derivation
        Where the target spacing comes from, in words.
    computed_statistics
        Statistics that the run has computed itself, because the dataset has no table; None where it has.
    warnings
        What needs review.
    wanted
        What the run would do in an empty output folder.
    redo
        Whether all cases are to be done again.
    orphans
        How many files have no partner.
    roles
        What each case is read from and stored as.
    exclusions
        The list of excluded cases.
    excluded
        Names of the cases of the dataset that it has left out.
    address
        Of the dataset in an object store, where `dataset_root` stands for one; None of a folder.
    shard
        The part of the cases that is worked on; None is the whole.
    """

    dataset_root: Path
    job: Job
    cases: tuple[Case, ...]
    derivation: str
    wanted: Wanted
    computed_statistics: SpacingStatistics | None = None
    warnings: tuple[str, ...] = ()
    redo: bool = False
    orphans: int = 0
    roles: tuple[Role, ...] = ROLES
    exclusions: Exclusions = NOBODY
    excluded: tuple[str, ...] = ()
    address: str | None = None
    shard: Shard | None = None

    @cached_property
    def own_cases(self) -> tuple[Case, ...]:
        """Those that this run works on: all, or those of its part."""
        return self.cases if self.shard is None else split(self.cases, self.shard)

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of the output folder that volumes are written to."""
        return () if self.job.virtual else tuple(role.folder for role in self.roles)

    @property
    def leads(self) -> bool:
        """Whether this run, of all parts, does what concerns the folder as a whole."""
        return self.shard is None or self.shard.number == 1

    @property
    def dataset_name(self) -> str:
        """What the records call the dataset: its address, or its path."""
        return self.address or str(self.dataset_root.resolve())


def plan_run(
    dataset_root: str | Path,
    output_root: str | Path,
    recipe: Recipe | None = None,
    redo: bool = False,
    like: str | Path | None = None,
    report: bool = True,
    exclude: str | Path | None = None,
    virtual: bool = False,
) -> RunPlan:
    """Find the cases, choose the target spacing, and put the cases in order.

    Parameters
    ----------
    dataset_root
        A dataset, or images alone where `like` is given.
    output_root
        Where the run will write; must not be the dataset, nor lie in its folders of volumes.
    recipe
        The default one if it is not given.
    redo
        Do all cases again, by this recipe and the target that it gives, whatever the output folder holds.
    like
        The output folder of a training set: images alone are preprocessed, by its recipe and to its target.
    report
        Whether each case is measured and drawn.
    exclude
        A list of cases that are left out; see `monai_mriprep.dataset.exclusions.read_exclusions`.
    virtual
        Whether nothing but records is to be made of the cases.

    Raises
    ------
    DatasetError, StatisticsError, PairingError
        If the dataset cannot be processed as a whole.
    RecipeError
        If no records alone can be made by the recipe.
    OutputError
        If the output would mix with the input, or if its finished cases have another recipe or target.
    """
    root, output = Path(dataset_root), Path(output_root)
    training, exclusions = training_of(like, recipe), read_exclusions(exclude)
    survey = survey_dataset(root, given_or_default(recipe), True, training, exclusions=exclusions)
    recipe = survey.recipe
    check_output_folder(output, survey)
    wanted = wanted_by(survey, survey.choice, output, virtual)
    decision = decide_target_unlocked(wanted, redo)
    job = replace(wanted.job, target=decision.target, report=report)
    steps = steps_of(recipe, job.target)
    estimates = (estimated(steps, *outlines, geometry=recipe.geometry) for outlines in survey.outlines)
    cases = cases_of(survey.layout, zip(survey.grouping.cases, estimates, strict=True), virtual)
    largest_first = tuple(sorted(cases, key=lambda case: -case.memory_bytes))
    return RunPlan(
        root,
        job,
        largest_first,
        decision.derivation,
        wanted,
        survey.choice.computed,
        survey.warnings if decision.target == wanted.job.target else survey.warnings_whatever_the_target,
        redo,
        len(survey.orphans),
        tuple(survey.layout.by_role),
        exclusions,
        survey.excluded,
    )


def wanted_by(survey: Survey, choice: TargetChoice, output: Path, virtual: bool = False) -> Wanted:
    """What a run would do in an empty folder.

    Raises
    ------
    RecipeError
        If it is to be a virtual one, and a step needs whole volumes.
    """
    declared = survey.layout.label_values
    values = None if declared is None else declared.values
    job = Job(survey.recipe, choice.spacing, output, declared_labels=values, virtual=virtual)
    refuse_wholes(job)
    if survey.training is not None:
        return Wanted(job, "training", choice.text, str(survey.training.root.resolve()))
    if survey.recipe.target_spacing is not None:
        return Wanted(job, "recipe", choice.text)
    if survey.recipe.named_rule is None:
        return Wanted(job, "plans", choice.text)
    return Wanted(job, "table" if choice.computed is None else "computed", choice.text)


def cases_of(
    layout: Layout, cases: Iterable[tuple[CaseFiles, Estimate | MriprepError | None]], virtual: bool = False
) -> Iterator[Case]:
    """Cases of a dataset, without outputs where they are virtual; with what each will take where that can be told."""
    by_role = layout.by_role
    for files, estimate in cases:
        sources = SourceFiles(by_role, files)
        yield _with_costs(Case(files.name, sources, {} if virtual else OutputNames(sources)), estimate)


def _with_costs(case: Case, estimate: Estimate | MriprepError | None) -> Case:
    if not isinstance(estimate, Estimate):
        return case
    return replace(
        case,
        memory_bytes=estimate.memory_bytes,
        output_voxels=estimate.voxels,
        is_upper_bound=estimate.is_upper_bound,
    )


def check_output_folder(output: Path, survey: Survey) -> None:
    """Refuse an output folder that would mix with the input: the dataset, or one of its folders, or its training set's.

    On file systems that ignore case, ``imagesTr`` is ``ImagesTr``.

    Raises
    ------
    OutputError
        If output would land among the input.
    """
    places = [real_path(output), *(real_path(output / name) for name in ROLE_OF_FOLDER)]
    for folder in survey.layout.input_folders:
        among = any(real_path(folder) in (place, *place.parents) for place in places)
        if among or places[0] == real_path(survey.layout.root):
            msg = f"{output}: the output would mix with the dataset's {folder}; choose another output folder"
            raise OutputError(msg)
    training = survey.training
    if training is not None and real_path(training.root) in (places[0], *places[0].parents):
        msg = f"{output}: lies in the output folder of the training set; choose one for the test set that does not"
        raise OutputError(msg)
