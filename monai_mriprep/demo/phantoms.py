"""Synthetic abdominal MRI, for the demo, the tests and the training example.

A phantom is a transaxial slab through the upper abdomen, T1-weighted, fat-suppressed, arterial phase: liver, spleen,
kidneys, stomach, bowel, spine, vessels, and the pancreas (label 1), the brightest organ in this contrast, with a dark
lesion in it (label 2). All is drawn in millimetres from a table of ellipsoids, bent by a smooth random displacement,
with partial volume, texture, a coil's bias field and Rician noise; air is exactly zero.

Arrays are z, y, x; x grows to the patient's left, y to the back, z to the head. Lengths are in mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_mriprep.dataset.statistics import SpacingStatistics
from monai_mriprep.formats.write import write_metaimage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import EllipsisType

    from numpy.typing import ArrayLike, NDArray

    from monai_mriprep.types import Shape, Spacing

    Volume = NDArray[np.float32]
    Points = tuple[Volume, Volume, Volume]
    Box = tuple[slice, slice, slice]

__all__ = ["LESION", "PANCREAS", "make_demo_dataset", "make_phantom"]

PANCREAS = 1
"""Label of the organ."""
LESION = 2
"""Label of the lesion in it."""

FIELD_OF_VIEW = (150.0, 212.0, 284.0)
"""Extent in mm, z y x, that the anatomy is drawn for; it is scaled down to fit into less, never up."""

EDGE = 2.5
"""Width in mm of the transition between tissues (the point spread of the scanner)."""


@dataclass(frozen=True)
class Organ:
    """An ellipsoid of one tissue.

    Parameters
    ----------
    intensity
        Its mean, in the units of the image.
    centre
        In mm from the centre of the field of view, z y x.
    radii
        In mm, z y x before the turn.
    turn
        Rotation in the transaxial plane, in degrees from +x to +y.
    texture
        Standard deviation of its texture, relative to the mean.
    """

    intensity: float
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    turn: float = 0.0
    texture: float = 0.03


LONG = 1e4
"""Radius in mm of what runs through the whole slab."""

WALL = (
    Organ(205, (0, 0, 0), (LONG, 90, 124), texture=0.05),  # skin and suppressed fat
    Organ(355, (0, 1, 0), (LONG, 79, 112), texture=0.06),  # muscle
    Organ(190, (0, -5, 0), (LONG, 66, 101), texture=0.10),  # fat in the cavity
)
"""The trunk, from the outside in."""

BACK = (
    Organ(345, (0, 65, -27), (LONG, 16, 23), 8, 0.08),  # muscles beside the spine
    Organ(345, (0, 65, 27), (LONG, 16, 23), -8, 0.08),
    Organ(340, (-20, 40, -33), (90, 12, 11), texture=0.06),  # psoas
    Organ(340, (-20, 40, 33), (90, 12, 11), texture=0.06),
    Organ(300, (0, 38, 0), (LONG, 17, 22), texture=0.05),  # vertebra
    Organ(320, (0, 66, 0), (LONG, 10, 5), texture=0.05),  # spinous process
    Organ(120, (0, 58, 0), (LONG, 7, 9)),  # canal
    Organ(235, (0, 58, 0), (LONG, 4, 5)),  # cord
    *(Organ(210, (z, 38, 0), (5, 15, 20)) for z in (-68, -34, 0, 34, 68)),  # discs
)
"""What lies behind the cavity."""

ORGANS = (
    Organ(540, (26, -14, -52), (74, 52, 47), -20),  # liver, right lobe
    Organ(540, (38, -36, -14), (42, 24, 46), 8),  # liver, left lobe
    Organ(470, (30, 14, 74), (40, 29, 19), 55, 0.05),  # spleen
    Organ(455, (-24, 30, -56), (48, 21, 17), 35),  # kidneys: cortex
    Organ(455, (-16, 30, 56), (48, 21, 17), -35),
    Organ(350, (-24, 29, -56), (36, 12, 9), 35),  # medulla
    Organ(350, (-16, 29, 56), (36, 12, 9), -35),
    Organ(170, (-24, 27, -50), (14, 6, 7), 35),  # pelvis
    Organ(170, (-16, 27, 50), (14, 6, 7), -35),
    Organ(420, (36, -30, 46), (40, 22, 33), 25, 0.04),  # stomach: wall
    Organ(250, (36, -31, 46), (35, 17, 28), 25, 0.10),  # and content
    Organ(140, (6, -36, -46), (22, 11, 13), 30),  # gall bladder
    Organ(600, (0, 13, 9), (LONG, 8, 8)),  # aorta, in the arterial phase
    Organ(330, (0, 12, -16), (LONG, 7, 10)),  # vena cava
)
"""What lies in the cavity and is not labelled; later ones cover earlier ones."""

VESSELS = (
    Organ(380, (30, -8, -52), (9, 3.5, 34), -30),
    Organ(380, (48, -20, -40), (7, 3.5, 32), 40),
    Organ(380, (8, -2, -58), (10, 3, 26), 15),
)
"""Veins of the liver."""

PANCREAS_INTENSITY, LESION_INTENSITY = 780.0, 400.0
PANCREAS_AXIS = ((-24, 1, -36, 20), (-12, -6, -20, 16), (0, -13, 0, 14), (10, -8, 24, 15), (20, 2, 45, 13))
"""Head to tail: z, y, x and radius in mm."""


# ---------------------------------------------------------------------------------------------------------------------
# One phantom
# ---------------------------------------------------------------------------------------------------------------------


def make_phantom(
    rng: np.random.Generator, shape: Shape, spacing: Spacing
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Draw one patient.

    Parameters
    ----------
    rng
        Decides the patient; equal generators give equal voxels.
    shape
        Voxels along z, y, x.
    spacing
        Mm along z, y, x.

    Returns
    -------
    image : numpy.ndarray
        int16, ``shape``; 0 in air and only there, up to about 1200.
    label : numpy.ndarray
        int16, ``shape``; 0 background, 1 pancreas, 2 lesion. A grid too coarse for the lesion (voxels over 20 mm) may
        miss it.
    """
    points = _bend(rng, _positions(shape, spacing))
    image, texture = np.zeros(shape, np.float32), _texture(rng, shape, spacing)
    extents = _extents(points)
    for organ in (*WALL, *BACK, *_vary(rng, (*ORGANS, *VESSELS)), *_bowel(rng)):
        box = _box(extents, organ)
        _paint(image[box], _inside(points, organ, box), organ.intensity, texture[box] * np.float32(organ.texture))
    pancreas, lesion = _pancreas_and_lesion(rng, points)
    _paint(image, pancreas, PANCREAS_INTENSITY, texture * np.float32(0.04))
    _paint(image, lesion, LESION_INTENSITY, texture * np.float32(0.06))
    label = np.where(lesion > 0.5, LESION, np.where(pancreas > 0.5, PANCREAS, 0)).astype(np.int16)
    body = _inside(points, WALL[0]) > 0.5
    return _acquire(rng, image, points, body), label


