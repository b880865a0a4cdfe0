"""What a command shows of a run: the log as lines, and on a terminal a bar."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.cli import clock, main
from monai_mriprep.cli.pace import Pace
from monai_mriprep.cli.progress import log_lines, watched
from monai_mriprep.cli.show import log
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.run.cases import Result
from tests.runs import counts, write_case, write_troubled_cases

NAME = "monai_mriprep"
ESCAPES = re.compile(r"\x1b\[[?0-9;]*[a-zA-Z]")


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
        assert sum(line == "loading MONAI ..." for line in lines) == 1
        assert sum(line.startswith("target spacing (3, 1, 1)") for line in lines) == 1
        assert (list(logger.handlers), logger.level) == before


def test_quiet_leaves_warnings_errors_and_the_result(dataset, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, "run", "-q", dataset, tmp_path / "out", "--workers", 0) == 1
    printed = capsys.readouterr()
    assert counts(printed.out) == {"done": 2, "failed": 1, "no partner": 1}
    lonely, no_table, failed, negative = printed.err.splitlines()
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
    assert any(re.fullmatch(r"debug: 0 workers at most, in \S+ [MG]iB of memory", line) for line in debug)
    assert "debug: 3 cases, 1 at once" in debug
    (tmp_path / "predictions").mkdir()
    np.savez(tmp_path / "predictions/case_0.npz", np.zeros((4, 8, 9), np.uint8))
    assert command(monkeypatch, "restore", "-v", out, tmp_path / "predictions", tmp_path / "restored") == 0
    assert "debug: case_0.npz: its case went through foreground, resampling" in capsys.readouterr().err


def test_both_contradict_each_other(dataset, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, "run", "-q", "-v", dataset, tmp_path / "out") == 2
    assert capsys.readouterr().err == "error: --verbose and --quiet contradict each other; give one of them\n"
    assert not (tmp_path / "out").exists()


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


# --- Grouped ----------------------------------------------------------------------------------------------------------


def failed(case: str, error: str) -> Result:
    return Result(case, "failed", error)


def test_a_reason_of_many_failures_and_a_warning_of_many_cases_are_said_once(capsys):
    with log_lines() as lines, watched(lines) as watch:
        for number in range(4):
            path = f"/data/c{number}.mha"
            watch(
                Result(f"c{number}", "done", warnings=(f"{path}: {number + 1} negative voxels became 0",)),
                number + 1,
                7,
            )
        watch(failed("d", "/data/d.mha: 20 bytes are missing\n  a second line"), 5, 7)
        watch(failed("e", "/data/e.mha: 7 bytes are missing\n  a second line"), 6, 7)
        watch(failed("f", "out of memory"), 7, 7)
    assert capsys.readouterr().err.splitlines() == [
        "[5/7] d: FAILED: /data/d.mha: 20 bytes are missing",
        "  a second line",
        "[6/7] e: FAILED, as d did",
        "[7/7] f: FAILED: out of memory",
        "warning: 4 cases: ... negative voxels became 0 (c0, c1, c2 and 1 more)",
    ]


def test_many_failures_of_one_kind_are_counted(capsys):
    with log_lines() as lines, watched(lines) as watch:
        for number in range(500):
            watch(failed(f"c{number}", f"/data/c{number}.mha: {number} bytes are missing"), number + 1, 500)
    said = capsys.readouterr().err.splitlines()
    assert said[9] == "[10/500] c9: FAILED, as c0 did"
    assert said[10:] == ["[11/500] c10: FAILED, as c0 did; more of that kind are counted, and told by -v"]


@pytest.mark.parametrize("verbose", [False, True])
def test_of_many_records_of_one_kind_the_first_ones_are_shown(verbose, capsys):
    with log_lines(verbose):
        for number in range(50):
            logging.getLogger(NAME).warning("'%d.mha' is skipped", number)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == (50 if verbose else 4)
    assert said[0] == "warning: '0.mha' is skipped"
    assert said[-1] == ("warning: '49.mha' is skipped" if verbose else "... and 47 more like it")


def test_what_is_logged_while_cases_are_under_way_is_shown_each_time(capsys):
    with log_lines() as lines:
        for number in range(5):
            logging.getLogger(NAME).warning("'%d.mha' is skipped", number)
        with watched(lines):
            for minutes in (2, 4, 8, 16, 32):
                logging.getLogger(NAME).warning("a: under way for %d min", minutes)
    said = capsys.readouterr().err.splitlines()
    assert said[3] == "... and 2 more like it"
    assert [line for line in said if "under way" in line] == [
        f"warning: a: under way for {m} min" for m in (2, 4, 8, 16, 32)
    ]


def test_warnings_are_said_though_the_run_is_interrupted(capsys):
    def interrupted() -> None:
        with log_lines() as lines, watched(lines) as watch:
            watch(Result("a", "done", warnings=("/data/a.mha: odd",)), 1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    place, warning = capsys.readouterr().err.splitlines()
    assert place.startswith("[1/2] ")
    assert warning == "warning: /data/a.mha: odd"


def test_an_error_of_many_lines_is_shown_once(tmp_path, monkeypatch, capsys):
    write_case(tmp_path / "data", "a")
    write_metaimage(tmp_path / "data/LabelsTr/a.mha", np.ones((4, 8, 9), np.int16), (3.0, 1.0, 2.0))
    assert command(monkeypatch, "run", tmp_path / "data", tmp_path / "out", "--workers", 0) == 1
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("differ in spacing") == 1
    assert "failed        1: a\n" in printed.out


# --- Without a terminal -----------------------------------------------------------------------------------------------


def test_lines_come_at_growing_intervals(monkeypatch, capsys):
    now = 5.0
    monkeypatch.setattr(clock, "elapsed", lambda: now)
    with log_lines() as lines, watched(lines) as watch:
        watch._pace = Pace({str(number): 1.0 for number in range(1000)}, 1, lambda: now)
        for number in range(1000):
            watch(Result(str(number), "done", facts={"seconds": {"load": 1.0}}), number + 1, 1000)
            now += 1.0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "[11/1000] 16:29 left, 0:15 elapsed, 1.0 cases/s"
    assert said[1].startswith("[21/1000] ")
    assert 25 < len(said) < 45
    assert said[-1].startswith("[9")


def test_quiet_says_nothing_of_the_progress(monkeypatch, capsys):
    now = 5.0
    monkeypatch.setattr(clock, "elapsed", lambda: now)
    with log_lines(quiet=True) as lines, watched(lines) as watch, watch.doing("loading"):
        for number in range(100):
            watch(Result(str(number), "done"), number + 1, 100)
            now += 10
    assert capsys.readouterr().err == ""


# --- On a terminal ----------------------------------------------------------------------------------------------------


class Terminal:
    """A terminal of so many columns; what is written to its stream, it keeps."""

    def __init__(self, columns: int) -> None:
        self.ours, self.its = pty.openpty()
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.stream = open(self.its, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - a descriptor, closed below
        self.shown = b""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # EIO: the other side is closed
            while part := os.read(self.ours, 1 << 16):
                self.shown += part

    def close(self) -> None:
        self.stream.close()
        self.reader.join()
        os.close(self.ours)

    @property
    def lines(self) -> list[str]:
        """What stays of each line, without colours."""
        text = self.shown.decode().replace("\r\n", "\n")
        text = re.sub(
            r"[^\n]*\n\r?(?:\x1b\[\?25h)?\r?\x1b\[1A\x1b\[2K", "", text
        )  # up again, and a line erased: a bar's end
        return [ESCAPES.sub("", line).rpartition("\r")[2] for line in text.split("\n")]


@contextmanager
def on_a_terminal(monkeypatch, *names: str, columns: int = 80, term: str = "xterm") -> Iterator[Terminal]:
    """Let streams of `sys` be a terminal."""
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", term)
    terminal = Terminal(columns)
    with monkeypatch.context() as changed:
        for name in names:
            changed.setattr(sys, name, terminal.stream)
        try:
            yield terminal
        finally:
            terminal.close()


@pytest.mark.parametrize("columns", [80, 120])
def test_a_bar_shows_how_far_the_run_is_and_no_line_breaks_it(dataset, tmp_path, monkeypatch, columns):
    with on_a_terminal(monkeypatch, "stdout", "stderr", columns=columns) as terminal:
        assert command(monkeypatch, "run", dataset, tmp_path / "out", "--workers", 0) == 1
    shown, lines = terminal.shown.decode(), terminal.lines
    assert "loading MONAI, 0:0" in shown
    assert re.search(r"\[3/3\] 1 failed, finishing, 0:0\d elapsed", ESCAPES.sub("", shown))
    assert "case_0: 4 x 8 x 9" not in shown
    assert [line for line in lines if "━" in line] == []  # what stays; the bar does not
    assert [line for line in lines if len(line) > columns and "/" not in line] == []
    text = " ".join(" ".join(lines).split())
    assert text.count("warning: 'lonely.mha' is skipped") == 1
    assert text.count("288 negative label voxels became 0") == 1
    assert text.count("case_2: FAILED: ") == 1
    assert "\x1b[33mwarning\x1b[0m: " in shown
    assert "\x1b[31mFAILED\x1b[0m:" in shown
    assert counts("\n".join(lines)) == {"done": 2, "failed": 1, "no partner": 1}


@pytest.mark.parametrize("words", ["--quiet", "--verbose"])
def test_quiet_has_no_bar_and_verbose_has_all_lines_above_it(dataset, tmp_path, monkeypatch, words):
    with on_a_terminal(monkeypatch, "stderr") as terminal:
        assert command(monkeypatch, "run", dataset, tmp_path / "out", "--workers", 0, words) == 1
    text = " ".join(" ".join(terminal.lines).split())
    is_verbose = words == "--verbose"
    assert ("━" in terminal.shown.decode(), "case_0: 4 x 8 x 9 in" in text) == (is_verbose, is_verbose)
    assert text.count("288 negative label voxels became 0") == 1
    assert text.count("case_2: FAILED: ") == 1


def test_a_dumb_terminal_has_plain_lines(dataset, tmp_path, monkeypatch):
    with on_a_terminal(monkeypatch, "stdout", "stderr", term="dumb") as terminal:
        assert command(monkeypatch, "run", dataset, tmp_path / "out", "--workers", 0) == 1
    assert "\x1b" not in terminal.shown.decode()
    assert "loading MONAI ..." in terminal.lines


def test_without_colours_there_is_a_bar(dataset, tmp_path, monkeypatch):
    with on_a_terminal(monkeypatch, "stdout", "stderr") as terminal:
        monkeypatch.setenv("NO_COLOR", "1")
        assert command(monkeypatch, "run", dataset, tmp_path / "out", "--workers", 0) == 1
    shown = terminal.shown.decode()
    assert "━" in shown
    assert not re.search(r"\x1b\[[0-9;]*m", shown)


def test_the_bar_goes_to_one_console_and_the_result_to_another(dataset, tmp_path, monkeypatch, capsys):
    with on_a_terminal(monkeypatch, "stderr") as terminal:
        assert command(monkeypatch, "run", dataset, tmp_path / "out", "--workers", 0, "--json") == 1
    assert len(json.loads(capsys.readouterr().out)["done"]) == 2
    assert "━" in terminal.shown.decode()
    with on_a_terminal(monkeypatch, "stdout") as terminal:
        assert command(monkeypatch, "run", dataset, tmp_path / "out", "--workers", 0) == 1
    said = capsys.readouterr()
    assert (said.out, "\x1b" in said.err, "━" in said.err) == ("", False, False)
    assert "\x1b[31mfailed\x1b[0m        1: case_2\r\n" in terminal.shown.decode()


def test_nothing_in_a_name_is_markup(tmp_path, monkeypatch):
    names = ("[red]", "[", "a [bold]b[", ":smile:", "[/]")
    with on_a_terminal(monkeypatch, "stderr", columns=200) as terminal, log_lines() as lines, watched(lines) as watch:
        for number, name in enumerate(names):
            watch(failed(name, f"reason{'s' * number}x: {name}"), number + 1, len(names))
    said = [line for line in terminal.lines if "FAILED" in line]
    assert said == [
        f"[{number + 1}/5] {name}: FAILED: reason{'s' * number}x: {name}" for number, name in enumerate(names)
    ]


def test_a_child_of_a_run_with_a_bar_writes_past_it(monkeypatch):
    with on_a_terminal(monkeypatch, "stderr") as terminal, log_lines() as lines, watched(lines) as watch:
        assert watch.bar is not None
        child = os.fork()
        if child == 0:
            os._exit(0 if sys.stderr is terminal.stream else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert lines.show is not log
    assert lines.show is log
