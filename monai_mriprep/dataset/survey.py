"""What a run and a training loop need of a dataset before its first voxel is read: pairs, headers, target spacing.

Names, headers and the table of spacings decide it; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.dataset.checks import doubtful_spacings
from monai_mriprep.dataset.folders import DatasetFolders, find_folders
from monai_mriprep.dataset.pairing import Pair, Pairing, pair_by_stem
from monai_mriprep.dataset.statistics import (
    AxisOrder,
    SpacingStatistics,
    check_axis_order,
    median_size_in,
    median_size_of,
    statistics_of,
)
from monai_mriprep.dataset.target_rules import derive_target
from monai_mriprep.dataset.unread_files import unread_files
from monai_mriprep.errors import DatasetError, StatisticsError, VolumeError
from monai_mriprep.formats.header import SPACING_RANGE_MM
from monai_mriprep.formats.names import SUFFIXES, stem
from monai_mriprep.formats.read import Header, header_or_problem
from monai_mriprep.recipe import Recipe
from monai_mriprep.types import Spacing

__all__ = [
    "STATISTICS_NAME",
    "Headers",
    "Survey",
    "TargetChoice",
    "choose_target",
    "no_pairs",
    "read_table",
    "sorted_apart",
    "statistics_of_headers",
    "survey_dataset",
]

STATISTICS_NAME = "mri_statistics.csv"

Headers = Mapping[Path, Header | None]
"""The header of each paired file; None where it could not be read."""


@dataclass(frozen=True)
class Survey:
    """What names, headers and the table say of a dataset.

    Parameters
    ----------
    pairing
        One pair at least, and the files left over.
    headers
        Of the paired images; None where one cannot be read, so that its case fails later, by its own name.
    choice
        The target spacing, and where it comes from.
    unreadable
        What is wrong with the headers that cannot be read, a sentence each.
    unread
        What stands beside the volumes and nobody reads, a sentence for each folder.
    """

    pairing: Pairing
    headers: Headers
    choice: TargetChoice
    unreadable: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What needs review in the dataset as a whole."""
        orphans = (orphan.reason for orphan in (*self.pairing.unpaired_images, *self.pairing.unpaired_labels))
        doubts = doubtful_spacings(self.headers.values())
        apart = sorted_apart(self.pairing)
        return (*self.unread, *orphans, *apart, *doubts, *self.choice.notes, *self.choice.warnings)


def survey_dataset(root: Path, recipe: Recipe) -> Survey:
    """Pair the files, read the images' headers, and choose the target spacing.

    Raises
    ------
    DatasetError, StatisticsError, PairingError
        If the dataset cannot be processed as a whole.
    """
    folders = find_folders(root)
    pairing = pair_by_stem(folders.images, folders.labels, recipe.pattern)
    if not pairing.pairs:
        raise DatasetError(no_pairs(folders, pairing))
    read = {pair.image: header_or_problem(pair.image) for pair in pairing}
    headers = {path: header if isinstance(header, Header) else None for path, header in read.items()}
    unreadable = tuple(str(problem) for problem in read.values() if isinstance(problem, VolumeError))
    return Survey(pairing, headers, choose_target(root, recipe, pairing, headers), unreadable, unread_files(folders))


def no_pairs(folders: DatasetFolders, pairing: Pairing) -> str:
    """Say why there is not one pair, and what to do."""
    sides = {folders.images: pairing.unpaired_images, folders.labels: pairing.unpaired_labels}
    empty = [str(folder) for folder, orphans in sides.items() if not orphans]
    if empty:
        return f"no image has a label: there is no volume ({', '.join(SUFFIXES)}) in {' and '.join(empty)}"
    image, label = (f"{orphans[0].path.name!r}" for orphans in sides.values())
    return (
        f"no image has a label: not one name in {folders.labels} fits one in {folders.images}, such as {label} and "
        f"{image}; give each label its image's name, or give a `pattern` that finds the case in both"
    )


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
        What a person is told, though nothing is wrong.
    warnings
        What needs review.
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
        derived = derive_target(computed, recipe.target_rule, median_size_of(_readable(pairing, headers)))
        note = f"{root}: no {STATISTICS_NAME}; computed from the headers of {len(pairing)} paired images"
        text = f"{derived.text} (computed from headers)"
        return TargetChoice(derived.spacing, text, None, computed, (note,), derived.warnings)
    table = SpacingStatistics.from_csv(path, recipe.statistics_row, recipe.axis_order)
    if recipe.axis_order is None:
        check_axis_order(table, statistics_of_headers(pairing, headers).median, str(path))
    derived = derive_target(table, recipe.target_rule, _median_size(path, recipe, pairing, headers))
    return TargetChoice(derived.spacing, f"{derived.text} (from {path})", table, warnings=derived.warnings)


def read_table(
    path: str | Path, images: Iterable[Path], row: int | None = None, axis_order: AxisOrder | None = None
) -> SpacingStatistics:
    """Read a table of spacings and, unless its axis order is given, compare it with the headers of images.

    Parameters
    ----------
    path
        The table, as `SpacingStatistics.from_csv` reads it.
    images
        Scans to compare with, of the dataset that the table is of, or like it.
    row, axis_order
        As in `SpacingStatistics.from_csv`.

    Raises
    ------
    StatisticsError
        If the table is malformed, or contradicts the scans as it is and fits them in x y z order.
    HeaderError
        If the header of an image is not valid.
    """
    table = SpacingStatistics.from_csv(path, row, axis_order)
    if axis_order is None:
        check_axis_order(table, statistics_of(images).median, str(path))
    return table


def statistics_of_headers(pairing: Pairing, headers: Headers) -> SpacingStatistics:
    """Statistics of the paired images whose headers can be read; the others fail later, each by its own name."""
    return SpacingStatistics.from_spacings(header.grid.spacing for header in _readable(pairing, headers))


def _median_size(path: Path, recipe: Recipe, pairing: Pairing, headers: Headers) -> Sequence[float] | None:
    """Median size that the rule needs: of the table, if it gives one, else of the images as stored."""
    if recipe.target_rule == "published":
        return None
    size = median_size_in(path, recipe.statistics_row, recipe.axis_order)
    return size or median_size_of(_readable(pairing, headers))


def _readable(pairing: Pairing, headers: Headers) -> list[Header]:
    """Headers of the paired images that can be read; one at least."""
    readable = [header for pair in pairing if (header := headers[pair.image]) is not None]
    if not readable:
        first = pairing[0].image
        problem = header_or_problem(first)
        msg = f"not one header of {len(pairing)} paired images can be read, so no target spacing; the first: {problem}"
        raise StatisticsError(msg)
    return readable