def _positions(shape: Shape, spacing: Spacing) -> Points:
    """Voxel centres in mm from the centre of the field of view, z y x, in the anatomy's own scale."""
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    extents = [n * s / full for n, s, full in zip(shape, spacing, FIELD_OF_VIEW, strict=True)]
    scales = (min(1.0, extents[0]), *2 * [min(1.0, *extents[1:])])
    z, y, x = np.meshgrid(*(axis / scale for axis, scale in zip(axes, scales, strict=True)), indexing="ij")
    return z, y, x


def _waves(rng: np.random.Generator, points: Points, shortest: float, count: int = 4) -> Volume:
    """Draw a smooth random field of unit variance: plane waves of at least `shortest` mm."""
    total = np.zeros_like(points[0])
    for _ in range(count):
        direction = rng.normal(size=3)
        wave = 2 * np.pi * direction / (np.linalg.norm(direction) * rng.uniform(1, 2) * shortest)
        phase = sum(np.float32(k) * p for k, p in zip(wave, points, strict=True))
        total += np.cos(phase + np.float32(rng.uniform(0, 2 * np.pi)))
    return total * np.float32(np.sqrt(2 / count))


def _bend(rng: np.random.Generator, points: Points, amplitude: float = 2.5) -> Points:
    """Displace points smoothly, so that ellipsoids become organs."""
    z, y, x = (p + np.float32(amplitude) * _waves(rng, points, 70.0) for p in points)
    return z, y, x


def _texture(rng: np.random.Generator, shape: Shape, spacing: Spacing) -> Volume:
    """Draw noise of unit variance whose grain is about 4 mm."""
    noise = gaussian_filter(rng.standard_normal(shape, np.float32), [2.0 / s for s in spacing], mode="wrap")
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def _vary(rng: np.random.Generator, organs: Iterable[Organ]) -> list[Organ]:
    """Move, scale and shade organs as patients differ."""
    return [
        replace(
            organ,
            intensity=organ.intensity * rng.uniform(0.95, 1.05),
            centre=_jitter(rng, organ.centre, 2.0),
            radii=_triple(np.multiply(organ.radii, rng.uniform(0.93, 1.07, 3))),
            turn=organ.turn + rng.uniform(-6, 6),
        )
        for organ in organs
    ]


