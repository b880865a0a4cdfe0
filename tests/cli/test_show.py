"""The summary of a run, what goes to stderr, and the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_mriprep.cli.show import ATTENTION, COULD_NOT_START, OK, escaped, fail, log, say, summarize, warn
from monai_mriprep.run.cases import Result
from monai_mriprep.run.session import RunSummary

DONE = (Result("a", "done"), Result("b", "done"))
FAILED = (Result("c", "failed", "its label is gone"),)


@pytest.mark.parametrize(
    ("parts", "first", "status"),
    [
        ({"done": DONE}, "2 preprocessed in 1.2 s: out", OK),
        ({"skipped": ("x",)}, "0 preprocessed, 1 already done in 1.2 s: out", OK),
        ({"done": DONE, "skipped": ("x",), "failed": FAILED}, "2 preprocessed, 1 already done, 1 FAILED in", ATTENTION),
        ({"done": DONE, "orphans": 3}, "2 preprocessed, 3 skipped (no partner) in 1.2 s: out", OK),
        (
            {"skipped": ("x",), "orphans": 2, "failed": FAILED, "retired": ("y",)},
            "0 preprocessed, 1 already done, 2 skipped (no partner), 1 FAILED, 1 retired in 1.2 s: out",
            ATTENTION,
        ),
    ],
)
def test_a_summary_counts_what_there_is(capsys, parts, first, status):
    assert summarize(RunSummary(Path("out"), seconds=1.23, **parts)) == status
    printed = capsys.readouterr()
    assert printed.out.startswith(first)
    assert printed.err == ""
    assert printed.out.splitlines()[1:] == (["  failed: c: its label is gone"] if "failed" in parts else [])


def test_a_run_that_was_stopped_says_why_and_needs_attention(capsys):
    assert summarize(RunSummary(Path("out"), done=DONE, stopped="the disk is full")) == ATTENTION
    assert capsys.readouterr().err == "error: stopped: the disk is full\n"


def test_logs_warnings_and_errors_go_to_stderr(capsys):
    log("a line")
    warn(["one", "two"])
    assert fail("it cannot start") == COULD_NOT_START
    assert fail("interrupted", 130) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "a line",
        "warning: one",
        "warning: two",
        "error: it cannot start",
        "error: interrupted",
    ]


STEERING = "\x1b[2J\x1b]0;title\x07"
SHOWN = r"\x1b[2J\x1b]0;title\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (STEERING, SHOWN),
        ("a\r\tb\x7f\x9bc\x00", r"a\r\tb\x7f\x9bc\x00"),
        ("gpj.\u202exe\u2028\u2066", r"gpj.\u202exe\u2028\u2066"),
        ("two\nlines", "two\nlines"),
        ("na\u00efve \u8ab0 \U0001f600 C:\\x1b", "na\u00efve \u8ab0 \U0001f600 C:\\x1b"),
    ],
)
def test_control_characters_are_written_out_and_lines_stay(text, shown):
    assert escaped(text) == shown
    assert escaped(shown) == shown


def test_nothing_that_is_shown_steers_the_terminal(capsys):
    failed = Result(f"c{STEERING}", "failed", f"/data/{STEERING}.mha: two\nlines")
    summarize(RunSummary(Path(f"out{STEERING}"), failed=(failed,), stopped=f"why{STEERING}"))
    log(STEERING)
    warn([STEERING])
    say(Path(STEERING))
    printed = capsys.readouterr()
    assert not any(character in printed.out + printed.err for character in "\x1b\x07")
    assert f"  failed: c{SHOWN}: /data/{SHOWN}.mha: two\nlines\n" in printed.out
    assert printed.err.splitlines()[-1] == f"warning: {SHOWN}"
