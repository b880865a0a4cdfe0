"""Places in which a run finds less than it is used to: no name of the user, no children, no own thread, no Linux."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import monai_mriprep
from monai_mriprep import preprocess
from tests.runs import outputs, write_cases

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")]


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_cases(tmp_path / "data", 3)


def python(code: str, *arguments: object, before: tuple[str, ...] = (), **environment: str | None):
    variables = {name: value for name, value in (os.environ | environment).items() if value is not None}
    line = [*before, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120, env=variables)


NAMELESS = {"LOGNAME": None, "USER": None, "LNAME": None, "USERNAME": None}
RUN = """
import os, pwd, sys, monai_mriprep
try:
    pwd.getpwuid(os.getuid())
except KeyError:
    print("nameless")
import monai.transforms
summary = monai_mriprep.preprocess(sys.argv[1], sys.argv[2], workers=2)
print(len(summary.done), os.environ.get("LOGNAME"))
"""


@pytest.mark.stress
def test_a_user_without_a_name(dataset, tmp_path):
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, with setpriv")
    capability = "+dac_override"  # where the interpreter lies in root's home
    become = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
    become = (*become, f"--inh-caps={capability}", f"--ambient-caps={capability}")
    done = python(RUN, dataset, tmp_path / "out", before=become, **NAMELESS)
    assert (done.returncode, done.stdout) == (0, "nameless\n3 54321\n"), done.stderr


def test_a_user_with_a_name_keeps_the_environment_as_it_is():
    done = python("import os, monai_mriprep; print(os.environ.get('LOGNAME'))", **NAMELESS)
    assert done.stdout == "None\n", done.stderr


ON_WINDOWS = """
import os, sys
import numpy, pydantic.fields, typer, yaml, zoneinfo  # they look at the platform, too
sys.platform = "win32"
for missing in ("fcntl", "resource", "pwd", "grp"):
    sys.modules[missing] = None
for missing in ("O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "getuid"):
    delattr(os, missing)
"""


@pytest.mark.parametrize("command", [["run", "data", "out"], ["--help"], ["verify", "out"]], ids=" ".join)
def test_on_windows_a_command_ends_with_one_sentence(command):
    done = python(f"{ON_WINDOWS}from monai_mriprep.cli import main; main()", *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: monai-mriprep needs Linux or macOS; on Windows install and run it in WSL")
    assert done.stderr.count("\n") == 1


def test_on_windows_the_package_is_imported_and_what_needs_more_names_wsl():
    code = """
import importlib, monai_mriprep
print(monai_mriprep.__version__, monai_mriprep.Recipe().grid)
for name in ("run.preprocess", "store.store"):
    try:
        importlib.import_module(f"monai_mriprep.{name}")
    except ImportError as error:
        print(name, "needs Linux or macOS" in str(error) and "WSL" in str(error))
"""
    done = python(ON_WINDOWS + code, USERNAME=None, USER=None, LOGNAME=None, LNAME=None)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{monai_mriprep.__version__} monai\nrun.preprocess True\nstore.store True\n"


def in_a_pool(dataset: Path, output: Path, case_timeout: float | None) -> tuple[int, list[str]]:
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("monai_mriprep").addHandler(handler)
    return len(preprocess(dataset, output, workers=2, case_timeout=case_timeout).done), messages


@pytest.mark.parametrize("case_timeout", [None, 60.0])
def test_a_daemonic_process_works_on_one_case_after_the_other(dataset, tmp_path, case_timeout):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        done, messages = pool.apply(in_a_pool, (dataset, tmp_path / "out", case_timeout))
    assert done == 3
    (warning,) = (text for text in messages if text.startswith("in a daemonic process"))
    assert ("case_timeout is not kept" in warning) == (case_timeout is not None)


def test_a_coroutine(dataset, tmp_path):
    """As in a notebook, whose cells run in a loop of asyncio."""

    async def cell() -> int:
        return len(preprocess(dataset, tmp_path / "out", workers=2).done)

    assert asyncio.run(cell()) == 3


def test_a_thread(dataset, tmp_path):
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(len(preprocess(dataset, tmp_path / "out", workers=2).done)))
    thread.start()
    thread.join(100)
    assert done == [3]


@pytest.mark.stress
@pytest.mark.parametrize("options", ["size=0", "ro,size=1m", "size=4k,nr_inodes=1"])
def test_no_room_for_semaphores(dataset, tmp_path, options):
    """In a mount namespace of its own, so that nobody else notices."""
    mount = f"mount -t tmpfs -o {options} none /dev/shm && exec "
    command = f"{sys.executable} -m monai_mriprep run {dataset} {tmp_path / 'out'} -w 2"
    line = ["unshare", "-m", "sh", "-c", mount + command]
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("a mount namespace cannot be made here")
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert len(outputs(tmp_path / "out")) == 6
    if options != "size=0":  # that is no limit
        assert "warning: no workers can be started" in done.stderr