def _bowel(rng: np.random.Generator) -> list[Organ]:
    """Draw loops of bowel in the lower front of the cavity: a wall and its content."""
    loops = []
    for _ in range(24):
        centre = (rng.uniform(-80, -8), rng.uniform(-50, -24), rng.uniform(-70, 75))
        radii = _triple(rng.uniform((12, 8, 10), (22, 13, 20)))
        turn = rng.uniform(-90, 90)
        loops.append(Organ(390, centre, radii, turn, 0.08))
        loops.append(Organ(rng.uniform(120, 330), centre, _triple(np.subtract(radii, 3.5)), turn, 0.15))
    return loops


def _pancreas_and_lesion(rng: np.random.Generator, points: Points) -> tuple[Volume, Volume]:
    """Soft masks in [0, 1]; the lesion sits on the axis of the pancreas and bulges out of it."""
    axis = np.array(PANCREAS_AXIS) + np.c_[rng.uniform(-4, 4, (len(PANCREAS_AXIS), 3)), rng.uniform(-1, 2, 5)]
    distance = np.full_like(points[0], np.inf)
    for start, end in pairwise(axis):
        np.minimum(distance, _capsule(points, start, end), out=distance)
    segment, along = int(rng.integers(len(axis) - 1)), rng.uniform()
    centre = axis[segment] * (1 - along) + axis[segment + 1] * along
    radii = _triple(rng.uniform(12, 17, 3))
    lesion = Organ(LESION_INTENSITY, _jitter(rng, _triple(centre[:3]), 3.0), radii, rng.uniform(-90, 90))
    return _soft(distance), _inside(points, lesion)


def _capsule(points: Points, start: NDArray[np.float64], end: NDArray[np.float64]) -> Volume:
    """Signed distance in mm to a segment whose radius runs from one end's to the other's (rows z y x radius)."""
    step = (end - start).astype(np.float32)
    offsets = [p - np.float32(s) for p, s in zip(points, start[:3], strict=True)]
    along = sum(o * s for o, s in zip(offsets, step[:3], strict=True)) / float(step[:3] @ step[:3])
    along = np.clip(along, 0, 1)
    square = sum((o - along * s) ** 2 for o, s in zip(offsets, step[:3], strict=True))
    return np.asarray(np.sqrt(square) - (np.float32(start[3]) + along * step[3]), np.float32)


def _extents(points: Points) -> list[tuple[Volume, Volume]]:
    """Give the lowest and highest coordinate in each slice, along z, y, x."""
    others = (1, 2), (0, 2), (0, 1)
    return [(p.min(axis), p.max(axis)) for p, axis in zip(points, others, strict=True)]


def _box(extents: list[tuple[Volume, Volume]], organ: Organ) -> Box:
    """Find the voxels that an organ can reach, so that small ones are cheap to draw."""
    z, y, x = np.multiply(organ.radii, 1 + EDGE / min(organ.radii))
    reach = (z, max(y, x), max(y, x))
    near = [(high > c - r) & (low < c + r) for (low, high), c, r in zip(extents, organ.centre, reach, strict=True)]
    first, last = [int(n.argmax()) for n in near], [len(n) - int(n[::-1].argmax()) for n in near]
    return (slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2]))


def _inside(points: Points, organ: Organ, box: Box | EllipsisType = ...) -> Volume:
    """Soft mask in [0, 1] of an ellipsoid, in a part of the volume."""
    z, y, x = (p[box] - np.float32(c) for p, c in zip(points, organ.centre, strict=True))
    cos, sin = np.float32(np.cos(np.deg2rad(organ.turn))), np.float32(np.sin(np.deg2rad(organ.turn)))
    turned = (z, y * cos - x * sin, x * cos + y * sin)
    radius = np.sqrt(sum((p / np.float32(r)) ** 2 for p, r in zip(turned, organ.radii, strict=True)))
    return _soft((radius - 1) * np.float32(min(organ.radii)))


def _soft(distance: Volume) -> Volume:
    """Turn a signed distance in mm into the share of a voxel that lies inside."""
    share: Volume = np.clip(0.5 - distance / np.float32(EDGE), 0, 1)
    return share


