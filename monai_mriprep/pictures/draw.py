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
    from collections.abc import Iterator, Sequence

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
WINDOW_PIXELS = 20_000
"""How many of them these are taken from, at most."""
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
        from PIL import Image

        self._layout = lay_out(view, count)
        self._canvas = Image.new("RGB", (self._layout.width, self._layout.height), (BACKGROUND,) * 3)
        self._drawn = 0

    def add(self, scan: Scan) -> None:
        """Draw the next scan; of its voxels nothing is kept."""
        panels = [panel for panel in self._layout.panels if panel.scan == self._drawn]
        self._canvas.paste(_words(scan.title, 12, BACKGROUND), self._layout.titles[self._drawn])
        for panel, picture in zip(panels, _planes(scan, panels), strict=True):
            self._canvas.paste(picture, (panel.left, panel.top))
            self._canvas.paste(_words(SIDES[panel.plane], 11, 0), (panel.left, panel.top))
        self._drawn += 1

    @property
    def picture(self) -> Image:
        """As it stands, in RGB."""
        return self._canvas

    def encoded(self) -> bytes:
        """As it stands, as a WebP file of at most 40 KiB."""
        return encode_webp(self._canvas)


def render(scans: Sequence[Scan], centre: ArrayLike | None = None) -> Image:
    """The picture that `draw` encodes, in RGB."""
    drawing = Drawing(view_of(scans, centre), len(scans))
    for scan in scans:
        drawing.add(scan)
    return drawing.picture


def _planes(scan: Scan, panels: Sequence[Panel]) -> Iterator[Image]:
    """What each panel shows."""
    from PIL import Image

    box = box_of_label(scan)
    for panel, grey in zip(panels, _greys(scan, panels), strict=True):
        pixels = np.repeat(grey[..., None], 3, axis=2)
        if box is not None:
            pixels = _with_box(pixels, panel, box)
        if scan.label is not None:
            _draw_outlines(pixels, *nearest_voxels(scan.label, scan.grid_of_label, panel))
        yield Image.fromarray(pixels)


# --- Images -----------------------------------------------------------------------------------------------------------


def _greys(scan: Scan, panels: Sequence[Panel]) -> list[NDArray[np.uint8]]:
    """The image in each panel, from black to white; of all in one window."""
    parts = [_division(scan, panel) for panel in panels]
    finer = [panel.finer(*of_panel) for panel, of_panel in zip(panels, parts, strict=True)]
    seen = [nearest_voxels(scan.voxels, scan.grid, panel) for panel in finer]
    low, high = _window([values[inside] for values, inside in seen])
    return [_averaged(_shades(*one, low, high), of_one) for one, of_one in zip(seen, parts, strict=True)]


def _division(scan: Scan, panel: Panel) -> tuple[int, int]:
    """Into how many rows and columns a pixel is divided, to see the voxels that share it."""
    down, right = (min(MAX_DIVISION, math.ceil(n - 0.1)) for n in voxels_per_pixel(scan.grid, panel))
    return max(1, down), max(1, right)


def _window(values: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """The values that become black and white."""
    every = 1 + sum(map(len, values)) // WINDOW_PIXELS
    sample = np.concatenate([of_panel[::every] for of_panel in values]).astype(np.float64)
    low, high = np.percentile(sample, WINDOW).tolist() if len(sample) else (0.0, 0.0)
    return low, high


def _shades(values: NDArray[Any], inside: NDArray[np.bool_], low: float, high: float) -> NDArray[np.uint8]:
    shades = (values.astype(np.float64).clip(low, high) - low) * (255 / max(high - low, 1e-30)) + 0.5
    return np.where(inside, shades.astype(np.uint8), np.uint8(BACKGROUND))


def _averaged(shades: NDArray[np.uint8], parts: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(shades).reduce(parts[::-1]))


# --- Labels -----------------------------------------------------------------------------------------------------------


def _draw_outlines(pixels: NDArray[np.uint8], values: NDArray[Any], inside: NDArray[np.bool_]) -> None:
    """Colour both sides of each border: thinner lines fade, for a file holds a colour for every four pixels only."""
    classes = np.pad(np.where(inside & (values > 0), values, 0), 1)
    here = classes[1:-1, 1:-1]
    beside = classes[:-2, 1:-1], classes[2:, 1:-1], classes[1:-1, :-2], classes[1:-1, 2:]
    border = np.logical_or.reduce([here != there for there in beside])
    shown = np.maximum.reduce([here, *beside])[border]
    pixels[border] = COLOURS[(np.rint(shown).astype(np.int64) - 1) % len(COLOURS)]


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
    return np.array(picture)


# --- Words ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _words(text: str, size: int, background: int) -> Image:
    """One line of text, `TITLE` pixels high."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    line = Image.new("RGB", (math.ceil(font.getlength(text)) + 2, TITLE), (background,) * 3)
    ImageDraw.Draw(line).text((1, TITLE / 2), text, fill=WORDS, anchor="lm", font=font)
    return line
