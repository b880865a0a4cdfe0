"""Draw the planes of scans, the outlines of their labels, and the words around them."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.pictures.layout import TITLE, lay_out
from monai_mriprep.pictures.palette import PALETTE
from monai_mriprep.pictures.place import box_of_label, view_of
from monai_mriprep.pictures.sampling import nearest_voxels, voxels_per_pixel
from monai_mriprep.pictures.webp import encode_webp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from PIL.Image import Image

    from monai_mriprep.pictures.planes import Panel, View
    from monai_mriprep.pictures.scan import Scan

__all__ = ["Drawing", "draw", "render"]

BACKGROUND = 34
"""The grey outside of a volume; air is black."""
WORDS, BOX = (225, 225, 225), (200, 200, 200)
"""The colours of words, and of the box around a label on another grid."""
FAR = 1e4
"""Pixels beyond which a corner of that box is taken to lie there."""
WINDOW = (1.0, 99.0)
"""Percentiles of the pixels of a scan that become black and white."""
EVERY = 3
"""They are taken from every so many rows and columns."""
MAX_DIVISION = 3
"""Rows and columns that a pixel is divided into, at most."""
COLOURS = np.array([list(bytes.fromhex(colour[1:])) for colour in PALETTE], np.uint8)
SIDES = {"axial": "R", "coronal": "R", "sagittal": "A"}
"""Which side of the patient is at the left of each plane."""


def draw(scans: Sequence[Scan], centre: ArrayLike | None = None) -> bytes:
    """Three planes of each scan through one place in the world, with the outlines of the labels.

    Axial, coronal and sagittal, each along those axes of the first scan that lie nearest to the patient's, to one scale
    in mm. The patient's right is at the left of the first two, the front at the left of the third. Voxels are shown as
    they are, and averaged where several share a pixel. Outlines are those of the label by nearest neighbour, in the
    colours of `palette.colour_of`; between two classes in that of the higher one. Around a label on another grid than
    its image there is a box, too.

    Parameters
    ----------
    scans
        One at least, such as a case as scanned and as preprocessed.
    centre
        Where the planes cross, RAS+ mm: the centre of the first label, where it is known. See `place.view_of`.

    Returns
    -------
    bytes
        A WebP file of at most 40 KiB.
    """
    return encode_webp(render(scans, centre))


class Drawing:
    """A picture that is drawn scan by scan, so that no two scans need to be in memory at once.

    Parameters
    ----------
    view
        What it shows of the world.
    count
        How many scans it has room for.
    """

    def __init__(self, view: View, count: int) -> None:
        self._layout = lay_out(view, count)
        self._canvas = np.full((self._layout.height, self._layout.width, 3), BACKGROUND, np.uint8)
        self._drawn = 0

    def add(self, scan: Scan) -> None:
        """Draw the next scan; of its voxels nothing is kept."""
        panels = [panel for panel in self._layout.panels if panel.scan == self._drawn]
        self._write(scan.title, 12, BACKGROUND, *self._layout.titles[self._drawn])
        box = box_of_label(scan)
        for panel, grey in zip(panels, _greys(scan, panels), strict=True):
            part = self._part(panel.left, panel.top, panel.width, panel.height)
            part[:] = np.repeat(grey[..., None], 3, axis=2)  # much faster than broadcasting along so short an axis
            if box is not None:
                part[:] = _with_box(part, panel, box)
            if scan.label is not None:
                _draw_outlines(part, *nearest_voxels(scan.label, scan.grid_of_label, panel))
            self._write(SIDES[panel.plane], 11, 0, panel.left, panel.top)
        self._drawn += 1

    def _write(self, text: str, size: int, background: int, left: int, top: int) -> None:
        words = _words(text, size, background)
        part = self._part(left, top, words.shape[1], words.shape[0])
        part[:] = words[: part.shape[0], : part.shape[1]]

    def _part(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        return self._canvas[top : top + height, left : left + width]

    @property
    def picture(self) -> Image:
        """As it stands, in RGB."""
        from PIL import Image

        return Image.fromarray(self._canvas)

    def encoded(self) -> bytes:
        """As it stands, as a WebP file of at most 40 KiB."""
        return encode_webp(self.picture)


def render(scans: Sequence[Scan], centre: ArrayLike | None = None) -> Image:
    """The picture that `draw` encodes, in RGB."""
    drawing = Drawing(view_of(scans, centre), len(scans))
    for scan in scans:
        drawing.add(scan)
    return drawing.picture


# --- Images -----------------------------------------------------------------------------------------------------------


def _greys(scan: Scan, panels: Sequence[Panel]) -> list[NDArray[np.uint8]]:
    """The image in each panel, from black to white; of all in one window."""
    seen = [_averaged(scan, panel) for panel in panels]
    low, high = _window(seen)
    return [_shades(*one, low, high) for one in seen]


def _averaged(scan: Scan, panel: Panel) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The mean of the voxels that share a pixel; and which pixels lie in the volume."""
    down, right = (max(1, min(MAX_DIVISION, math.ceil(n - 0.1))) for n in voxels_per_pixel(scan.grid, panel))
    values, inside = nearest_voxels(scan.voxels, scan.grid, panel.finer(down, right))
    mean = np.zeros((panel.height, panel.width))
    for row, column in product(range(down), range(right)):
        mean += values[row::down, column::right]
    return mean / (down * right), inside[down // 2 :: down, right // 2 :: right]


def _window(seen: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> tuple[float, float]:
    """The values that become black and white."""
    sample = np.concatenate([values[::EVERY, ::EVERY][inside[::EVERY, ::EVERY]] for values, inside in seen])
    low, high = np.percentile(sample, WINDOW).tolist() if len(sample) else (0.0, 0.0)
    return low, high


def _shades(values: NDArray[np.float64], inside: NDArray[np.bool_], low: float, high: float) -> NDArray[np.uint8]:
    shades = (np.minimum(np.maximum(values, low), high) - low) * (255 / max(high - low, 1e-30)) + 0.5
    return np.where(inside, shades.astype(np.uint8), np.uint8(BACKGROUND))


# --- Labels -----------------------------------------------------------------------------------------------------------


def _draw_outlines(pixels: NDArray[np.uint8], values: NDArray[Any], inside: NDArray[np.bool_]) -> None:
    """Colour both sides of each border: thinner lines fade, for a file holds a colour for every four pixels only."""
    classes = np.zeros((values.shape[0] + 2, values.shape[1] + 2), values.dtype)
    here = classes[1:-1, 1:-1]
    np.copyto(here, values, where=inside & (values > 0))
    border, shown = np.zeros(here.shape, np.bool_), here
    for beside in (classes[:-2, 1:-1], classes[2:, 1:-1], classes[1:-1, :-2], classes[1:-1, 2:]):
        border |= here != beside
        shown = np.maximum(shown, beside)
    pixels[border] = COLOURS[(np.rint(shown[border]).astype(np.int64) - 1) % len(COLOURS)]


def _with_box(pixels: NDArray[np.uint8], panel: Panel, corners: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A panel with the edges of a box in the world, as far as they lie in it."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    places = np.array([panel.pixel(corner) for corner in corners.reshape(-1, 3)]) - (panel.left, panel.top)
    places = places.clip(-FAR, FAR)  # pillow walks along a line outside of the picture, too
    for one, other in product(range(8), repeat=2):
        if one < other and (one ^ other).bit_count() == 1:  # they differ in one of three coordinates
            pen.line([*places[one], *places[other]], fill=BOX)
    return np.asarray(picture)


# --- Words ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _words(text: str, size: int, background: int) -> NDArray[np.uint8]:
    """One line of text, `TITLE` pixels high."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    line = Image.new("RGB", (math.ceil(font.getlength(text)) + 2, TITLE), (background,) * 3)
    ImageDraw.Draw(line).text((1, TITLE / 2), text, fill=WORDS, anchor="lm", font=font)
    return np.asarray(line)
