"""The training example learns, in both modes the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_unet.py"

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]


def test_both_modes_learn_and_agree(tmp_path):
    offline, on_the_fly = (figures(tmp_path, mode) for mode in ("offline", "on-the-fly"))
    assert offline["foreground"] > 0.8
    assert on_the_fly == offline


def figures(folder: Path, mode: str) -> dict[str, str | float]:
    """Digest of the first batch, and mean Dice of each class on the native grid."""
    command = [sys.executable, str(EXAMPLE), "--mode", mode, "--folder", str(folder / mode)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    (digest,) = re.findall(r"^first batch: .* sha256 (\w+)$", done.stdout, re.MULTILINE)
    (means,) = re.findall(r"^mean Dice on the native grid: (.*)$", done.stdout, re.MULTILINE)
    return {"digest": digest, **{name: float(value) for name, value in re.findall(r"(\w+) (\d\.\d+)", means)}}
