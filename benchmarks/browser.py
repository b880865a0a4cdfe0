"""Headless Chromium for pages that need nothing but themselves: what they ask for and complain of is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["NoBrowserError", "Watched", "browsers"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
"""WebGL is computed by SwiftShader then, on any machine."""
OWN = ("file:", "data:", "blob:")
"""Addresses that need no network."""


class NoBrowserError(RuntimeError):
    """Chromium, or what drives it, is not installed."""


@contextmanager
def browsers() -> Iterator[Callable[..., Any]]:
    """A function that launches a browser of playwright, with further arguments of Chromium; all are closed at the end.

    Raises
    ------
    NoBrowserError
        If there is none.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        msg = "playwright is not installed; make stress installs it"
        raise NoBrowserError(msg) from error
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        msg = f"none of {', '.join(NAMES)} is installed; on Debian, apt-get install chromium"
        raise NoBrowserError(msg)
    with sync_playwright() as playwright:
        yield lambda *more: playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *more])


@dataclass
class Watched:
    """A page, and what it did that it must not do.

    Parameters
    ----------
    page
        Of playwright.
    problems
        Requests that go beyond the file, errors in the console, exceptions.
    """

    page: Any
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._on_request)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))

    def open(self, path: Path) -> None:
        """Open a file, and wait until all of it is there."""
        self.page.goto(path.absolute().as_uri())

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith(OWN):
            self.problems.append(f"request: {request.url}")

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text}")
