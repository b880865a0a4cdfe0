"""Everything about a run that names and headers decide; nothing is written, and neither torch nor MONAI is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.dataset.claims import SPACING_RANGE_MM
from monai_mriprep.dataset.headers import Header, read_header
from monai_mriprep.dataset.npz import OUTPUT_FOLDERS
from monai_mriprep.dataset.pairing import Pair, Pairing, pair_by_stem
from monai_mriprep.dataset.statistics import SpacingStatistics, check_axis_order, derive_target
from monai_mriprep.dataset.volumes import SUFFIXES, find_folders, stem
from monai_mriprep.errors import DatasetError, OutputError, StatisticsError, VolumeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.types import Spacing
from monai_mriprep.volume.geometry import target_grid

__all__ = [
    "STATISTICS_NAME",
    "RunPlan",
    "TargetChoice",
    "choose_target",
    "keep_apart",
    "make_case",
    "plan_run",
    "sorted_apart",
    "statistics_of_headers",
]

STATISTICS_NAME = "mri_statistics.csv"

Headers = Mapping[Path, Header | None]
"""The header of each paired file; None where it could not be read."""


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
        What a person should look at.
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
        The published one by default.

    Raises
    ------
    DatasetError, StatisticsError, PairingError
        If the dataset cannot be processed as a whole.
    OutputError
        If the output would mix with the input.
    """
    root, output, recipe = Path(dataset_root), Path(output_root), recipe or Recipe()
    folders = find_folders(root)
    keep_apart(output, (folders.images, folders.labels))
    pairing = pair_by_stem(folders.images, folders.labels, recipe.pattern)
    if not pairing.pairs:
        reasons = [orphan.reason for orphan in pairing.unpaired_images[:3]]
        empty = f"there is no volume ({', '.join(SUFFIXES)}) in {folders.images}"
        msg = f"{root}: no image has a label; {'; '.join(reasons) or empty}"
        raise DatasetError(msg)
    headers = {pair.image: _header_or_none(pair.image) for pair in pairing}
    choice = choose_target(root, recipe, pairing, headers)
    job = Job(recipe, choice.spacing, output)
    cases = sorted((make_case(job, pair, headers[pair.image]) for pair in pairing), key=lambda case: -case.bytes_needed)
    orphans = (orphan.reason for orphan in (*pairing.unpaired_images, *pairing.unpaired_labels))
    warnings = (*orphans, *sorted_apart(pairing), *choice.notes, *choice.warnings)
    return RunPlan(root, job, tuple(cases), choice.text, choice.computed, warnings)


def sorted_apart(pairing: Iterable[Pair]) -> Iterator[str]:
    """Say so where outputs that are sorted by name do not stand side by side: many loaders pair them by position."""
    pairs = list(pairing)
    by_image = sorted(pairs, key=lambda pair: f"{stem(pair.image)}.npz")
    by_label = sorted(pairs, key=lambda pair: f"{stem(pair.label)}.npz")
    for one, other in zip(by_image, by_label, strict=True):
        if one != other:
            yield (
                f"sorted by name, {stem(one.image)}.npz stands beside the label {stem(other.label)}.npz, which is not "
                "its own: a loader that pairs by position would mix up cases; use dataset.json, or pad the numbers"
            )
            return


@dataclass(frozen=True)
class TargetChoice:
    """The target spacing of a dataset, and where it comes from.

    Parameters
    ----------
    spacing
        In mm, z y x.
    text
        The derivation, in words.
    table
        The statistics of the dataset's or the recipe's table; None where neither was asked.
    computed
        The statistics of the headers, where there is no table.
    notes
        What is not as usual, but well.
    warnings
        What a person should look at.
    """

    spacing: Spacing
    text: str
    table: SpacingStatistics | None = None
    computed: SpacingStatistics | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        low, high = SPACING_RANGE_MM
        if min(self.spacing) < low or max(self.spacing) > high:
            msg = f"{self.text}; the spacing of a scan is from {low:g} to {high:g} mm"
            raise DatasetError(msg)


def choose_target(root: Path, recipe: Recipe, pairing: Pairing, headers: Headers) -> TargetChoice:
    """Choose the recipe's own target, else the table's, else that of the headers.

    Raises
    ------
    StatisticsError
        If the table is malformed or contradicts the scans, or there is none and not one header can be read.
    """
    if recipe.target_spacing is not None:
        shown = ", ".join(f"{value:g}" for value in recipe.target_spacing)
        return TargetChoice(recipe.target_spacing, f"target spacing ({shown}) mm (z y x): set by the recipe")
    path = root / STATISTICS_NAME if recipe.statistics is None else Path(recipe.statistics)
    if recipe.statistics is None and not path.exists():
        computed = statistics_of_headers(pairing, headers)
        derived = derive_target(computed)
        note = f"{root}: no {STATISTICS_NAME}; computed from the headers of {len(pairing)} paired images"
        text = f"{derived.text} (computed from headers)"
        return TargetChoice(derived.spacing, text, None, computed, (note,), derived.warnings)
    table = SpacingStatistics.from_csv(path, recipe.statistics_row, recipe.axis_order)
    if recipe.axis_order is None:
        check_axis_order(table, statistics_of_headers(pairing, headers).median, str(path))
    derived = derive_target(table)
    return TargetChoice(derived.spacing, f"{derived.text} (from {path})", table, warnings=derived.warnings)


def statistics_of_headers(pairing: Pairing, headers: Headers) -> SpacingStatistics:
    """Statistics of the paired images whose headers can be read; the others fail later, each by its own name."""
    readable = [header for pair in pairing if (header := headers[pair.image]) is not None]
    if not readable:
        first = pairing[0].image
        read_header(first)  # raises what is wrong with it
        msg = f"{first.parent}: not one image has a readable header"
        raise StatisticsError(msg)
    return SpacingStatistics.from_spacings(header.grid.spacing for header in readable)


def _header_or_none(path: Path) -> Header | None:
    try:
        return read_header(path)
    except VolumeError:
        return None


def make_case(job: Job, pair: Pair, image: Header | None) -> Case:
    """Name a pair's outputs, and estimate its cost where the image's header could be read."""
    outputs = (job.output_root / name for name in OUTPUT_FOLDERS.values())
    image_npz, label_npz = (folder / f"{stem(path)}.npz" for folder, path in zip(outputs, pair, strict=True))
    if image is None:
        return Case(pair.case, *pair, image_npz, label_npz)
    n_out = math.prod(target_grid(image.grid, job.target, job.recipe.grid).shape)
    return Case(pair.case, *pair, image_npz, label_npz, _bytes_needed(image, n_out), n_out)


def _bytes_needed(image: Header, n_out: int) -> int:
    """Peak memory of a case: input as stored, as float32, mask and label; output twice, mask, label, compressed."""
    return image.voxels * (image.dtype.itemsize + 4 + 1 + 4) + n_out * (4 + 4 + 1 + 4 + 4)


def keep_apart(output: Path, folders: Iterable[Path]) -> None:
    """Refuse an output folder that would mix with the input: the dataset itself, or in one of its folders.

    On file systems that ignore case, ``imagesTr`` is ``ImagesTr``.

    Raises
    ------
    OutputError
        If output would land among the input.
    """
    places = [output.resolve(), *((output / name).resolve() for name in OUTPUT_FOLDERS.values())]
    for folder in folders:
        among = any(place == folder.resolve() or folder.resolve() in place.parents for place in places)
        if among or places[0] == folder.parent.resolve():
            msg = f"{output}: the output would mix with the dataset's {folder}; choose another output folder"
            raise OutputError(msg)
