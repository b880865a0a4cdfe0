"""Checks of headers, before a voxel is read: one grid for image and label, and a plausible spacing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import GeometryError
from monai_mriprep.types import (
    DIRECTION_TOLERANCE,
    IMAGE,
    LABEL,
    ORIGIN_TOLERANCE,
    SCANNER_SPACING_MM,
    SPACING_TOLERANCE,
    GeometryPolicy,
    Spacing,
)
from monai_mriprep.volume.geometry import Grid, same_grid_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "CHANNEL_REMEDY",
    "check_case",
    "check_grids",
    "doubtful_spacing",
    "doubtful_spacings",
    "mixed_axes",
    "other_axes",
]

LABEL_REMEDY = "`geometry: resample_label` puts a label on its image's grid"
CHANNEL_REMEDY = "`geometry: resample` puts a channel on the grid of the first, as its header says where it lies"

EXTENT_TOLERANCE_VOXELS = 0.05
"""Two grids whose corners differ by less fill the same box."""


def check_case(volumes: Mapping[str, Sequence[tuple[Path, Grid]]], policy: GeometryPolicy = "strict") -> None:
    """Refuse a case whose volumes are not on one grid, that of the image's first channel.

    Parameters
    ----------
    volumes
        File and grid of each, one a channel, by the name of their role; the image first.
    policy
        ``strict``; ``resample_label``, under which a label may lie on any grid, and is resampled later; or
        ``resample``, under which channels may, too.

    Raises
    ------
    GeometryError
        With both geometries, the tolerance that was exceeded, and what can be done.
    """
    ((file, grid), *channels), *labels = volumes.values()
    for number, (other, its_grid) in enumerate(channels, 1):
        if policy != "resample":
            check_grids(file, grid, other, its_grid, ("channel 0", f"channel {number}"), CHANNEL_REMEDY)
    for other, its_grid in (label for of_role in labels for label in of_role):
        if policy == "strict":
            check_grids(file, grid, other, its_grid)


def check_grids(
    image: Path | str,
    image_grid: Grid,
    label: Path | str,
    label_grid: Grid,
    names: tuple[str, str] = (IMAGE.name, LABEL.name),
    remedy: str = LABEL_REMEDY,
) -> None:
    """Refuse two volumes that are not on one grid, within the tolerances of `monai_mriprep.types`.

    Parameters
    ----------
    image, label
        Their files; or the name of one that has none.
    image_grid, label_grid
        Their grids.
    names
        What the two are, such as their keys.
    remedy
        What puts one on the grid of the other.

    Raises
    ------
    GeometryError
        With both geometries, the tolerance that was exceeded, and what can be done.
    """
    problem = same_grid_problem(image_grid, label_grid)
    if problem is not None:
        one, other = names
        msg = (
            f"{one} and {other} differ in {problem} ({_allowed(problem, image_grid)})\n"
            f"  {_named(one, image)}: {image_grid}\n  {_named(other, label)}: {label_grid}\n"
            f"  {_advice(image_grid, label_grid, one, other, remedy)}"
        )
        raise GeometryError(msg)


def doubtful_spacing(path: Path | str, spacing: Spacing) -> str | None:
    """A sentence about a file's spacing that is finer than any MR scanner makes; None if it is not."""
    if min(spacing) >= SCANNER_SPACING_MM:
        return None
    shown = ", ".join(f"{value:.4g}" for value in spacing)
    return (
        f"{path}: its spacing ({shown}) mm (z y x) is under {SCANNER_SPACING_MM:g} mm, finer than any MR "
        "scanner makes; its header is probably in metres: multiply its spacing and origin by 1000"
    )


def doubtful_spacings(spacings: Iterable[tuple[Path, Spacing]]) -> tuple[str, ...]:
    """One warning for all images of a dataset with a doubtful spacing, about the first of them; or none."""
    judged = [doubtful_spacing(path, spacing) for path, spacing in spacings]
    doubts = [doubt for doubt in judged if doubt is not None]
    return (f"{len(doubts)} of {len(judged)} images have a doubtful spacing: {doubts[0]}",) if doubts else ()


