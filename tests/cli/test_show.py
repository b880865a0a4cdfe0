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
    ("parts", "rows", "status"),
    [
        ({"done": DONE}, ["done          2"], OK),
        ({"skipped": ("x",)}, ["done          0", "already done  1"], OK),
        (
            {"done": DONE, "skipped": ("x",), "failed": FAILED},
            ["done          2", "already done  1", "failed        1: c"],
            ATTENTION,
        ),
        ({"done": DONE, "orphans": 3}, ["done          2", "no partner    3 files, skipped"], OK),
        (
            {"skipped": ("x",), "orphans": 1, "failed": FAILED, "retired": ("y",), "warnings": ("one", "two")},
            [
                *("done          0", "already done  1", "failed        1: c", "no partner    1 file, skipped"),
                *("retired       1", "warnings      2"),
            ],
            ATTENTION,
        ),
    ],
)
def test_a_summary_counts_what_there_is(capsys, parts, rows, status):
    assert summarize(RunSummary(Path("out"), seconds=1.23, **parts)) == status
    printed = capsys.readouterr()
    assert printed.err == ""
    places = ["results       out", *(["details       out/manifest.csv"] if "failed" in parts else [])]
    assert printed.out.splitlines() == [*rows, "time          1.2 s", *places]


def test_a_shard_names_no_table_which_merge_alone_writes(capsys):
    summarize(RunSummary(Path("out"), failed=FAILED, shard="1-of-2"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "results       out",
        "shard         1-of-2",
        "next          monai-mriprep merge out, when all shards have ended",
    ]


def test_of_many_failures_the_first_are_named(capsys):
    failed = tuple(Result(f"c{number}", "failed", "no luck") for number in range(9))
    summarize(RunSummary(Path("out"), failed=failed))
    assert "failed        9: c0, c1, c2 and 6 more\n" in capsys.readouterr().out


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
        ("a\u061c\u200b\ufeff", r"a\u061c\u200b\ufeff"),
        ("two\nlines", "two\nlines"),
        ("na\u00efve \u8ab0 \U0001f600 C:\\x1b", "na\u00efve \u8ab0 \U0001f600 C:\\x1b"),
    ],
)
def test_control_characters_are_written_out_and_lines_stay(text, shown):
    assert escaped(text) == shown
    assert escaped(shown) == shown


def test_nothing_that_is_shown_steers_the_terminal(capsys):
    failed = Result(f"c{STEERING}", "failed", "its label is gone")
    summarize(RunSummary(Path(f"out{STEERING}"), failed=(failed,), stopped=f"why{STEERING}"))
    log(STEERING)
    warn([STEERING])
    say(Path(STEERING))
    printed = capsys.readouterr()
    assert not any(character in printed.out + printed.err for character in "\x1b\x07")
    assert f"failed        1: 'c{SHOWN}'\n" in printed.out
    assert printed.err.splitlines()[-1] == f"warning: {SHOWN}"
