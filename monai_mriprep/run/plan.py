"""Everything about a run that names and headers decide; nothing is written, and neither torch nor MONAI is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from monai_mriprep.dataset.folders import DatasetFolders
from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.dataset.survey import survey_dataset
from monai_mriprep.errors import MriprepError, OutputError
from monai_mriprep.formats.names import stem
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.run.cases import Case, Job, OutputNames, SourceFiles
from monai_mriprep.run.estimates import Estimate, estimated
from monai_mriprep.steps import steps_of
from monai_mriprep.types import IMAGE, LABEL, ROLES

__all__ = ["RunPlan", "cases_of", "check_output_folder", "plan_run"]


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do.

    Parameters
    ----------
    dataset_root
        Where it reads.
    job
        What all cases share.
    cases
        The largest first, so that the last one does not leave cores idle.
    derivation
        Where the target spacing comes from, in words.
    computed_statistics
        Statistics that the run has computed itself, because the dataset has no table; None where it has.
    warnings
        What needs review.
    """

    dataset_root: Path
    job: Job
    cases: tuple[Case, ...]
    derivation: str
    computed_statistics: SpacingStatistics | None = None
    warnings: tuple[str, ...] = ()


def plan_run(dataset_root: str | Path, output_root: str | Path, recipe: Recipe | None = None) -> RunPlan:
    """Pair the files, choose the target spacing, and put the cases in order.

    Parameters
    ----------
    dataset_root
        Holds ``ImagesTr`` and ``LabelsTr``.
    output_root
        Where the run will write; must not be the dataset, nor lie in its folders of volumes.
    recipe
        The default one if it is not given.

    Raises
    ------
    DatasetError, StatisticsError, PairingError
        If the dataset cannot be processed as a whole.
    OutputError
        If the output would mix with the input.
    """
    root, output, recipe = Path(dataset_root), Path(output_root), given_or_default(recipe)
    survey = survey_dataset(root, recipe, with_labels=True)
    check_output_folder(output, survey.folders)
    choice = survey.choice
    job = Job(recipe, choice.spacing, output)
    steps = steps_of(recipe, choice.spacing)
    estimates = (estimated(steps, *outlines, geometry=recipe.geometry) for outlines in survey.outlines)
    cases = cases_of(survey.folders, zip(survey.pairing.pairs.names, estimates, strict=True))
    largest_first = tuple(sorted(cases, key=lambda case: -case.memory_bytes))
    return RunPlan(root, job, largest_first, choice.text, choice.computed, survey.warnings)


def cases_of(
    folders: DatasetFolders, pairs: Iterable[tuple[tuple[str, str], Estimate | MriprepError]]
) -> Iterator[Case]:
    """The cases of pairs of file names, image and label; with what each will take where that can be told."""
    by_role = (IMAGE.name, folders.images), (LABEL.name, folders.labels)
    for names, estimate in pairs:
        sources = SourceFiles(by_role, names)
        yield _with_costs(Case(stem(names[0]), sources, OutputNames(sources)), estimate)


def _with_costs(case: Case, estimate: Estimate | MriprepError) -> Case:
    if isinstance(estimate, MriprepError):
        return case
    return replace(
        case,
        memory_bytes=estimate.memory_bytes,
        output_voxels=estimate.voxels,
        is_upper_bound=estimate.is_upper_bound,
    )


def check_output_folder(output: Path, dataset: DatasetFolders) -> None:
    """Refuse an output folder that would mix with the input: the dataset itself, or in one of its folders.

    On file systems that ignore case, ``imagesTr`` is ``ImagesTr``.

    Raises
    ------
    OutputError
        If output would land among the input.
    """
    places = [output.resolve(), *((output / role.folder).resolve() for role in ROLES)]
    for folder in (dataset.images, dataset.labels):
        among = any(place == folder.resolve() or folder.resolve() in place.parents for place in places)
        if among or places[0] == folder.parent.resolve():
            msg = f"{output}: the output would mix with the dataset's {folder}; choose another output folder"
            raise OutputError(msg)
