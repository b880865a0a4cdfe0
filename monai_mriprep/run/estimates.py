"""What a run will cost, from the grids in the headers: memory, disk and time."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_mriprep.errors import DiskFullError, MriprepError, counted
from monai_mriprep.formats.header import Outline
from monai_mriprep.run.cases import Case, output_paths
from monai_mriprep.run.memory import available_memory, fits
from monai_mriprep.steps import Step
from monai_mriprep.steps.trace import planned_grid
from monai_mriprep.types import GeometryPolicy
from monai_mriprep.volume.geometry import Grid, same_grid_problem

__all__ = [
    "START_SECONDS",
    "Estimate",
    "case_seconds",
    "check_space",
    "elapsed_seconds",
    "estimated",
    "free_bytes",
    "output_bytes",
    "run_seconds",
    "shown_bytes",
]

HELD_BYTES = 4 + 1
"""Memory for a voxel of a case between two steps: image as float32, mask. The label comes on top."""
LABEL_BYTES, WIDE_LABEL_BYTES = 4, 10
"""Memory for a voxel of the label between two steps; of one of 8 bytes that does not fit into 16 bits (measured)."""
WRITTEN_BYTES = 4 + 4
"""Memory for a voxel of the output on top of that: z-scores beside the image that they are made of, compressed file."""

LIBRARY_COPIES = 2
"""Volumes that a library makes of one that it decodes, at the most."""
WIDENED = {"uint16": 4, "uint32": 8}
"""Bytes of a voxel of these types once it is a tensor: torch computes with signed ones."""
MARGIN = 12
"""Voxels that are added at each end of a channel while its spline is fitted for another grid."""
POSITION_BYTES = 150
"""Memory for a voxel of one slice while its label is found on another grid: positions in float64 (measured: 137)."""

BYTES_PER_VOXEL = 3.7
"""Disk for a voxel of image and label (measured on eleven scans: 1.9 where nothing is resampled, else 3.4 to 3.7)."""
LEAST_BYTES_PER_VOXEL = 0.25
"""Nothing but air takes less: a run that lacks even this is not started."""

START_SECONDS = 5.0
"""Loading MONAI and torch (measured: 4 to 5 s)."""
SECONDS_PER_CASE = 0.01
SECONDS_PER_VOXEL = 45e-9
"""One core, a voxel read or written, one of many (measured on the same scans: 40 to 65 ns; 2-core cloud machine)."""


@dataclass(frozen=True)
class Estimate:
    """What becomes of a case, as its header and the list of steps say it.

    Parameters
    ----------
    grid
        Of the output.
    memory_bytes
        Estimated peak memory, beside that of the program.
    is_upper_bound
        Whether the voxels decide the grid, so that all of this says what it can be at most.
    """

    grid: Grid
    memory_bytes: int
    is_upper_bound: bool

    @property
    def voxels(self) -> int:
        """Of the output, for each of its files."""
        return math.prod(self.grid.shape)


def estimated(
    steps: Sequence[Step],
    image: Sequence[Outline | MriprepError],
    label: Outline | MriprepError | None = None,
    geometry: GeometryPolicy = "strict",
) -> Estimate | MriprepError:
    """Walk a list of steps from the grid of a header, or say why that cannot be done.

    Parameters
    ----------
    steps
        Of `monai_mriprep.steps.steps_of`; one that refuses a grid, with whatever error, refuses the case.
    image, label
        Of the headers, of the image one a channel; or what is wrong with one. A case whose label's header cannot be
        read ends before a voxel is read, so its estimate is that of the image alone.
    geometry
        Of the recipe.
    """
    channels = [channel for channel in image if isinstance(channel, Outline)]
    if problem := next((channel for channel in image if isinstance(channel, MriprepError)), None):
        return problem
    known = label if isinstance(label, Outline) else None
    try:
        peak, grid = _walked(steps, channels, _label_bytes(known), geometry)
    except MriprepError as error:
        return error
    memory = max(peak, _reading_image(channels, geometry))
    if known:
        memory = max(memory, _image_bytes(channels, geometry) + _reading_label(channels[0], known, geometry))
    return Estimate(grid, memory, any(step.depends_on_voxels for step in steps))


def _walked(
    steps: Sequence[Step], channels: Sequence[Outline], label_bytes: int, geometry: GeometryPolicy
) -> tuple[int, Grid]:
    """The peak of the memory while a case walks a list of steps and is written, and the grid that it ends on.

    A step that moves voxels has them twice, before and after; one that hands its grid back works in place of them.
    """
    count = sum(channel.channels for channel in channels)
    grid, peak, image_bytes = channels[0].grid, 0, HELD_BYTES * count
    for step in steps:
        after = planned_grid(step, grid)
        moves = after is not grid or step.depends_on_voxels
        held = math.prod(grid.shape) + (math.prod(after.shape) if moves else 0)
        peak = max(peak, (image_bytes + label_bytes) * held + step.working_bytes(grid))
        grid = after
    stored = channels[0].nbytes if count == 1 else _image_bytes(channels, geometry)
    return stored + peak + count * WRITTEN_BYTES * math.prod(grid.shape), grid


def _label_bytes(label: Outline | None) -> int:
    return WIDE_LABEL_BYTES if label is not None and label.value_dtype.itemsize > LABEL_BYTES else LABEL_BYTES


def _reading(outline: Outline) -> int:
    """The peak while a volume becomes a tensor: as stored, where it needs it a copy in another type, a mask."""
    copies = 1 if outline.reader == "built-in" else LIBRARY_COPIES
    converted = outline.scaled or outline.dtype.name in WIDENED
    mask = outline.value_dtype.kind == "f"
    return copies * outline.nbytes + (_tensor_bytes(outline) if converted else 0) + outline.voxels * mask


def _tensor_bytes(outline: Outline) -> int:
    return outline.voxels * WIDENED.get(outline.value_dtype.name, outline.value_dtype.itemsize)


def _image_bytes(channels: Sequence[Outline], geometry: GeometryPolicy) -> int:
    """The image as a tensor: of several files in one number type, those on another grid as float32."""
    if len(channels) == 1:
        return _tensor_bytes(channels[0])
    kinds = [np.dtype(np.float32) if _must_move(channels[0], one, geometry) else _signed(one) for one in channels]
    return np.result_type(*kinds).itemsize * len(channels) * math.prod(channels[0].shape)


def _signed(outline: Outline) -> np.dtype[Any]:
    return np.dtype(f"i{WIDENED[name]}" if (name := outline.value_dtype.name) in WIDENED else outline.value_dtype)


def _must_move(image: Outline, other: Outline, geometry: GeometryPolicy) -> bool:
    return geometry == "resample" and same_grid_problem(image.grid, other.grid) is not None


def _reading_image(channels: Sequence[Outline], geometry: GeometryPolicy) -> int:
    """The peak while an image is read: its channels one by one into what holds them all."""
    if len(channels) == 1:
        return _reading(channels[0])
    first = channels[0]
    moving = (_moving(first, one) for one in channels if _must_move(first, one, geometry))
    return _image_bytes(channels, geometry) + max(*map(_reading, channels), *moving)


def _moving(first: Outline, channel: Outline) -> int:
    """The peak while a channel is put on the grid of the first: itself, its spline, mask and result, and positions."""
    spline = 2 * 4 * math.prod(n + 2 * MARGIN for n in channel.shape)
    return _tensor_bytes(channel) + spline + (4 + 4 + 1) * first.voxels + POSITION_BYTES * math.prod(first.shape[1:])


def _reading_label(image: Outline, label: Outline, geometry: GeometryPolicy) -> int:
    """The peak while a label is read beside its image, and put on the image's grid where it lies on another."""
    wide = label.value_dtype.itemsize > 2
    reading = _reading(label) + 2 * label.voxels * wide
    if geometry != "strict" and same_grid_problem(image.grid, label.grid) is not None:
        matching = label.value_dtype.itemsize * (label.voxels + math.prod(image.shape))
        reading = max(reading, matching + POSITION_BYTES * math.prod(image.shape[1:]))
    return reading


