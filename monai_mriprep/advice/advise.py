"""What each of some target spacings keeps of the labels of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event

from monai_mriprep.advice.case import CaseKept, Comparison, needed_bytes
from monai_mriprep.advice.file import write_advice
from monai_mriprep.advice.gathering import Gathering
from monai_mriprep.advice.model import Advice
from monai_mriprep.advice.spacings import COMPARED, CandidateSpacing, Spacings, candidate_spacings, finest_of
from monai_mriprep.dataset.exclusions import read_exclusions
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.recognise import recognise_images
from monai_mriprep.dataset.survey import Measures, Survey, layout_of, survey_dataset
from monai_mriprep.errors import DatasetError, counted
from monai_mriprep.formats.header import Outline
from monai_mriprep.machine import processors
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.run.cases import Result
from monai_mriprep.run.memory import available_memory
from monai_mriprep.run.outlook import check_writable
from monai_mriprep.run.plan import cases_of, check_output_folder
from monai_mriprep.windows import mapped_in_window

__all__ = ["COMPARED", "Observer", "advise"]

Observer = Callable[[Result, int, int], None]
"""Told of each case that ends, how many have ended, and of how many."""


def advise(
    dataset_root: str | Path,
    recipe: Recipe | None = None,
    spacings: int = COMPARED,
    workers: int | None = None,
    exclude: str | Path | None = None,
    output_root: str | Path | None = None,
    observe: Observer | None = None,
) -> Advice:
    """Compare target spacings by what they keep of the labels; no voxels of images are read.

    Each label is resampled to the grid that a run would make of its case, as a run does it, and back as `restore` takes
    a prediction back: one mask for each class, linearly, and the highest wins. A network that repeats the labels of
    that spacing without an error ends there. What a crop would leave out, and the order of the axes, change nothing.

    Parameters
    ----------
    dataset_root
        A dataset with labels.
    recipe
        The default one if it is not given. Its target is the default of the candidates.
    spacings
        How many candidates at most: see `monai_mriprep.advice.spacings.candidate_spacings`.
    workers
        Threads; by default one for each core. Fewer are taken where the memory holds fewer labels.
    exclude
        A list of cases that are left out; see `monai_mriprep.dataset.exclusions.read_exclusions`.
    output_root
        An output folder, made if it is missing: ``advice.json`` is written there, and `report` shows it. By default
        nothing is written.
    observe
        Told of each case.

    Returns
    -------
    Advice
        Cases that cannot be compared are named there.

    Raises
    ------
    DatasetError, StatisticsError, PairingError
        If the dataset cannot be processed as a whole, has no labels, or not one case can be compared.
    OutputError
        If the output folder would mix with the dataset, or cannot be written to.
    """
    root, known = Path(dataset_root), given_or_default(recipe)
    survey = survey_dataset(root, known, with_labels=True, layout=_layout(root), exclusions=read_exclusions(exclude))
    if output_root is not None:
        check_output_folder(Path(output_root), survey)
        check_writable(Path(output_root))
    candidates = candidate_spacings(_spacings_of(survey), spacings)
    count = processors() if workers is None else workers
    gathering = Gathering(candidates, count)
    for kept in _compared(survey, candidates, count, observe):
        gathering.add(kept)
    advice = _advice(survey, gathering)
    if output_root is not None:
        write_advice(Path(output_root), advice)
    return advice


def _layout(root: Path) -> Layout:
    """That of a dataset; what is wrong with images alone is said for those who ask for advice."""
    try:
        return layout_of(root)
    except DatasetError as error:
        if not _holds_images(root):
            raise
        msg = f"{root}: holds images without labels, and target spacings are compared by labels: give a training set"
        raise DatasetError(msg) from error


def _holds_images(root: Path) -> bool:
    try:
        recognise_images(root)
    except DatasetError:
        return False
    return True


def _spacings_of(survey: Survey) -> Spacings:
    measures = (one for one in survey.measures if isinstance(one, Measures))
    target, statistics = survey.choice.spacing, survey.statistics
    return Spacings(target, statistics.median, statistics.p10, finest_of(one.spacing for one in measures))


def _compared(
    survey: Survey, candidates: Sequence[CandidateSpacing], workers: int, observe: Observer | None
) -> Iterator[CaseKept]:
    """Each case, in order; as many at once as the memory holds."""
    memory = available_memory()
    cases = tuple(cases_of(survey.layout, ((files, None) for files in survey.grouping.cases)))
    needed = [needed_bytes(one.label) for one in survey.outlines if isinstance(one.label, Outline)]
    fitting = memory // max((size for size in needed if size <= memory), default=1)
    ended = Event()
    comparison = Comparison(survey.recipe, (one.spacing for one in candidates), memory, ended)
    pairs = zip(cases, survey.outlines, strict=True)
    threads = max(1, min(workers, fitting))
    all_kept = mapped_in_window(lambda pair: comparison.compare(*pair), pairs, threads, ended=ended)
    for finished, kept in enumerate(all_kept, start=1):
        if observe is not None:
            observe(Result(kept.case, "failed" if kept.problem else "done", kept.problem), finished, len(cases))
        yield kept


def _advice(survey: Survey, gathering: Gathering) -> Advice:
    """What was found, or why that is nothing."""
    labels, cases = gathering.labels, counted(gathering.cases or len(gathering.failed), "case")
    if not gathering.cases:
        msg = f"{survey.root}: not one of {cases} can be compared; the first: {gathering.failed[0].problem}"
        raise DatasetError(msg)
    if not labels:
        msg = f"{survey.root}: the labels of {cases} hold no class, so there is nothing to compare"
        raise DatasetError(msg)
    return Advice(
        dataset=str(survey.root.resolve()),
        target_spacing=survey.choice.spacing,
        derivation=survey.choice.text,
        cases=gathering.cases,
        labels=labels,
        candidates=gathering.told(),
        empty=tuple(gathering.empty),
        failed=tuple(gathering.failed),
        warnings=survey.warnings,
    )
