"""Take the pictures of a report that a person looks at: top, a card, a suspect in 3-D, dark, 400 pixels wide, print.

usage, from the repository's root: .venv/bin/python -m benchmarks.report_screenshots OUT [--only planted,mixed]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.browser import NoBrowserError, Watched, browsers
from benchmarks.measure import ROOT
from benchmarks.reports import NAMES, Reports

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 900}
PAPER = {"width": 794, "height": 1123}
"""A4, at 96 pixels an inch."""


def main() -> int:
    """Exit status: 0 if no page complained, 1 if one did, 2 without a browser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder of the pictures")
    parser.add_argument("--only", default=",".join(NAMES), help=f"of {', '.join(NAMES)}")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    problems = []
    try:
        with browsers() as launch, tempfile.TemporaryDirectory() as work:
            reports = Reports(Path(work), ROOT / ".." / "shared" / "data")
            for name in options.only.split(","):
                problems += _take(launch(), reports.page(name), options.output / name)
    except NoBrowserError as error:
        print(error, file=sys.stderr)
        return 2
    print(*problems, sep="\n")
    return int(bool(problems))


def _take(browser: Any, report: Path, start: Path) -> list[str]:
    """All pictures of one report; what its pages complained of."""
    watched = []

    def opened(**options: Any) -> Any:
        watched.append(Watched(browser.new_context(**options).new_page()))
        watched[-1].open(report)
        return watched[-1].page

    def save(what: Any, name: str, **options: Any) -> None:
        what.screenshot(path=f"{start}-{name}.png", **options)
        print(f"{start}-{name}.png")

    page = opened(viewport=WIDE)
    save(page, "top")
    save(page.locator("article.card").first, "card")
    _open_view(page, lambda stage: save(stage, "view"))
    save(opened(viewport=WIDE, color_scheme="dark"), "dark", full_page=True, clip=_upper(WIDE, 2400))
    save(opened(viewport=NARROW), "narrow", full_page=True, clip=_upper(NARROW, 2400))
    printed = opened(viewport=PAPER)
    printed.emulate_media(media="print")
    save(printed, "print", full_page=True, clip=_upper(PAPER, 2400))
    printed.pdf(path=f"{start}-print.pdf", format="A4")
    print(f"{start}-print.pdf, {report.stat().st_size / 1e6:.1f} MB as a page")
    browser.close()
    return [f"{start.name}: {problem}" for page in watched for problem in page.problems]


def _open_view(page: Any, save: Callable[[Any], None]) -> None:
    button = page.get_by_text("Look at it in 3-D")
    if button.count():
        button.first.click()
        page.wait_for_selector(".viewer-stage[data-ready]", timeout=60_000)
        page.wait_for_timeout(500)
        save(page.locator(".viewer-stage"))


def _upper(viewport: dict[str, int], height: int) -> dict[str, int]:
    return {"x": 0, "y": 0, "width": viewport["width"], "height": height}


if __name__ == "__main__":
    sys.exit(main())
