"""Output folders that cannot be written to are refused before anything is computed; one place fails its case alone."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hostile import Site, command
from tests.runs import OUTPUT_FOLDERS, counts, errors_of, left_over, outputs, write_cases
from tests.store.faults import refuse

CHILD = """
import sys
from monai_mriprep.cli import main
try:
    main()
finally:
    print("LOADED", sorted({"torch", "monai"} & sys.modules.keys()))
"""

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user, or mount")


def run(*arguments: object) -> tuple[int, str]:
    """A run in a process of its own; it says at its end what it has loaded."""
    line = [sys.executable, "-c", CHILD, "run", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[1])
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_cases(tmp_path / "dataset", 2)


@pytest.fixture
def mounted() -> Iterator[Callable[[Path], Path]]:
    """Mount a small file system on a folder, for one test."""
    places: list[Path] = []

    def mount(folder: Path, options: str = "size=1m") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        places.append(folder)
        return folder

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def assert_refused(found: tuple[int, str], words: str) -> None:
    status, text = found
    assert status == 2, text
    assert words in text
    assert "Traceback" not in text
    assert "LOADED []" in text, "nothing is computed, so what computes is not loaded"


@as_root
@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr", ".partial"])
def test_a_folder_on_another_disk(dataset, tmp_path, mounted, folder):
    mounted(tmp_path / "out" / folder)
    assert_refused(run(dataset, tmp_path / "out"), "finished files cannot be moved there")


@as_root
def test_a_disk_that_is_full(dataset, tmp_path, mounted):
    disk = mounted(tmp_path / "out", "size=64k")
    with suppress(OSError):
        (disk / "filler").write_bytes(b"0" * (1 << 20))
    assert_refused(run(dataset, disk), "No space left on device")


@as_root
def test_a_disk_that_cannot_be_written_to(dataset, tmp_path, mounted):
    disk = mounted(tmp_path / "out")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert_refused(run(dataset, disk), "Read-only file system")


@as_root
@pytest.mark.parametrize("closed", [".", "imagesTr", "labelsTr", ".partial"])
def test_a_folder_of_somebody_else(tmp_path, closed):
    dataset, output = write_cases(tmp_path / "dataset", 2), tmp_path / "out"
    assert command("run", dataset, tmp_path / "warm", "--workers", 0)[0] == 0  # the other user may not read the modules
    for folder in ("imagesTr", "labelsTr", ".partial", "."):
        (output / folder).mkdir(parents=True, exist_ok=True)
        (output / folder).chmod(0o755 if folder == closed else 0o777)
    for folder in (tmp_path, *tmp_path.parents):  # pytest's own are closed
        if "pytest" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o055)
    status, text = as_user(12345, "run", dataset, output, "--workers", 0)
    assert status == 2, text
    assert "Permission denied" in text
    assert list(output.glob("*Tr/*")) == []


def as_user(user: int, *arguments: object) -> tuple[int, str]:
    """A command of another user: in a child of this process, which has read all that a run needs."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        with suppress(BaseException):
            os.setgid(user)
            os.setuid(user)
            status, text = command(*arguments)
            os.write(sender, text.encode())
        os._exit(status)
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        text = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@as_root
@pytest.mark.parametrize("workers", [0, 1])
def test_a_place_that_cannot_be_freed_fails_its_case_alone(dataset, tmp_path, mounted, workers):
    """A mount point can neither be replaced nor be set aside."""
    site = Site(dataset, tmp_path / "out", tmp_path)
    mounted(site.output / "imagesTr" / "case_0.npz")
    status, text = command("run", dataset, site.output, "--workers", workers)
    assert status == 1, text
    assert counts(text) == {"done": 1, "failed": 1}
    assert "imagesTr/case_0.npz" in errors_of(site.output)["case_0"]
    assert [path.name for path in (site.output / "labelsTr").iterdir()] == ["case_1.npz"], "the first one went back"
    assert left_over(site.output) == []

    subprocess.run(["umount", str(site.output / "imagesTr" / "case_0.npz")], check=True)
    status, text = site.run()
    assert status == 0, text
    assert counts(text) == {"done": 1, "already done": 1}
    assert len(outputs(site.output)) == 4
    assert site.verify()[0] == 0


@pytest.mark.parametrize("code", [errno.EPERM, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("folder", OUTPUT_FOLDERS)
def test_a_file_that_cannot_be_moved_fails_its_case_alone(dataset, tmp_path, monkeypatch, folder, code):
    site = Site(dataset, tmp_path / "out", tmp_path)

    def is_there(_: str, __: int, name: str, descriptor: int) -> bool:
        place = Path(f"/proc/self/fd/{descriptor}").readlink() / name
        return place == site.output / folder / "case_0.npz"

    refuse(monkeypatch, "rename", is_there, code)
    status, text = site.run()
    assert status == 1, text
    assert counts(text) == {"done": 1, "failed": 1}
    assert os.strerror(code) in errors_of(site.output)["case_0"]
    assert sorted(outputs(site.output)) == ["imagesTr/case_1.npz", "labelsTr/case_1.npz"]
    monkeypatch.undo()
    assert site.run()[0] == site.verify()[0] == 0


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.stress), 1])
def test_what_a_worker_sets_aside_is_said(dataset, tmp_path, workers):
    (tmp_path / "out" / "imagesTr" / "case_0.npz" / "in it").mkdir(parents=True)
    line = [sys.executable, "-m", "monai_mriprep", "run", dataset, tmp_path / "out", "--workers", workers]
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is set aside as") == 1, done.stderr
    assert (tmp_path / "out" / "case_0.npz.set-aside" / "in it").is_dir()
