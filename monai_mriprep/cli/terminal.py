"""What a stream is: a terminal or not, how wide, with colours or without."""

from __future__ import annotations

import os
import re
from typing import TextIO

from monai_mriprep.report.lines import wrapped

__all__ = ["can_redraw", "fitted", "has_colour", "painted", "width_of"]

WIDTH = 80
"""Of lines where nobody says how wide they may be."""

RED, YELLOW, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"

BAD = re.compile(r"^ *(?:error|fatal|problem|refused|failed)(?=:|  )|\b(?:FAILED|REFUSED)\b|(?<=  )problem(?=  )", re.M)
DOUBTFUL = re.compile(r"^ *(?:warnings?|suspect|unfinished)(?=:|  )|(?<=  )(?:warning|suspect)(?=  )", re.M)


def can_redraw(stream: TextIO) -> bool:
    """Whether a line that is on it can be drawn again, as a progress bar is."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def has_colour(stream: TextIO) -> bool:
    """A terminal that is not dumb has colours, unless ``NO_COLOR`` is set; with ``FORCE_COLOR`` any stream has them."""
    if os.environ.get("NO_COLOR"):
        return False
    return os.environ.get("FORCE_COLOR", "0") not in ("", "0") or can_redraw(stream)


def width_of(stream: TextIO) -> int:
    """Columns of a terminal, or of ``COLUMNS``; 80 for any other stream."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    except (OSError, ValueError):
        return WIDTH


def fitted(text: str, stream: TextIO) -> str:
    """A text as it goes to this stream: on a terminal its lines are broken between words."""
    return wrapped(text, width_of(stream)) if stream.isatty() else text


def painted(text: str) -> str:
    """Colour the words that say what is wrong (red) or needs review (yellow)."""
    for words, colour in ((BAD, RED), (DOUBTFUL, YELLOW)):
        text = words.sub(lambda found, colour=colour: f"{colour}{found[0]}{PLAIN}", text)  # type: ignore[misc]
    return text
