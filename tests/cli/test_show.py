"""The summary of a run, what goes to stderr, and the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_mriprep.cli.show import ATTENTION, COULD_NOT_START, OK, fail, log, summarize, warn
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
