"""What each of some target spacings keeps of the labels of a dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from monai_mriprep.advice.case import CaseKept, Comparison, Left, needed_bytes
from monai_mriprep.advice.file import write_advice
from monai_mriprep.advice.model import Advice, Candidate, Cost, Lost, Structure, Uncompared, Worst, on_front
from monai_mriprep.advice.spacings import COMPARED, CandidateSpacing, Spacings, candidate_spacings, finest_of
from monai_mriprep.dataset.exclusions import read_exclusions
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.outlines import CaseOutlines
from monai_mriprep.dataset.recognise import recognise_images
from monai_mriprep.dataset.survey import Measures, Survey, layout_of, survey_dataset
from monai_mriprep.errors import DatasetError, counted
from monai_mriprep.formats.header import Outline
from monai_mriprep.machine import processors
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.run.cases import Case, Result
from monai_mriprep.run.estimates import run_seconds
from monai_mriprep.run.memory import available_memory
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
    candidates = candidate_spacings(_spacings_of(survey), spacings)
    count = processors() if workers is None else max(1, workers)
    kept = tuple(_compared(survey, candidates, count, observe))
    advice = _advice(survey, candidates, kept, count)
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
    comparison = Comparison(survey.recipe, (one.spacing for one in candidates), memory)
    work = partial(_of_pair, comparison)
    pairs = zip(cases, survey.outlines, strict=True)
    for finished, kept in enumerate(mapped_in_window(work, pairs, max(1, min(workers, fitting))), start=1):
        if observe is not None:
            observe(Result(kept.case, "failed" if kept.problem else "done", kept.problem), finished, len(cases))
        yield kept


def _of_pair(comparison: Comparison, pair: tuple[Case, CaseOutlines]) -> CaseKept:
    return comparison.compare(*pair)


def _advice(survey: Survey, candidates: Sequence[CandidateSpacing], kept: Sequence[CaseKept], workers: int) -> Advice:
    failed = tuple(Uncompared(case=one.case, problem=one.problem) for one in kept if one.problem is not None)
    done = [one for one in kept if one.problem is None]
    if not done:
        msg = f"{survey.root}: not one of {counted(len(kept), 'case')} can be compared; the first: {failed[0].problem}"
        raise DatasetError(msg)
    labelled = [one for one in done if one.found]
    if not labelled:
        msg = f"{survey.root}: the labels of {counted(len(done), 'case')} hold no class, so there is nothing to compare"
        raise DatasetError(msg)
    found = [_Candidate(n, one, done, labelled, workers) for n, one in enumerate(candidates)]
    fronts = on_front((one.voxels, one.mean_dice) for one in found)
    told = (one.told(found[0].voxels, front) for one, front in zip(found, fronts, strict=True))
    return Advice(
        dataset=str(survey.root.resolve()),
        target_spacing=survey.choice.spacing,
        derivation=survey.choice.text,
        cases=len(done),
        labels=_structures(labelled),
        candidates=tuple(sorted(told, key=lambda one: (-one.voxels, one.spacing))),
        empty=tuple(one.case for one in done if not one.found),
        failed=failed,
        warnings=survey.warnings,
    )


def _structures(cases: Sequence[CaseKept]) -> dict[int, Structure]:
    of_class = defaultdict(list)
    for case in cases:
        for number, found in (case.found or {}).items():
            of_class[number].append(found)
    return {
        number: Structure(
            cases=len(found),
            lesions=sum(one.lesions for one in found),
            smallest_mm3=min(one.smallest_mm3 for one in found),
        )
        for number, found in sorted(of_class.items())
    }


@dataclass(frozen=True)
class _Candidate:
    """What all cases say of one candidate.

    Parameters
    ----------
    number
        Which of the candidates.
    candidate
        Its spacing and names.
    cases, labelled
        Those that were compared, and of these the ones that have a class.
    workers
        Of the run whose time is estimated.
    """

    number: int
    candidate: CandidateSpacing
    cases: Sequence[CaseKept]
    labelled: Sequence[CaseKept]
    workers: int

    @property
    def voxels(self) -> int:
        """Of all images."""
        return sum(case.estimates[self.number].voxels for case in self.cases)

    @property
    def of_class(self) -> Mapping[int, Sequence[tuple[Left, str]]]:
        """What is left of each class in the cases that have it, and the case."""
        found = defaultdict(list)
        for case in self.labelled:
            for number, left in case.left[self.number].items():
                found[number].append((left, case.case))
        return dict(sorted(found.items()))

    @property
    def dice(self) -> dict[int, float]:
        """Of each class the mean over the cases that have it."""
        return {number: float(np.mean([left.dice for left, _ in lefts])) for number, lefts in self.of_class.items()}

    @property
    def mean_dice(self) -> float:
        """Of the classes."""
        return float(np.mean([*self.dice.values()]))

    @property
    def cost(self) -> Cost:
        """Of a run."""
        work = [(case.read_voxels, case.estimates[self.number].voxels) for case in self.cases]
        return Cost(
            voxels=self.voxels,
            output_bytes=sum(case.output_bytes[self.number] for case in self.cases),
            memory_bytes=max(case.estimates[self.number].memory_bytes for case in self.cases),
            seconds=round(run_seconds(work, min(self.workers, len(work))), 1),
        )

    def told(self, default_voxels: int, front: bool) -> Candidate:
        """As it stands in JSON."""
        shapes = [case.estimates[self.number].grid.shape for case in self.cases]
        z, y, x = np.median(shapes, axis=0).tolist()
        return Candidate(
            spacing=self.candidate.spacing,
            names=self.candidate.names,
            dice=self.dice,
            mean_dice=self.mean_dice,
            worst={number: _worst(lefts) for number, lefts in self.of_class.items()},
            lost={number: _lost([left for left, _ in lefts]) for number, lefts in self.of_class.items()},
            voxels=self.voxels / default_voxels,
            cost=self.cost,
            shape=(z, y, x),
            default=self.number == 0,
            front=front,
        )


def _worst(lefts: Sequence[tuple[Left, str]]) -> Worst:
    left, case = min(lefts, key=lambda one: one[0].dice)
    return Worst(dice=left.dice, case=case)


def _lost(lefts: Sequence[Left]) -> Lost:
    losing = [left for left in lefts if left.lost]
    if not losing:
        return Lost(lesions=0)
    return Lost(
        lesions=sum(left.lost for left in losing),
        smallest_mm3=min(left.smallest_mm3 for left in losing),
        largest_mm3=max(left.largest_mm3 for left in losing),
    )
