"""A page as HTML, in pieces. Everything is inlined: no file beside it, no network, and nothing runs but our script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from monai_mriprep.pictures.palette import colour_of
from monai_mriprep.report.html.axes import shown_number, shown_row
from monai_mriprep.report.html.charts import WIDTH
from monai_mriprep.report.html.cohort_charts import charts_of
from monai_mriprep.report.html.facts import CaseFacts, Page
from monai_mriprep.report.html.histogram import histogram_of
from monai_mriprep.report.html.parts import Part, address, addresses, parts_of
from monai_mriprep.report.html.viewer.assets import (
    NIIVUE_SOURCE,
    niivue_base64,
    niivue_licences,
    viewer_script,
    viewer_style,
)
from monai_mriprep.report.html.viewer.views import Views
from monai_mriprep.report.html.volumes import class_volumes
from monai_mriprep.store.layout import REPORT, REPORT_PAGES
from monai_mriprep.volume.axes import axis_codes

__all__ = ["Picture", "PictureOf", "rendered"]

HERE = Path(__file__).parent

PIECE = 1 << 16
"""Characters that are written at once."""

MOST_CLASSES = 200
"""That a card names; what is no label may hold thousands of values."""

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that are not seen, or that change the direction of a text; names of files may hold them."""


@dataclass(frozen=True)
class Picture:
    """A picture of a case: a WebP file, its size in pixels, what it shows, and whether that is all that there is."""

    content: bytes
    width: int
    height: int
    shows: str
    is_whole: bool = True

    @property
    def url(self) -> Markup:
        """The picture itself as an address."""
        return Markup("data:image/webp;base64,") + base64.b64encode(self.content).decode()


PictureOf = Callable[[CaseFacts], Picture | None]


def rendered(
    page: Page, picture_of: PictureOf, views: Views | None = None, front: str = REPORT, further: str = REPORT_PAGES
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files of a report: the path of each, and its content in pieces, made as they are taken.

    Parameters
    ----------
    page
        What they show.
    picture_of
        Called once for each case, when its card is written.
    views
        What can be looked at in 3-D.
    front, further
        Names of the first file, and of the folder of the others.
    """
    parts = parts_of(page.cases, front, further)
    for position, part in enumerate(parts):
        texts = (
            _environment()
            .get_template("page.html")
            .generate(
                page=page,
                part=part,
                views=views or Views(),
                cards=_cards(page, part, picture_of),
                charts=charts_of(page) if part.is_front else (),
                index=addresses(parts) if part.is_front and len(parts) > 1 else None,
                front=address(parts[0], part),
                before=address(parts[position - 1], part) if position > 0 else None,
                after=address(parts[position + 1], part) if position + 1 < len(parts) else None,
            )
        )
        yield part.file, _pieces(texts)


def _cards(page: Page, part: Part, picture_of: PictureOf) -> Iterator[tuple[int, CaseFacts, Picture | None]]:
    return ((number, page.whole(case), picture_of(case)) for number, case in enumerate(part.cases, part.first))


def _pieces(texts: Iterator[str]) -> Iterator[bytes]:
    """The same in pieces that are worth a call of the system; names that are not text are written out."""
    piece: list[str] = []
    length = 0
    for text in texts:
        piece.append(text)
        length += len(text)
        if length >= PIECE:
            yield "".join(piece).encode(errors="backslashreplace")
            piece.clear()
            length = 0
    yield "".join(piece).encode(errors="backslashreplace")


@cache
def _environment() -> Environment:
    """Every value is escaped, and a name that is not known is an error."""
    loader = FileSystemLoader([HERE / "templates", HERE / "viewer"])
    environment = Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    style, script = ((HERE / "static" / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    style += viewer_style()
    scripts = " ".join((_source(script), _source(viewer_script()), NIIVUE_SOURCE))
    environment.globals |= {
        "style": Markup(style),
        "script": Markup(script),
        "viewer_script": Markup(viewer_script()),
        "niivue": niivue_base64(),
        "niivue_licences": Markup(niivue_licences()),
        "policy": f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {scripts}; "
        "base-uri 'none'; form-action 'none'",
        "class_volumes": class_volumes,
        "axis_codes": axis_codes,
        "histogram_of": histogram_of,
        "chart_width": WIDTH,
        "most_classes": MOST_CLASSES,
        "colour_of": colour_of,
    }
    environment.filters |= {"number": shown_number, "times": shown_row, "seen": seen}
    return environment


def _source(text: str) -> str:
    """The one inlined script or style that a browser is to take, by its digest."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def seen(text: str) -> str:
    r"""A text with the characters that are not seen written out, as ``\x1b``."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
