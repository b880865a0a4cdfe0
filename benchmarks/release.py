"""Another version of the package beside this one, so that both can be run in turns with the same data."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT, BenchmarkError

__all__ = ["RELEASE", "Version", "check_out", "this_version"]

RELEASE = "8b02e15"
"""The commit that was released as 0.1.0."""


@dataclass(frozen=True)
class Version:
    """A version of the package, and the folder that it is imported from."""

    name: str
    root: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes every process, and its workers, import this version."""
        return {"PYTHONPATH": str(self.root)}

    def command(self, *arguments: str) -> list[str]:
        """Our command line; to be run in `root`, which Python searches first."""
        return [sys.executable, "-m", "monai_mriprep", *arguments]


def this_version() -> Version:
    """The code that stands here, with what is not committed yet."""
    return _checked(Version("this version", ROOT))


def check_out(revision: str, folder: Path) -> Version:
    """Put the package as of a revision into `folder`, with today's benchmarks beside it.

    Raises
    ------
    BenchmarkError
        If git does not know the revision, or Python would import another version from there.
    """
    done = subprocess.run(["git", "archive", revision, "monai_mriprep"], cwd=ROOT, capture_output=True)
    if done.returncode:
        msg = f"git knows no revision {revision}: {done.stderr.decode(errors='replace').strip()}"
        raise BenchmarkError(msg)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    return _checked(Version(revision, folder))


def _checked(version: Version) -> Version:
    code = "import monai_mriprep; print(monai_mriprep.__file__)"
    argv, environment = [sys.executable, "-c", code], {**os.environ, **version.environment}
    found = subprocess.run(argv, cwd=version.root, env=environment, capture_output=True, text=True, check=True).stdout
    if version.root.resolve() not in Path(found.strip()).resolve().parents:
        msg = f"{version.name} should be imported from {version.root}, and is from {found.strip()}"
        raise BenchmarkError(msg)
    return version
