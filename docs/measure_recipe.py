"""Measure every figure that docs/recipe.md quotes, and print them as the tables that stand there.

Usage: ``python docs/measure_recipe.py``. It takes 20 seconds. The figures of the page are those of the real scans in
``../shared/data`` beside the project, and a test compares the two. Without the scans, phantoms of the same names and
geometry stand in: the tables are the same, their figures are not.
"""

from __future__ import annotations

import atexit
import json
import math
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.utils import compute_shape_offset, zoom_affine
from monai.transforms import NormalizeIntensity
from numpy.typing import NDArray
from scipy import ndimage

from monai_mriprep import (
    LoadVolumed,
    MriprepError,
    Recipe,
    SaveNpzd,
    SpacingStatistics,
    build_transforms,
    pair_by_stem,
    target_spacing,
)
from monai_mriprep.dataset.pairing import pair_names
from monai_mriprep.dataset.statistics import check_axis_order, statistics_of
from monai_mriprep.dataset.survey import survey_dataset
from monai_mriprep.formats.read import read_header
from monai_mriprep.steps import Volumes, final_grid, forward, native_steps, steps_of
from monai_mriprep.transforms import MatchGeometryd
from monai_mriprep.types import IMAGE, Spacing
from monai_mriprep.volume.geometry import Grid, same_grid_problem, target_grid
from monai_mriprep.volume.intensity import foreground_moments, standardize
from monai_mriprep.volume.itk_spline import positive_as_itk
from monai_mriprep.volume.labels import apply_cast, plan_cast
from monai_mriprep.volume.resample import apply_plan, plan_resampling

ROOT = Path(__file__).resolve().parents[1]
REAL_SCANS = ROOT.parent / "shared" / "data"
FETAL, FETAL_2, CORD, CORD_2, NECK, BRAIN, ABDOMEN = (
    "20001_0001_t2w",
    "20001_0002_t2w",
    "20002_0001_t1w",
    "20003_0001_t2w",
    "20004_0001_t2star",
    "20005_0001_t1w",
    "20007_0001_mr",
)
MIXED_TARGET = (1.0, 1.0, 1.0)
"""What the rule makes of mixed/mri_statistics.csv."""

MARGIN = 10.0
"""What a crop keeps around its box, in mm, where that is measured."""

Row = Sequence[object]


# --- Helpers ----------------------------------------------------------------------------------------------------------


