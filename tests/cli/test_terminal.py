"""What a stream is, and what of a line is coloured."""

from __future__ import annotations

import io

import pytest

from monai_mriprep.cli.terminal import can_redraw, fitted, has_colour, painted, width_of


class Stream(io.StringIO):
    """A terminal, or not."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "variables", "redraws", "colours"),
    [
        (True, {"TERM": "xterm"}, True, True),
        (True, {}, True, True),
        (True, {"TERM": "dumb"}, False, False),
        (True, {"TERM": "unknown"}, False, False),
        (True, {"NO_COLOR": "1"}, True, False),
        (True, {"NO_COLOR": ""}, True, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        (False, {"TERM": "xterm"}, False, False),
        (False, {"FORCE_COLOR": "1"}, False, True),
        (False, {"FORCE_COLOR": "0"}, False, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, False, True),
    ],
    ids=str,
)
def test_colours_and_bars_are_for_terminals_that_can_show_them(monkeypatch, is_terminal, variables, redraws, colours):
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Stream(is_terminal)
    assert (can_redraw(stream), has_colour(stream)) == (redraws, colours)


@pytest.mark.parametrize(("columns", "width"), [("120", 120), ("0", 80), ("wide", 80), ("", 80)])
def test_the_width_is_what_is_said_or_80(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert width_of(Stream(False)) == width


def test_lines_are_broken_for_terminals_alone(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert fitted("one line of some words", Stream(True)) == "one line of some\n  words"
    assert fitted("one line of some words", Stream(False)) == "one line of some words"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("error: no luck", "<31>error<0>: no luck"),
        ("warning: a warning", "<33>warning<0>: a warning"),
        ("[1/2] a: FAILED: why", "[1/2] a: <31>FAILED<0>: why"),
        ("failed        1: c", "<31>failed<0>        1: c"),
        ("warnings      2", "<33>warnings<0>      2"),
        ("case_1  problem  4x8x9", "case_1  <31>problem<0>  4x8x9"),
        ("suspect: c: it is odd", "<33>suspect<0>: c: it is odd"),
        ("case_1  warning  4x8x9", "case_1  <33>warning<0>  4x8x9"),
        ("one\n  refused: two", "one\n<31>  refused<0>: two"),
        ("failed before, and errors", "failed before, and errors"),
    ],
)
def test_the_words_that_matter_have_a_colour(line, shown):
    assert painted(line) == shown.replace("<0>", "\x1b[0m").replace("<31>", "\x1b[31m").replace("<33>", "\x1b[33m")
