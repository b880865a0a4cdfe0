"""The rows of the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compared.scans import JOBS, NAMES, Scan, Volume, ours
from monai_mriprep import SpacingStatistics, pair_by_stem, target_spacing
from monai_mriprep.formats.read import read_header

__all__ = ["as_markdown", "steps_table", "targets_table", "tools_table"]

Row = Sequence[object]

TOWARDS_NNUNET: dict[str, dict[str, Any]] = {
    "our default": {},
    "crop to the filled mask of what is not 0": {"crop": "nonzero_filled"},
    "half-pixel centres": {"grid": "nnunet_exact"},
    "order 0 along a thick axis": {"separate_axis": "auto"},
    "clip to the range of the slice, or of the scan": {"clip": "slice"},
    "normalise first, over all voxels of the crop": {"normalization": {"foreground": "crop"}},
    "labels by linear voting": {"label": "linear"},
    "-1 outside the mask": {"label_outside": -1},
}
"""The keys that lead from our default to nnU-Net, one after the other."""


def tools_table(scans: Mapping[str, Scan], made: Mapping[str, Mapping[str, Volume]]) -> Iterator[Row]:
    """Every tool on every scan."""
    yield (
        *("scan", "tool", "voxels z y x", "first centre moved by, mm", "image apart, SD"),
        *("label, Dice", "labels off", "of these, ties", "zeros become", "type of label"),
    )
    for name, scan in scans.items():
        for tool, volumes in made.items():
            yield name, NAMES[tool], *_apart(scan, volumes[name]), *_in_detail(scan, volumes[name])


def _apart(scan: Scan, volume: Volume) -> Row:
    apart = f"{scan.image_apart(volume):.3f}", f"{scan.label_dice(volume):.3f}"
    return _sizes(volume), scan.first_centre(volume), *apart


def _in_detail(scan: Scan, volume: Volume) -> Row:
    return *(f"{count:,}" for count in scan.labels_off(volume)), f"{scan.air(volume):.2f}", volume.label.dtype


def steps_table(data: Path, scans: Mapping[str, Scan], theirs: Mapping[str, Volume]) -> Iterator[Row]:
    """From our default to nnU-Net, one decision after the other."""
    yield (
        "decision, on top of those above",
        *(f"{name}: {what}" for name in scans for what in ("voxels", "first centre", "image apart", "label")),
    )
    keys: dict[str, Any] = {}
    for decision, change in TOWARDS_NNUNET.items():
        keys |= change
        made = {name: ours(data, JOBS[name], keys) for name in scans}
        yield decision, *(cell for name, scan in scans.items() for cell in _apart(scan, made[name]))
    same = [_equal(made[name], theirs[name]) for name in scans]
    yield "beside nnU-Net itself", *(cell for cells in same for cell in cells)


def targets_table(data: Path) -> Iterator[Row]:
    """What two rules make of the spacings and sizes of datasets, and what that costs."""
    yield "dataset", "median mm, z y x", "the recipe's rule, ours", "nnU-Net's rule", "voxels, ours to nnU-Net's"
    for name, statistics, size in _datasets(data):
        one, other = target_spacing(statistics), target_spacing(statistics, "nnunet", size)
        costs = f"{np.prod(other) / np.prod(one):.1f} to 1"
        yield name, *(" ".join(f"{mm:.3g}" for mm in spacing) for spacing in (statistics.median, one, other)), costs


def _datasets(data: Path) -> Iterator[tuple[str, SpacingStatistics, list[float]]]:
    for name in ("mixed", "anisotropic"):
        survey = pair_by_stem(data / name / "ImagesTr", data / name / "LabelsTr")
        grids = [read_header(pair.image).grid for pair in survey]
        size = np.median([grid.shape for grid in grids], axis=0).tolist()
        yield f"`{name}`, {len(grids)} scans", SpacingStatistics.from_spacings([grid.spacing for grid in grids]), size
    for name in ("ms_brain_81", "abdomen_3918"):
        facts = json.loads((data / "nnunet_plans" / f"{name}.json").read_text())
        size = np.median(facts["shapes_after_crop"], axis=0).tolist()
        title = f"{name.rpartition('_')[0].replace('ms', 'MS').replace('_', ' ')}, {len(facts['spacings']):,} scans"
        yield title, SpacingStatistics.from_spacings(facts["spacings"]), size


def _equal(one: Volume, other: Volume) -> Row:
    if one.image.shape != other.image.shape:
        return _sizes(other), "", "another shape", ""
    largest = np.abs(one.image - other.image).max() / np.ptp(other.image)
    off = np.count_nonzero(one.label != other.label)
    return "equal", "equal", f"{largest:.0e} of the range, at most", f"{off} voxels off"


def _sizes(volume: Volume) -> str:
    return " ".join(map(str, volume.grid.shape))


def as_markdown(rows: Iterator[Row]) -> str:
    """A table whose first row is its head."""
    head, *rest = ([str(cell) for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rest])
