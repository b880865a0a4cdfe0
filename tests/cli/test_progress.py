"""What a command shows of a run: the log as lines, and on a terminal a bar."""

from __future__ import annotations

import contextlib
import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.cli import main
from monai_mriprep.cli.progress import log_lines, progress
from monai_mriprep.cli.show import log
from tests.runs import write_case, write_troubled_cases

NAME = "monai_mriprep"


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_troubled_cases(tmp_path / "data")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["monai-mriprep", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_the_command_shows_the_log_and_leaves_nothing_behind(dataset, tmp_path, monkeypatch, capsys):
    logger = logging.getLogger(NAME)
    before = (list(logger.handlers), logger.level)
    for number in range(2):  # a handler that was left would say all twice
        assert command(monkeypatch, "run", dataset, tmp_path / f"out{number}", "--workers", 0) == 1
        lines = capsys.readouterr().err.splitlines()
        assert sum(line.startswith("warning: 'lonely.mha' is skipped") for line in lines) == 1
        assert sum(line.startswith("warning: ") and "negative label" in line for line in lines) == 1
        assert sum("case_2: FAILED: " in line and line.startswith("[") for line in lines) == 1
        assert sum(line.startswith("[") and "case_0: 4 x 8 x 9 in" in line for line in lines) == 1
        assert sum(line.startswith("target spacing (3, 1, 1)") for line in lines) == 1
        assert (list(logger.handlers), logger.level) == before


def test_quiet_leaves_warnings_errors_and_the_result(dataset, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, "run", "-q", dataset, tmp_path / "out", "--workers", 0) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("2 preprocessed, 1 skipped (no partner), 1 FAILED")
    lonely, no_table, negative, failed = printed.err.splitlines()
    assert lonely.startswith("warning: 'lonely.mha' is skipped")
    assert no_table.startswith("warning: ")
    assert negative.endswith("negative label voxels became 0")
    assert "case_2: FAILED: " in failed
    write_case(tmp_path / "one", "case_0")
    assert command(monkeypatch, "stats", tmp_path / "one", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_verbose_tells_the_recipe_the_reason_of_each_case_and_its_stages(dataset, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert command(monkeypatch, "run", "-v", dataset, out, "--workers", 0, "--set", "order=1") == 1
    debug = [line for line in capsys.readouterr().err.splitlines() if line.startswith("debug: ")]
    assert any(line.startswith("debug: recipe: {") and "'order': 1" in line for line in debug)
    assert {f"debug: case_{number}: run: no record" for number in range(3)} <= set(debug)
    assert sum("resampling 0." in line and line.endswith(" MiB") for line in debug) == 2
    assert any(re.fullmatch(r"debug: 3 cases, 1 at once in \S+ [MG]iB of memory", line) for line in debug)
    (tmp_path / "predictions").mkdir()
    np.savez(tmp_path / "predictions/case_0.npz", np.zeros((4, 8, 9), np.uint8))
    assert command(monkeypatch, "restore", "-v", out, tmp_path / "predictions", tmp_path / "restored") == 0
    assert "debug: case_0.npz: its case went through foreground, resampling" in capsys.readouterr().err


def test_both_contradict_each_other(dataset, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, "run", "-q", "-v", dataset, tmp_path / "out") == 2
    assert capsys.readouterr().err == "error: --verbose and --quiet contradict each other; give one of them\n"
    assert not (tmp_path / "out").exists()


def test_on_a_terminal_quiet_has_no_bar_and_verbose_has_all_lines_above_it(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    levels = {}
    for words in ("", "verbose", "quiet"):
        with log_lines(**dict.fromkeys(words.split(), True)) as lines, progress(lines):
            levels[words] = (logging.getLevelName(lines.level), lines.show is log)
    assert levels == {"": ("WARNING", False), "verbose": ("DEBUG", False), "quiet": ("WARNING", True)}


def on_a_terminal(*arguments: object) -> str:
    """What a command shows there."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "monai_mriprep", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=its, stderr=its) as process:
        os.close(its)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while part := os.read(ours, 1 << 16):
                shown += part
    os.close(ours)
    assert process.returncode in (0, 1)
    return shown.decode()


def test_names_that_would_steer_a_terminal_are_written_out(tmp_path, monkeypatch, capsys):
    name = "a\x1b[2J\rb"
    write_case(tmp_path / "data", name)
    (tmp_path / "data/LabelsTr" / f"{name}.mha").write_bytes(b"")
    (tmp_path / "data/ImagesTr/\x07lonely.mha").touch()
    assert command(monkeypatch, "run", tmp_path / "data", tmp_path / "out", "--workers", 0) == 1
    assert command(monkeypatch, "check", tmp_path / "data") == 2
    assert command(monkeypatch, "verify", tmp_path / "none\x1b[2J") == 2
    assert command(monkeypatch, "run", "--no-such\x1b[2J") == 2
    printed = capsys.readouterr()
    assert not set(printed.out + printed.err) & set("\x1b\x07\r")
    assert r"a\x1b[2J\rb" in printed.out
    assert r"[1/1] a\x1b[2J\rb: FAILED" in printed.err
    assert r"none\x1b[2J" in printed.err
    assert r"--no-such\x1b[2J" in printed.err


def test_on_a_terminal_a_bar_replaces_the_lines_of_finished_cases_and_is_not_torn(dataset, tmp_path):
    shown = on_a_terminal("run", dataset, tmp_path / "out", "--workers", 0)
    seen = [re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", line.rstrip("\r").rpartition("\r")[2]) for line in shown.split("\n")]
    assert "preprocessing" in shown
    assert "case_0: 4 x 8 x 9" not in shown
    assert sum(line.startswith("warning: 'lonely.mha' is skipped") for line in seen) == 1
    assert sum(line.startswith("target spacing (3, 1, 1)") for line in seen) == 1
    (negative,) = (line for line in seen if line.endswith("negative label voxels became 0"))
    assert negative.startswith("warning: ")  # in one piece, however long, and on a line of its own
    (failed,) = (line for line in seen if "case_2: FAILED: " in line)
    assert re.match(r"\[\d/3\] case_2: ", failed)
