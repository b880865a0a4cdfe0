"""stdout and stderr that are closed, full or broken: the exit status is what it would have been."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from monai_mriprep.cli.streams import drop_what_cannot_be_written, lost_result
from tests.runs import events_of, outputs, write_cases, write_troubled_cases

COMMAND = f"exec {sys.executable} -m monai_mriprep"
FULL = Path("/dev/full")
STRANGE = [
    pytest.param(streams, marks=pytest.mark.stress)
    for streams in ("2>&-", ">/dev/full 2>/dev/full", "2> >(exec 0<&-; sleep 1)")
]

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is Linux's")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("streams", ["0<&- >&- 2>&-", *STRANGE])
def test_a_run_ends_as_it_would_with_streams_that_take_nothing(tmp_path, streams):
    dataset, output = write_troubled_cases(tmp_path / "data"), tmp_path / "out"
    done = shell(f"{COMMAND} run {dataset} {output} -w 0 {streams}")
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (1, done.stdout, False)
    assert len(outputs(output)) == 4
    assert sorted(events_of(output, "done")) == ["case_0", "case_1"]
    assert all(json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines())


@pytest.mark.parametrize("arguments", ["--help", "check DATA --json", "run DATA OUT --nonsense"])
@pytest.mark.parametrize("streams", [">/dev/full 2>/dev/full", "> >(exec 0<&-) 2>&1"])
def test_every_command_keeps_its_status_and_shows_no_traceback(tmp_path, arguments, streams):
    line = arguments.replace("DATA", str(write_cases(tmp_path / "data", 1))).replace("OUT", str(tmp_path / "out"))
    expected = shell(f"{COMMAND} {line}").returncode
    assert expected in (0, 2)
    done = shell(f"{COMMAND} {line} {streams}")
    assert (done.returncode, "Traceback" in done.stderr, "Exception ignored" in done.stderr) == (expected, False, False)


def test_a_result_that_is_lost_is_said_on_stderr():
    done = shell(f"{COMMAND} recipe >/dev/full")
    assert (done.returncode, done.stderr) == (
        0,
        "warning: a part of the result could not be written to stdout (No space left on device)\n",
    )


def test_a_reader_that_has_read_enough_hears_no_warning():
    done = shell(f"{COMMAND} recipe | head -1; exit ${{PIPESTATUS[0]}}".replace("exec ", ""))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_streams_of_a_caller_stay():
    assert lost_result() is None
    before = (sys.stdout, sys.stderr)
    drop_what_cannot_be_written()
    assert (sys.stdout, sys.stderr) == before