def _paint(image: Volume, mask: Volume, intensity: float, texture: Volume) -> None:
    """Cover `image` with a tissue, in place."""
    image += mask * (np.float32(intensity) * (1 + texture) - image)


def _acquire(rng: np.random.Generator, image: Volume, points: Points, body: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Add the coil's bias and Rician noise, store as integers; what is not body is exactly zero, body never is."""
    _, y, x = points
    bias = 0.9 + 0.18 * ((y / 90) ** 2 + (x / 124) ** 2) + 0.04 * _waves(rng, points, 200.0)
    sigma = rng.uniform(12, 22)
    real, imaginary = (np.float32(sigma) * rng.standard_normal((2, *image.shape), np.float32)).astype(np.float32)
    magnitude = np.hypot(image * bias + real, imaginary)
    return np.where(body, np.clip(np.rint(magnitude), 1, 32767), 0).astype(np.int16)


def _jitter(rng: np.random.Generator, centre: tuple[float, float, float], width: float) -> tuple[float, float, float]:
    return _triple(np.add(centre, rng.uniform(-width, width, 3)))


def _triple(values: ArrayLike) -> tuple[float, float, float]:
    a, b, c = np.asarray(values, np.float64).tolist()
    return a, b, c


# ---------------------------------------------------------------------------------------------------------------------
# The demo dataset
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DemoCase:
    """One scan of the demo: voxels and spacing in mm along z, y, x; tilts in degrees about x and z."""

    name: str
    shape: Shape
    spacing: Spacing
    tilts: tuple[float, float] = (0.0, 0.0)


DEMO_CASES = (
    DemoCase("10000_0001", (19, 88, 118), (8.0, 2.4, 2.4)),
    DemoCase("10001_0001", (20, 96, 128), (7.5, 2.2, 2.2)),
    DemoCase("10002_0001", (17, 82, 110), (9.0, 2.6, 2.6)),
    DemoCase("10003_0001", (19, 86, 114), (8.0, 2.5, 2.5), (12.0, -5.0)),
    DemoCase("10004_0001", (26, 96, 128), (6.0, 2.2, 2.2)),
    DemoCase("10005_0001", (18, 88, 118), (8.5, 2.4, 2.4)),
)
"""Pairs; their median z/x is 3.3, so the target's z is the 10th percentile."""
UNPAIRED_CASE = DemoCase("10006_0001", (19, 88, 118), (8.0, 2.4, 2.4))
"""An image without a label."""
OBLIQUE_CASE = DEMO_CASES[3]
"""The one whose axes are not the patient's."""
NEGATIVE_CASE = DEMO_CASES[1]
"""The one whose label has a voxel of -1."""


def make_demo_dataset(folder: str | Path, seed: int = 0) -> None:
    """Write a small synthetic dataset in the input layout.

    Six pairs and an image without a label, named as PANTHER's files are (``ImagesTr/10000_0001_0000.mha`` with
    ``LabelsTr/10000_0001.mha``), int16, of several spacings, one oblique, one label with a voxel of -1; and
    ``mri_statistics.csv`` (mm, z y x, from the spacings of the pairs). Files of these names are overwritten.

    Parameters
    ----------
    folder
        DATASET_ROOT; made if it does not exist.
    seed
        Equal seeds give equal bytes.
    """
    images, labels = Path(folder) / "ImagesTr", Path(folder) / "LabelsTr"
    for directory in (images, labels):
        directory.mkdir(parents=True, exist_ok=True)
    for index, case in enumerate((*DEMO_CASES, UNPAIRED_CASE)):
        image, label = make_phantom(np.random.default_rng([seed, index]), case.shape, case.spacing)
        if case is NEGATIVE_CASE:
            label[0, 0, 0] = -1
        origin, direction = _pose(case)
        write_metaimage(images / f"{case.name}_0000.mha", image, case.spacing, origin, direction)
        if case is not UNPAIRED_CASE:
            write_metaimage(labels / f"{case.name}.mha", label, case.spacing, origin, direction)
    SpacingStatistics.from_spacings(case.spacing for case in DEMO_CASES).to_csv(Path(folder) / "mri_statistics.csv")


def _pose(case: DemoCase) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Origin and direction in RAS+ that put the centre of the scan at the centre of the world."""
    (cx, sx), (cz, sz) = ((np.cos(a), np.sin(a)) for a in np.deg2rad(case.tilts))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    direction = about_z @ about_x @ np.fliplr(np.diag([-1.0, -1.0, 1.0]))
    centre = (np.array(case.shape) - 1) / 2 * case.spacing
    return -direction @ centre, direction
