"""The command line in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def cli(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai_mriprep", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=cwd)
