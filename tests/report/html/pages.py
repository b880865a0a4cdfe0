"""Pages for the tests of `report/html/`, and what a browser would find in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from html.parser import HTMLParser

import numpy as np

from monai_mriprep.cohort.case import CohortCase, Suspect
from monai_mriprep.measures.model import BINS, CaseMeasures, ImageMeasures
from monai_mriprep.report.html.facts import CaseFacts, Count, Fact, Moments, Page, Paper
from monai_mriprep.report.html.render import Picture, rendered
from monai_mriprep.report.html.viewer.views import Views
from monai_mriprep.volume.geometry import Grid

VOID = {"meta", "img", "input", "path", "circle", "br", "link"}


@cache
def grid(shape=(10, 20, 30), spacing=(3.0, 1.0, 0.5)) -> Grid:
    """A grid along the axes of the world, z y x."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing, 1.0
    return Grid(shape, affine)


@cache
def measures(*medians: float) -> CaseMeasures:
    """Of an image with a channel for each median."""
    return CaseMeasures(
        image=tuple(
            ImageMeasures(
                percentiles=(0.0, 1.0, median / 2, median, 1.5 * median, 1.9 * median, 2 * median),
                histogram=(1, *[0] * (BINS - 2), 4),
                thumbnail="",
            )
            for median in medians
        )
    )


def case(name: str = "case_1", suspicions=(), warnings=(), error=None, **known) -> CaseFacts:
    """A case with a label of two classes, half of the second one lost; `known` replaces what is known of it."""
    facts = {
        "grid": grid(),
        "measures": measures(100.0),
        "before": {0: 5000, 1: 800, 2: 200},
        "after": {0: 2500, 1: 400, 2: 50},
        "target_grid": grid((10, 10, 30), (3.0, 2.0, 0.5)),
        **known,
    }
    found = tuple(Suspect(name, kind, f"its {kind} is unlike the others'") for kind in suspicions)
    moments = () if error else (Moments(101.5, 20.25, 1234567),)
    return CaseFacts(CohortCase(name, error=error, **facts), found, tuple(warnings), moments, error is None)


def page(*cases: CaseFacts, **changes) -> Page:
    """A page of these cases."""
    facts = {
        "title": "scans",
        "verdict": "All is well.",
        "counts": (Count(len(cases), "cases", "all"), Count(0, "failed", "failed")),
        "facts": (Fact("Dataset", ("/data/scans",)),),
        "made": datetime(2026, 11, 29, 8, 0),
        "version": "0.6.0",
        "paper": Paper("MRI scans were preprocessed.", "@software{monai_mriprep}"),
        **changes,
    }
    return Page(cases=cases, **facts)


def files(of: Page, picture_of=lambda case: None, views: Views | None = None) -> dict[str, str]:
    """The files of a report as text."""
    return {name: b"".join(content).decode() for name, content in rendered(of, picture_of, views)}


def front(of: Page, picture_of=lambda case: None, views: Views | None = None) -> Element:
    """The front page, parsed."""
    return parsed(files(of, picture_of, views)["report.html"])


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: Mapping[str, str]
    children: list[Element | str] = field(default_factory=list)

    def __getitem__(self, attribute: str) -> str:
        return self.attributes[attribute]

    @property
    def text(self) -> str:
        """All text in it, with single blanks."""
        texts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(texts).split())

    def every(self, tag: str = "", css: str = "", **attributes: str) -> Iterator[Element]:
        """The elements in it with this tag, class and attributes, in their order."""
        for child in self.children:
            if not isinstance(child, str):
                if child._fits(tag, css, attributes):
                    yield child
                yield from child.every(tag, css, **attributes)

    def one(self, tag: str = "", css: str = "", **attributes: str) -> Element:
        """The only such element."""
        (found,) = self.every(tag, css, **attributes)
        return found

    def _fits(self, tag: str, css: str, attributes: Mapping[str, str]) -> bool:
        has_class = not css or css in self.attributes.get("class", "").split()
        return tag in ("", self.tag) and has_class and attributes.items() <= self.attributes.items()


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.open[-1].children.append(data)


def parsed(html: str) -> Element:
    """The elements of a page; each must be closed where it should be."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    (root,) = parser.open
    return root


WEBP = Picture(b"RIFF", 40, 30, "as scanned and as preprocessed")
"""What stands for a picture."""
