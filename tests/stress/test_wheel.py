"""What is released: the archives hold all that running needs, and the wheel alone runs the demo, away from here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.test_docs import ROOT

pytestmark = [pytest.mark.stress, pytest.mark.timeout(900)]  # installs PyTorch once more

PACKAGE = ROOT / "monai_mriprep"
QUIET = ("install", "--quiet", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt"))


def run(*command: object, cwd: Path) -> str:
    """Without what would find the checkout."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def new_environment(folder: Path) -> Path:
    """Its Python."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the two archives."""
    folder = tmp_path_factory.mktemp("built")
    python = new_environment(folder / "tools")
    run(python, "-m", "pip", *QUIET, "build", cwd=folder)
    run(python, "-m", "build", "--outdir", folder / "dist", ROOT, cwd=folder)
    return folder / "dist"


def needed_files() -> set[str]:
    """Of the package: modules, templates, scripts, styles, the viewer and its licence."""
    tracked = run("git", "-C", ROOT, "ls-files", "monai_mriprep", cwd=ROOT).split()
    assert len(tracked) > 100
    return set(tracked)


def test_both_archives_hold_every_file_of_the_package(built):
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(source) as archive:
        in_source = {name.partition("/")[2] for name in archive.getnames()}
    assert needed_files() - in_wheel == set()
    assert needed_files() - in_source == set()
    licences = {Path(name).name for name in in_wheel if ".dist-info/licenses/" in name}
    assert {"LICENSE", "LICENSE-NIIVUE.txt"} <= licences


def test_the_page_on_an_index_has_no_link_that_leads_nowhere_there(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    _, _, page = metadata.partition("\n\n")
    assert page.startswith("# monai-mriprep")
    assert [link for link in re.findall(r"\]\(([^)]+)\)", page) if not re.match(r"https?://", link)] == []


def test_the_wheel_runs_the_demo_in_a_new_environment(built, tmp_path):
    python = new_environment(tmp_path / "environment")
    (wheel,) = built.glob("*.whl")
    run(python, "-m", "pip", *QUIET, wheel, cwd=tmp_path)
    command = python.parent / "monai-mriprep"
    run(command, "demo", "demo", cwd=tmp_path)
    page = (tmp_path / "demo/preprocessed/report.html").read_text(encoding="utf-8")
    assert "10000_0001_0000" in page