@lru_cache
def scans() -> Path:
    """Find the real scans, or write what stands in for them into a folder that goes when the program ends."""
    if REAL_SCANS.is_dir():
        return REAL_SCANS
    sys.stderr.write(f"the real scans are not here ({REAL_SCANS}): these are figures of phantoms, not the page's\n")
    sys.path.append(str(ROOT))
    from tests.phantoms import write_stand_ins

    folder = Path(tempfile.mkdtemp(prefix="mriprep-phantoms-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_stand_ins(folder)


def image_file(case: str) -> Path:
    """Find the scan of a case of the dataset `mixed`."""
    return scans() / "mixed" / "ImagesTr" / f"{case}.mha"


def label_file(case: str) -> Path:
    """Find its label."""
    return scans() / "mixed" / "LabelsTr" / f"{case.rpartition('_')[0]}_seg.mha"


@lru_cache
def voxels(path: Path) -> torch.Tensor:
    """Read a volume, ``(1, D, H, W)``."""
    tensor: torch.Tensor = LoadVolumed(["volume"])({"volume": str(path)})["volume"].as_tensor()
    return tensor


def grid(path: Path) -> Grid:
    """Read where a volume lies."""
    return read_header(path).grid


def dice(one: torch.Tensor | NDArray[np.bool_], other: torch.Tensor | NDArray[np.bool_]) -> float:
    """Overlap of two masks."""
    a, b = np.asarray(one), np.asarray(other)
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def there_and_back(label: torch.Tensor, source: Grid, target: Spacing) -> float:
    """Dice of a label with itself after resampling to a spacing and back, both by nearest neighbour."""
    middle = target_grid(source, target)
    resampled = apply_plan(label, plan_resampling(source, middle, 0))
    return dice(label > 0, apply_plan(resampled, plan_resampling(middle, source, 0)) > 0)


def rms(one: torch.Tensor, other: torch.Tensor) -> str:
    """Root of the mean square difference, in percent of the range of the second."""
    difference = (one.double() - other.double()).square().mean().sqrt()
    return f"{100 * float(difference) / float(other.max() - other.min()):.2f} %"


def image_there_and_back(image: torch.Tensor, source: Grid, target: Spacing, order: int = 3) -> str:
    """RMS difference of an image from itself after resampling to a spacing and back."""
    middle = target_grid(source, target)
    resampled = apply_plan(image, plan_resampling(source, middle, order))
    return rms(apply_plan(resampled, plan_resampling(middle, source, order)), image)


def hundredths(value: float | torch.Tensor) -> str:
    """Two decimals, and no minus before a zero."""
    return f"{round(float(value), 2) + 0.0:.2f}"


def show(value: object) -> str:
    """Write a cell: floats to four digits, triples with spaces."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    if isinstance(value, (tuple, list)):
        return " ".join(show(item) for item in value)
    return str(value)


def table(*header: str) -> Callable[[Iterator[Row]], list[str]]:
    """Lay rows out as a Markdown table."""

    def lines(rows: Iterator[Row]) -> list[str]:
        top = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
        return top + [f"| {' | '.join(show(cell) for cell in row)} |" for row in rows]

    return lines


# --- The measurements, in the order of the page -----------------------------------------------------------------------


def departures() -> Iterator[Row]:
    """Compare the default with the recipe's text and with what its authors run, each step by itself."""
    source, image = grid(image_file(FETAL_2)), voxels(image_file(FETAL_2))
    middle, theirs = target_grid(source, MIXED_TARGET), target_grid(source, MIXED_TARGET, "itk")
    plan = plan_resampling(source, theirs, 3, "mirror", zero_outside=True)
    ours, mirrored = apply_plan(image, plan_resampling(source, middle)), apply_plan(image, plan)
    carried = apply_plan(image != 0, plan_resampling(source, middle, 0))
    stated = np.array(read_header(image_file(FETAL_2)).frame.direction)
    greater = positive_as_itk(image[0].numpy(), source, stated, MIXED_TARGET, mirrored[0].numpy())
    whole = mirrored.trunc()
    edge = (apply_plan(image, plan_resampling(source, theirs, 3, boundary)) for boundary in ("nearest", "mirror"))
    masks = ((ours, carried), (ours, ours != 0), (mirrored, torch.from_numpy(greater[None])), (whole, whole > 0))
    as_stored, non_zero, positive, cut = (foreground_moments(values, mask)[0] for values, mask in masks)
    means = f"mean {as_stored.mean:.4g}, {non_zero.mean:.4g}, {positive.mean:.4g}"
    yield "foreground", "not 0 as stored, carried", "not 0 after resampling", "> 0 after resampling", means
    shapes = f"another shape: {other_shapes()} scans"
    yield "voxels of an axis", "`round((N - 1) s / t + 1)`", "", "`round(N s / t)`", shapes
    neck = grid(image_file(NECK))
    size, exact = target_grid(neck, MIXED_TARGET, "itk").shape[0], neck.shape[0] * neck.spacing[0]
    yield "sizes near a half", "count as the half", "", "do not", f"{exact:.5f} slices are {size}"
    yield "beyond the last centre", "edge voxel repeated", "", "mirrored", f"RMS {rms(*edge)}"
    beyond = f"{int(plan.axes[0].outside.sum())} of {theirs.shape[0]} slices"
    yield "centres outside the scan", "edge voxel repeated", "", "0", beyond
    yield "divisor", "std", "std", "std + 1e-6", f"{1e-6 / positive.std:.1e} of a score"
    cut_off = f"mean {positive.mean:.4g} becomes {cut.mean:.4g}"
    yield "voxels of integer files", "float", "", "integers, cut off (not so in the preset)", cut_off


def other_shapes() -> str:
    """Count the pairs of `mixed` and `anisotropic` that the authors' grid gives another shape, at the own target."""
    differ = []
    for folder in (scans() / "mixed", scans() / "anisotropic"):
        target = target_spacing(SpacingStatistics.from_csv(folder / "mri_statistics.csv"))
        for pair in pair_by_stem(folder / "ImagesTr", folder / "LabelsTr"):
            one, other = (target_grid(grid(pair.image), target, rule).shape for rule in ("monai", "itk"))
            differ.append(one != other)
    return f"{sum(differ)} of {len(differ)}"


def pairing() -> Iterator[Row]:
    """Names, and what the passes make of them."""
    examples = [
        ("10000_0001", "10000_0001"),
        ("10000_0001_0000", "10000_0001"),
        ("10000_0001_t2w", "10000_0001_seg"),
        ("10000_0001_t2w_ax", "10000_0001_seg"),
        ("case_001", "case_001_seg"),
        ("BraTS_002a", "BraTS_001b"),
        ("hospital_P001", "hospital_P002"),
        ("2019_01_patientA_t2", "2019_01_patientB_seg"),
    ]
    for image, label in examples:
        yield f"`{image}`", f"`{label}`", "paired" if pair_names([image], [label]).pairs else "skipped, with a warning"


def axis_order() -> Iterator[Row]:
    """Show the table of `anisotropic` as it is, and with its numbers reversed."""
    folder = scans() / "anisotropic"
    headers = statistics_of(pair_by_stem(folder / "ImagesTr", folder / "LabelsTr")).median
    right = SpacingStatistics.from_csv(folder / "mri_statistics.csv")
    wrong = SpacingStatistics(right.median[::-1], right.p10[::-1])
    for name, statistics in (("z y x", right), ("x y z", wrong)):
        target = target_spacing(statistics)
        shape = target_grid(grid(image_file(BRAIN)), target).shape
        kept = there_and_back(voxels(label_file(BRAIN)), grid(label_file(BRAIN)), target)
        try:
            check_axis_order(statistics, headers, "table")
            verdict = "accepted"
        except MriprepError:
            verdict = "refused"
        lost = image_there_and_back(voxels(image_file(BRAIN)), grid(image_file(BRAIN)), target)
        yield name, target, shape, lost, f"{kept:.2f}", verdict


def target_rule() -> Iterator[Row]:
    """Compare the rule's target for `mixed` with the plain median, on the isotropic cord."""
    statistics = SpacingStatistics.from_csv(scans() / "mixed" / "mri_statistics.csv")
    source, label = grid(image_file(CORD)), voxels(label_file(CORD))
    for name, target in (("plain median", statistics.median), ("the rule", target_spacing(statistics))):
        slices = target_grid(source, target).shape[0]
        lost = image_there_and_back(voxels(image_file(CORD)), source, target)
        yield name, target, source.shape[0], slices, lost, f"{there_and_back(label, source, target):.2f}"


def geometry() -> Iterator[Row]:
    """Ask real pairs, good and bad, whether image and label lie on one grid."""
    pairs = pair_by_stem(scans() / "mixed" / "ImagesTr", scans() / "mixed" / "LabelsTr")
    good = [(grid(pair.image), grid(pair.label)) for pair in pairs]
    apart = max(float(np.abs(image.affine - label.affine).max()) for image, label in good)
    agree = all(same_grid_problem(image, label) is None for image, label in good)
    yield f"the {len(good)} pairs of `mixed`", "equal", "accepted" if agree else "refused", f"affines {apart:.1e} apart"
    for trap, image, label in (
        ("reversed_label", "ProstateX-0000_t2w.mha", "ProstateX-0000_annotation.nii.gz"),
        ("stale_label", "ProstateX-0000_0000.nii.gz", "ProstateX-0000.nii.gz"),
    ):
        files: dict[Hashable, Any] = {
            "image": str(scans() / "traps" / trap / image),
            "label": str(scans() / "traps" / trap / label),
        }
        data = LoadVolumed(["image", "label"])(files)
        moved = MatchGeometryd(geometry="resample_label")(data)["label"].as_tensor() > 0
        stored = data["label"].as_tensor() > 0
        problem = same_grid_problem(grid(Path(files["image"])), grid(Path(files["label"])))
        right = f"{int((moved & stored).sum())} of {int(stored.sum())} lesion voxels stay"
        yield f"`{trap}`", "equal", f"refused: {problem}", right


def foreground() -> Iterator[Row]:
    """Take the mean over the three foregrounds, of a scan as it is and of its brain alone."""
    source = grid(image_file(FETAL_2))
    target = target_grid(source, MIXED_TARGET)
    scan = voxels(image_file(FETAL_2))
    brain = scan * (voxels(label_file(FETAL_2)) > 0)
    for name, image in (("as stored", scan), ("brain only", brain)):
        mask = image != 0
        resampled = apply_plan(image, plan_resampling(source, target))
        carried = apply_plan(mask, plan_resampling(source, target, 0))
        for choice, values, inside in (
            ("native", image, mask),
            ("carried", resampled, carried),
            ("resampled", resampled, resampled != 0),
        ):
            (moments,) = foreground_moments(values, inside)
            bright = float(standardize(resampled, [moments])[carried].mean())
            yield (
                name,
                choice,
                f"{100 * float(inside.double().mean()):.1f} %",
                moments.mean,
                moments.std,
                hundredths(bright),
            )


def grids() -> Iterator[Row]:
    """Put the two grids on the neck scan, and mix them up."""
    source, label = grid(image_file(NECK)), voxels(label_file(NECK))
    arrays = {}
    for rule in ("monai", "nnunet"):
        target = target_grid(source, MIXED_TARGET, rule)
        start = np.linalg.solve(source.affine[:3, :3], target.origin - source.origin) * source.spacing
        arrays[rule] = np.asarray(apply_plan(label, plan_resampling(source, target, 0)))[0] > 0
        yield f"`{rule}`", target.shape, target.spacing, tuple(round(float(mm), 3) + 0.0 for mm in start)
    shape = tuple(slice(min(sizes)) for sizes in zip(*(array.shape for array in arrays.values()), strict=True))
    overlap = dice(arrays["monai"][shape], arrays["nnunet"][shape])
    yield "label of one beside image of the other", "", "", f"Dice {overlap:.2f}"


def monai_grid(source: Grid, target: Spacing) -> Grid:
    """Compute where MONAI's `Spacing` puts a volume."""
    affine = zoom_affine(source.affine.copy(), np.array(target), diagonal=False)
    (z, y, x), affine[:3, 3] = compute_shape_offset(source.shape, source.affine, affine)
    return Grid((int(z), int(y), int(x)), affine)


def corner_test() -> Iterator[Row]:
    """Compare MONAI's first voxel with the scan's own, which its rule says coincide."""
    for case, target in (
        (FETAL, MIXED_TARGET),
        (FETAL_2, MIXED_TARGET),
        (NECK, MIXED_TARGET),
        (FETAL, (2.98, 0.664062, 0.664062)),
    ):
        source = grid(image_file(case))
        away = [
            float(np.linalg.norm(g.origin - source.origin))
            for g in (monai_grid(source, target), target_grid(source, target))
        ]
        yield f"`{case}`", target, *(f"{mm:.2f} mm" for mm in away)


def halves() -> Iterator[Row]:
    """Count voxels where (N - 1) * s / t + 1 is a half: in real scans, and under noise of 1e-7."""
    for case, target, axis, name in (
        (FETAL, (2.2, 1.125, 1.125), 0, "z"),
        (FETAL_2, (2.2, 1.125, 1.125), 0, "z"),
        (NECK, MIXED_TARGET, 1, "y"),
        (NECK, MIXED_TARGET, 2, "x"),
    ):
        source = grid(image_file(case))
        formula = f"{source.shape[axis] - 1} · {source.spacing[axis]:.7f} / {target[axis]:g} + 1"
        yield (
            f"`{case}`, {name}",
            formula,
            monai_grid(source, target).shape[axis],
            target_grid(source, target).shape[axis],
        )
    noisy = [Grid((26, 8, 8), np.diag([1.0 + noise, 1.0, 1.0, 1.0])) for noise in np.linspace(-1e-7, 1e-7, 21)]
    sizes = [sorted({rule(source, (2.0, 1.0, 1.0)).shape[0] for source in noisy}) for rule in (monai_grid, target_grid)]
    yield "26 slices of 1 mm ± 1e-7", "25 · 1 / 2 + 1", *(" or ".join(map(str, found)) for found in sizes)


def boundary() -> Iterator[Row]:
    """Look at the ends of the brain on the half-pixel grid, whose outer slices lie outside the stored ones."""
    source, image = grid(image_file(BRAIN)), voxels(image_file(BRAIN))
    target = target_grid(source, MIXED_TARGET, "nnunet")
    plan = plan_resampling(source, target)
    results = {"edge (`nearest`, ours)": apply_plan(image, plan)[0].numpy()}
    results["`mirror`"] = apply_plan(image, plan_resampling(source, target, 3, "mirror"))[0].numpy()
    results["zeros"] = ndimage.affine_transform(
        image[0].numpy().astype(np.float32),
        [axis.step for axis in plan.axes],
        [axis.start for axis in plan.axes],
        output_shape=target.shape,
        mode="constant",
    )
    for name, result in results.items():
        black = int((~result.any(axis=(1, 2))).sum())
        yield (
            name,
            float(image[0, 0].double().mean()),
            float(result[0].mean(dtype=np.float64)),
            f"{black} of {len(result)}",
        )


def order() -> Iterator[Row]:
    """Resample the cord and back; then leave out every other voxel in-plane, and fill the gaps."""
    source, image = grid(image_file(CORD)), voxels(image_file(CORD)).float()
    n_z, n_y, n_x = source.shape
    odd = image[:, :, : n_y - 1 + n_y % 2, : n_x - 1 + n_x % 2]
    kept = odd[:, :, ::2, ::2].contiguous()
    coarse = Grid((n_z, kept.shape[2], kept.shape[3]), np.diag([1.0, 2.0, 2.0, 1.0]))
    fine = Grid((n_z, odd.shape[2], odd.shape[3]), np.eye(4))
    for name, n in (("0, nearest", 0), ("1, linear", 1), ("3, cubic (ours)", 3)):
        finer, coarser = (image_there_and_back(image, source, (mm, mm, mm), n) for mm in (0.8, 1.25))
        filled = apply_plan(kept, plan_resampling(coarse, fine, n))
        yield name, finer, coarser, rms(filled, odd)


def overshoot() -> Iterator[Row]:
    """Compare the range of scans before and after, without `clip`."""
    for case in (NECK, ABDOMEN):
        source, image = grid(image_file(case)), voxels(image_file(case))
        result = apply_plan(image, plan_resampling(source, target_grid(source, MIXED_TARGET)))
        low, high = int(image.min()), int(image.max())
        outside = float(((result < low) | (result > high)).double().mean())
        yield (
            f"`{case}`",
            f"{low} to {high}",
            f"{float(result.min()):.0f} to {float(result.max()):.0f}",
            f"{100 * outside:.2f} %",
        )


def identity() -> Iterator[Row]:
    """Take a scan that is 1e-6 mm away from the target, and resample it none the less."""
    source, image = grid(image_file(FETAL)), voxels(image_file(FETAL)).float()
    target = (3.3, 1.125, 1.125)
    ours = target_grid(source, target)
    forced = source.affine.copy()
    forced[:3, :3] *= np.divide(target, source.spacing)
    computed = apply_plan(image, plan_resampling(source, Grid(source.shape, forced)))
    for name, result in (
        ("computed none the less", computed),
        ("left as it is (ours)", apply_plan(image, plan_resampling(source, ours))),
    ):
        yield (
            name,
            f"{100 * float((result != image).double().mean()):.1f} %",
            f"{float((result - image).abs().max()):.2g}",
        )


def classes() -> Iterator[Row]:
    """Resample the abdomen's label, which has 23 organs, in two ways."""
    source, label = grid(label_file(ABDOMEN)), voxels(label_file(ABDOMEN))
    target = target_grid(source, MIXED_TARGET)
    organs = set(torch.unique(label).tolist())
    nearest = apply_plan(label, plan_resampling(source, target, 0))
    for name, n in (("linear, rounded", 1), ("nearest (ours)", 0)):
        result = apply_plan(label.float(), plan_resampling(source, target, n)).round().to(torch.int16)
        values = set(torch.unique(result).tolist())
        strange = _absent_nearby(result[0].numpy(), nearest[0].numpy())
        share = strange / int(torch.count_nonzero(result))
        yield name, len(values - {0}), len(values - organs), f"{strange:,}", f"{100 * share:.1f} %"


def _absent_nearby(found: NDArray[np.int16], nearest: NDArray[np.int16]) -> int:
    """Count the voxels whose class occurs nowhere in the 7 x 7 x 7 voxels about them."""
    boxes = dict(enumerate(ndimage.find_objects(nearest), start=1))
    absent = 0
    for value in np.unique(found[found > 0]):
        here, box = found == value, boxes.get(int(value))
        absent += int(np.count_nonzero(here))
        if box is not None:
            wide = tuple(slice(max(0, side.start - 3), side.stop + 3) for side in box)
            near = ndimage.binary_dilation(nearest[wide] == value, np.ones((3, 3, 3), bool), 3)
            absent -= int(np.count_nonzero(here[wide] & near))
    return absent


def ties() -> Iterator[Row]:
    """Resample the abdomen's label to half its spacing, from headers that differ by 1e-7 mm."""
    source, label = grid(image_file(ABDOMEN)), voxels(label_file(ABDOMEN))
    found: dict[str, list[NDArray[np.int16]]] = {"plain rounding": [], "ours": []}
    for noise in (-1e-7, 1e-7):
        noisy = Grid(source.shape, np.diag([3.0 + noise, 3.0 + noise, 3.0 + noise, 1.0]))
        plan = plan_resampling(noisy, target_grid(noisy, (1.5, 1.5, 1.5)), 0)
        picks = [np.floor(axis.positions + 0.5).astype(int).clip(0, axis.n_in - 1) for axis in plan.axes]
        found["plain rounding"].append(label[0].numpy()[np.ix_(*picks)])
        found["ours"].append(apply_plan(label, plan)[0].numpy())
    for name, (one, other) in found.items():
        differ = np.count_nonzero(one != other)
        yield name, differ, f"{100 * differ / np.count_nonzero((one > 0) | (other > 0)):.1f} %"


def normalization() -> Iterator[Row]:
    """Z-score the same scan here and with MONAI's own transform."""
    image = voxels(image_file(FETAL_2)).float()
    tissue = image != 0

    def ours(values: torch.Tensor) -> torch.Tensor:
        return standardize(values, foreground_moments(values))

    for name, transform in (
        ("MONAI `NormalizeIntensity(nonzero=True)`", NormalizeIntensity(nonzero=True)),
        ("ours", ours),
    ):
        given = image.clone()
        result = torch.as_tensor(transform(given))
        changed = f"{100 * float((given != image).double().mean()):.1f} %"
        yield (
            name,
            hundredths(result[tissue].double().mean()),
            hundredths(result[~tissue].double().mean()),
            changed,
        )


def casting() -> Iterator[Row]:
    """Cast label values that do not fit."""
    for value, kind in ((-1, np.uint8), (-1, np.int8), (200, np.int8), (40000, np.int16)):
        plain = int(np.array([value]).astype(kind)[0])
        try:
            label = torch.tensor([value])
            cast = apply_cast(label, *plan_cast(label))
            ours = f"{int(cast[0])} ({str(cast.dtype).removeprefix('torch.')})"
        except MriprepError:
            ours = "an error"
        yield value, np.dtype(kind).name, plain, ours


def output() -> Iterator[Row]:
    """Write the oblique scan, and read it with and without the affine."""
    recipe = Recipe(target_spacing=MIXED_TARGET)
    data = build_transforms(recipe, stage="inference")({"image": str(image_file(FETAL))})
    with tempfile.TemporaryDirectory() as folder:
        SaveNpzd(["image"], folder)(data)
        path = Path(folder) / "imagesTr" / f"{FETAL}.npz"
        with np.load(path, allow_pickle=False) as plain:
            yield "`np.load(path).files`", " ".join(f"`{name}`" for name in plain.files)
            yield "`arr_0`", f"{plain['arr_0'].shape} {plain['arr_0'].dtype}"
            yield "`spacing`", f"{plain['spacing'].tolist()} {plain['spacing'].dtype}"
            last = np.append(np.array(plain["arr_0"].shape[1:]) - 1.0, 1.0)
        with zipfile.ZipFile(path) as archive:
            affine = np.array(json.loads(archive.comment)["affine"])
    error = np.abs(affine - data["image"].affine.numpy()).max()
    yield "affine from the comment, against the tensor's", f"{error:g} mm apart"
    far = np.linalg.norm((affine - np.diag([1.0, 1.0, 1.0, 1.0])) @ last)
    yield "last voxel placed by `spacing` alone", f"{far:.0f} mm away"


def orientation() -> Iterator[Row]:
    """Derive the target of `mixed` from its headers as stored, and from the axes turned to RAS."""
    for codes in ("keep", "RAS"):
        survey = survey_dataset(scans() / "mixed", Recipe(orientation=codes))
        target = target_spacing(survey.statistics)
        steps = steps_of(survey.recipe, target)
        found = zip(survey.grouping.cases, survey.outlines, strict=True)
        shapes = {case.name: final_grid(steps, outlines.first.grid).shape for case, outlines in found}
        millions = f"{sum(map(math.prod, shapes.values())) / 1e6:.1f} million"
        yield f"`{codes}`", survey.statistics.median, target, shapes[FETAL_2], shapes[CORD_2], millions


def crop() -> Iterator[Row]:
    """Cut scans to the box of their non-zero voxels, with and without a margin."""
    brain = voxels(image_file(FETAL_2)) * (voxels(label_file(FETAL_2)) > 0)
    for case in (FETAL_2, NECK, CORD, ABDOMEN):
        yield f"`{case}`", *_cropped(grid(image_file(case)), voxels(image_file(case)))
    trap = scans() / "traps" / "stale_label" / "ProstateX-0000_0000.nii.gz"
    yield "`stale_label`", *_cropped(grid(trap), voxels(trap))
    yield f"`{FETAL_2}`, brain only", *_cropped(grid(image_file(FETAL_2)), brain)


def _cropped(source: Grid, image: torch.Tensor) -> Iterator[object]:
    """Share of non-zero voxels, size before, box, and what is left of the voxels without and with the margin."""
    boxes = []
    for margin in (0.0, MARGIN):
        steps = native_steps(Recipe(crop="nonzero", crop_margin=margin))
        boxes.append(forward(steps, Volumes({IMAGE: image}), source)[1].target.shape)
    yield f"{100 * float((image != 0).double().mean()):.1f} %"
    yield source.shape
    yield boxes[0]
    yield from (f"{100 * math.prod(box) / math.prod(source.shape):.1f} %" for box in boxes)


SECTIONS: dict[Callable[[], Iterator[Row]], Callable[[Iterator[Row]], list[str]]] = {
    departures: table("step", "our default", "the recipe's text", "its authors run", "measured"),
    pairing: table("image", "label", "result"),
    axis_order: table(
        "table read as",
        "target mm, z y x",
        "voxels of `20005_0001_t1w`",
        "scan there and back, RMS",
        "label there and back, Dice",
        "a run",
    ),
    target_rule: table(
        "target", "mm, z y x", "slices before", "after", "scan there and back, RMS", "label there and back, Dice"
    ),
    geometry: table("image and label", "shapes", "geometry check", "where the headers put it"),
    foreground: table("scan", "foreground", "of all voxels", "mean", "std", "mean of the tissue after normalising"),
    grids: table("grid", "voxels z y x", "spacing mm", "first voxel moves by, mm"),
    corner_test: table("scan", "target mm, z y x", "first voxel of MONAI `Spacing`, away by", "ours"),
    halves: table("scan, axis", "size before rounding", "voxels, MONAI `Spacing`", "ours"),
    boundary: table("beyond the edge", "mean of the first slice, stored", "resampled", "black slices"),
    order: table("order", "to 0.8 mm and back, RMS", "to 1.25 mm and back", "every other voxel left out"),
    overshoot: table("scan", "range stored", "range resampled", "voxels outside"),
    identity: table("axes within 1e-3 mm of the target", "voxels changed", "largest change"),
    classes: table("label by", "classes", "that do not exist", "voxels of a class not within 3 mm", "of the label"),
    ties: table("nearest neighbour", "voxels that header noise changes", "of the organs"),
    normalization: table("z-score", "mean of tissue", "mean of air", "voxels of its input it overwrote"),
    casting: table("value", "cast to", "plain cast", "ours"),
    output: table("asked", "answer"),
    orientation: table(
        "`orientation`",
        "median mm, z y x",
        "target mm",
        f"`{FETAL_2}` becomes",
        f"`{CORD_2}` becomes",
        "voxels of all 8 outputs",
    ),
    crop: table("scan", "voxels not 0", "size z y x", "box", "of the scan's voxels", f"with a margin of {MARGIN:g} mm"),
}


def main() -> int:
    """Print every table, each under the name of its function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for section, lines in SECTIONS.items():
            sys.stdout.write("\n".join([f"<!-- {section.__name__} -->", "", *lines(section()), "", ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