def mixed_axes(codes: Iterable[str]) -> tuple[str, ...]:
    """One warning of images whose axes run to different ends, with the counts; or none.

    Parameters
    ----------
    codes
        Of each image, as of `monai_mriprep.volume.axes.axis_codes`.
    """
    counts = Counter(codes).most_common()
    if len(counts) < 2:
        return ()
    warning = (
        f"the images are stored in different orientations ({_counted(counts)}; the ends that the file's axes x y z run "
        "to), so a network sees patients in different positions; `orientation: RAS` turns all alike (see Orientation "
        "in docs/recipe.md, first of all where slices are thick)"
    )
    return (warning,)


def other_axes(codes: Iterable[str], training: Mapping[str, int]) -> tuple[str, ...]:
    """One warning of test images whose axes run to other ends than those of every training image; or none.

    Parameters
    ----------
    codes
        Of each test image.
    training
        The number of training images of each code; if there is none, nothing is known, nor said.
    """
    others = Counter(code for code in codes if code not in training).most_common()
    if not others or not training:
        return ()
    warning = (
        f"the images are stored in orientations that no training image has ({_counted(others)}; there "
        f"{_counted(Counter(training).most_common())}; the ends that the file's axes x y z run to), so a network sees "
        "these patients in positions that it does not know: store them as those are, or do the training set, and then "
        "this one, again with `orientation: RAS`"
    )
    return (warning,)


def _counted(codes: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {code}" for code, count in codes)


def _named(name: str, file: Path | str) -> str:
    """What a volume is and its file; a tensor of no file is called by its key alone."""
    return name if str(file) == name else f"{name} {file}"


def _allowed(problem: str, grid: Grid) -> str:
    """The rule that is broken, and the tolerance on this grid."""
    spacings = ", ".join(f"{SPACING_TOLERANCE.at(s):.3g}" for s in grid.spacing)
    origin = f"{ORIGIN_TOLERANCE.at(min(grid.spacing)):.3g}"
    return {
        "size": "sizes must be equal",
        "spacing": f"tolerance {SPACING_TOLERANCE} the voxel's edge, the smaller; here ({spacings}) mm, z y x",
        "direction": f"tolerance {DIRECTION_TOLERANCE:g} of the direction cosines",
        "origin": f"tolerance {ORIGIN_TOLERANCE} the smallest edge, the smaller; here {origin} mm",
    }[problem]


def _advice(image: Grid, label: Grid, one: str, other: str, remedy: str) -> str:
    order, signs, same_box = _axis_relation(image, label)
    if not same_box:
        return f"check that the {other} belongs to this {one}; if it does, {remedy}"
    if order != (0, 1, 2):
        return f"both fill the same box, but the {other}'s axes are in another order; {remedy}"
    reversed_axes = " and ".join(name for name, sign in zip("zyx", signs, strict=True) if sign < 0)
    if reversed_axes:
        return f"both fill the same box, but the {other}'s {reversed_axes} runs the other way; {remedy}"
    return f"both fill the same box; {remedy}"


def _axis_relation(image: Grid, label: Grid) -> tuple[tuple[int, ...], list[float], bool]:
    """For each axis of the label the parallel axis of the image, and its sign; and whether both fill the same box."""
    to_image: NDArray[Any] = np.linalg.solve(image.affine, label.affine)
    cosines = image.direction.T @ label.direction
    order = np.abs(cosines).argmax(axis=0)
    signs = np.sign(cosines[order, np.arange(3)])
    edges = np.array([[-0.5, n - 0.5] for n in label.shape])
    corners = np.array(np.meshgrid(*edges)).reshape(3, -1)
    inside = to_image[:3, :3] @ corners + to_image[:3, 3:]
    box = np.array([inside.min(axis=1) + 0.5, inside.max(axis=1) + 0.5 - image.shape])
    return tuple(order.tolist()), signs.tolist(), bool(np.abs(box).max() < EXTENT_TOLERANCE_VOXELS)
