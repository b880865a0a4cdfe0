"""A pattern is searched for in a process of its own, and stopped where it hangs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from monai_mriprep.dataset import pattern as room
from monai_mriprep.dataset.pattern import pattern_keys
from monai_mriprep.errors import PairingError
from tests.cli.shell import cli
from tests.runs import write_cases

HANGS = "(?P<case>(a+)+)$"
VICTIM = "a" * 40 + "!"


def test_keys_are_what_the_group_matches_anywhere_in_a_name():
    names = ["x10_t1", "10", "none", "\u8ab0_7", "caf\udce9_8", 'quote"\n_9', "x10_t1"]
    assert pattern_keys("(?P<case>[0-9]*)(_|$)", names) == {
        "x10_t1": "10",
        "10": "10",
        "none": None,
        "\u8ab0_7": None,
        "caf\udce9_8": None,
        'quote"\n_9': None,
    }
    assert pattern_keys("(?P<case>.)_[0-9]", names)["caf\udce9_8"] == "\udce9"
    assert pattern_keys("(?P<case>x)", []) == {}


def test_a_pattern_that_hangs_is_stopped_and_named_with_the_name(monkeypatch):
    monkeypatch.setattr(room, "SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(PairingError) as caught:
        pattern_keys(HANGS, ["aa", "b", VICTIM, "a"])
    assert time.monotonic() - start < 5
    assert repr(HANGS) in str(caught.value)
    assert f"stopped after 0.5 s, on the name '{VICTIM}'" in str(caught.value)


def test_the_process_is_ended_where_the_search_is_interrupted(monkeypatch):
    started = []

    class Interrupted(subprocess.Popen):
        def communicate(self, question=None, timeout=None):
            started.append(self)
            if timeout is not None:
                raise KeyboardInterrupt
            return super().communicate(question, timeout)

    monkeypatch.setattr(room.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        pattern_keys("(?P<case>a)", ["a"])
    assert started[0].poll() is not None


def test_the_names_of_a_large_dataset_take_no_time():
    names = [f"{number}_0000" for number in range(20_000)]
    start = time.monotonic()
    assert pattern_keys("^(?P<case>.+)_0000$", names)["77_0000"] == "77"
    assert time.monotonic() - start < room.SECONDS


@pytest.mark.parametrize(
    "command", ["run", *(pytest.param(other, marks=pytest.mark.stress) for other in ("check", "stats"))]
)
def test_every_command_ends_with_the_pattern_and_the_name(tmp_path, command):
    root = write_cases(tmp_path / "data", 1)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder / "case_0.mha").rename(root / folder / f"{VICTIM}.mha")
    arguments = [root, tmp_path / "out"] if command == "run" else [root]
    result = cli(command, *arguments, "--set", f"pattern='{HANGS}'")
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert f"on the name '{VICTIM}'" in result.stderr + result.stdout


def test_neither_torch_nor_numpy_is_loaded_by_the_search():
    code = room.SEARCH.replace("for name", "assert not {'torch', 'numpy', 'site'} & set(sys.modules)\nfor name")
    question = '{"pattern": "(?P<case>a)", "names": ["a"]}'
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], input=question, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('"a"\n', "")
