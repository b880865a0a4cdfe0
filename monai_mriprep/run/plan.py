"""Everything about a run that names and headers decide; nothing is written, and neither torch nor MONAI is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.dataset.headers import Header, read_header
from monai_mriprep.dataset.pairing import Pair, Pairing, pair_by_stem
from monai_mriprep.dataset.statistics import SpacingStatistics, check_axis_order, derive_target
from monai_mriprep.dataset.volumes import find_folders, stem
from monai_mriprep.errors import DatasetError, OutputError, StatisticsError, VolumeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.volume.geometry import target_grid

__all__ = ["STATISTICS_NAME", "RunPlan", "plan_run"]

STATISTICS_NAME = "mri_statistics.csv"


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
        Where the run will write; must not be, hold or lie in the dataset's folders of volumes.
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
    _keep_apart(output, (folders.images, folders.labels))
    pairing = pair_by_stem(folders.images, folders.labels, recipe.pattern)
    if not pairing.pairs:
        msg = f"{root}: no image has a label; " + "; ".join(orphan.reason for orphan in pairing.unpaired_images[:3])
        raise DatasetError(msg)
    headers = {path: _header_or_none(path) for pair in pairing for path in pair}
    choice = _choose_target(root, recipe, pairing, headers)
    job = Job(recipe, choice.spacing, output)
    cases = sorted(_cases(job, pairing, headers), key=lambda case: -case.bytes_needed)
    orphans = (orphan.reason for orphan in (*pairing.unpaired_images, *pairing.unpaired_labels))
    return RunPlan(root, job, tuple(cases), choice.text, choice.computed, (*orphans, *choice.warnings))


@dataclass(frozen=True)
class _Choice:
    spacing: tuple[float, float, float]
    text: str
    computed: SpacingStatistics | None = None
    warnings: tuple[str, ...] = ()


def _choose_target(root: Path, recipe: Recipe, pairing: Pairing, headers: dict[Path, Header | None]) -> _Choice:
    """The recipe's own target, else the table's, else that of the headers."""
    if recipe.target_spacing is not None:
        shown = ", ".join(f"{value:g}" for value in recipe.target_spacing)
        return _Choice(recipe.target_spacing, f"target spacing ({shown}) mm (z y x): set by the recipe")
    path = root / STATISTICS_NAME if recipe.statistics is None else Path(recipe.statistics)
    if recipe.statistics is None and not path.exists():
        computed = _statistics_of_headers(pairing, headers)
        derived = derive_target(computed)
        note = f"{root}: no {STATISTICS_NAME}; computed from the headers of {len(pairing)} paired images"
        return _Choice(derived.spacing, f"{derived.text} (computed from headers)", computed, (note, *derived.warnings))
    table = SpacingStatistics.from_csv(path, recipe.statistics_row, recipe.axis_order)
    if recipe.axis_order is None:
        check_axis_order(table, _statistics_of_headers(pairing, headers).median, str(path))
    derived = derive_target(table)
    return _Choice(derived.spacing, f"{derived.text} (from {path})", None, derived.warnings)


def _statistics_of_headers(pairing: Pairing, headers: dict[Path, Header | None]) -> SpacingStatistics:
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


def _cases(job: Job, pairing: Iterable[Pair], headers: dict[Path, Header | None]) -> list[Case]:
    root = job.output_root
    return [
        Case(
            pair.case,
            pair.image,
            pair.label,
            root / "imagesTr" / f"{stem(pair.image)}.npz",
            root / "labelsTr" / f"{stem(pair.label)}.npz",
            _bytes_needed(job, headers[pair.image]),
        )
        for pair in pairing
    ]


def _bytes_needed(job: Job, image: Header | None) -> int:
    """Peak memory of a case: input as stored, as float32, mask and label; output twice, mask, label, compressed."""
    if image is None:
        return 0
    target = target_grid(image.grid, job.target, job.recipe.grid)
    n_out = target.shape[0] * target.shape[1] * target.shape[2]
    return image.voxels * (image.dtype.itemsize + 4 + 1 + 4) + n_out * (4 + 4 + 1 + 4 + 4)


def _keep_apart(output: Path, folders: Iterable[Path]) -> None:
    """On file systems that ignore case, ``imagesTr`` is ``ImagesTr``: output must not land among the input."""
    places = [output.resolve(), *((output / name).resolve() for name in ("imagesTr", "labelsTr"))]
    for folder in folders:
        if any(place == folder.resolve() or folder.resolve() in place.parents for place in places):
            msg = f"{output}: the output would be written into the dataset's {folder}; choose another output folder"
            raise OutputError(msg)