def output_bytes(case: Case) -> int:
    """Estimate the disk space of a case's two files, if it has any."""
    return round(case.output_voxels * BYTES_PER_VOXEL) if case.outputs else 0


def run_seconds(cases: Sequence[tuple[int, int]], workers: int) -> float:
    """Estimate the wall time of a run.

    Parameters
    ----------
    cases
        Voxels read and voxels written, for each case.
    workers
        Cores that work at once; 0 counts as 1.
    """
    return elapsed_seconds(
        [SECONDS_PER_CASE + SECONDS_PER_VOXEL * (read + written) for read, written in cases], workers
    )


def elapsed_seconds(work: Sequence[float], workers: int) -> float:
    """Estimate the wall time of a run from the seconds of each case on one core; 0 workers count as 1."""
    return START_SECONDS + max([sum(work) / max(1, workers), *work])


def case_seconds(case: Case) -> float:
    """Estimate the time that one core works on a case, from its memory: that of all its voxels, read and written."""
    return SECONDS_PER_CASE + SECONDS_PER_VOXEL * case.memory_bytes / (HELD_BYTES + LABEL_BYTES)


def free_bytes(folder: Path) -> int:
    """Free space where a folder is, or would be made."""
    places = (folder.absolute(), *folder.absolute().parents)
    existing = next(place for place in places if os.path.isdir(place))  # noqa: PTH112, Path raises below a closed one
    return shutil.disk_usage(existing).free


def check_space(cases: Iterable[Case], folder: Path) -> tuple[str, ...]:
    """Compare what the cases will write with the space there is.

    Parameters
    ----------
    cases
        Those still to be done; files of theirs that are there already will be replaced. One that cannot fit into the
        memory of this machine will not be attempted, and does not count.
    folder
        The output folder.

    Returns
    -------
    tuple of str
        A warning, or nothing.

    Raises
    ------
    DiskFullError
        If even the most compressible scans would not fit, and the estimates are no upper bounds.
    """
    memory = available_memory()
    cases = [case for case in cases if case.outputs and (case.is_upper_bound or fits(case, memory))]
    free = free_bytes(folder) + sum(_size(path) for case in cases for path in output_paths(folder, case).values())
    need = sum(map(output_bytes, cases))
    least = round(sum(case.output_voxels for case in cases) * LEAST_BYTES_PER_VOXEL)
    if need <= free:
        return ()
    is_upper_bound = any(case.is_upper_bound for case in cases)
    about = "at most" if is_upper_bound else "about"
    facts = f"{folder}: {counted(len(cases), 'case')} will take {about} {shown_bytes(need)} of disk"
    if least > free and not is_upper_bound:
        msg = f"{facts} ({shown_bytes(least)} at the very least), {shown_bytes(free)} are free; free some space first"
        raise DiskFullError(msg)
    return (f"{facts}, {shown_bytes(free)} are free; a run that fills the disk stops, and can be resumed",)


def shown_bytes(count: float) -> str:
    """Write a number of bytes for people: in MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
