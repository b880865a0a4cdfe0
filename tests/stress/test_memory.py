"""A label much larger than its image, under a limit: refused by name, or done within it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.nursery import PROJECT, processes
from tests.runs import errors_of, events_of

pytestmark = [pytest.mark.stress, pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")]

GIB = 1 << 30
IMAGE, LABEL = (20, 500, 500), (200, 500, 500)
"""50 million voxels of 64 bits: 400 MB."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("large")
    for folder, shape, dtype in (("ImagesTr", IMAGE, np.int16), ("LabelsTr", LABEL, np.int64)):
        (root / folder).mkdir()
        write_nifti(root / folder / "large.nii", np.random.default_rng(0).integers(0, 3, shape, np.int16).astype(dtype))
    return root


def write_nifti(path: Path, array: np.ndarray) -> None:
    import nibabel

    spacing = (60 / len(array), 1.0, 1.0)
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag([*spacing[::-1], 1.0]), dtype=array.dtype), path)


def run(dataset: Path, output: Path, limit: str) -> tuple[int, int]:
    """Exit status, and the most memory that all processes of the run had together."""
    options = ["-w", "1", "--max-memory", limit, "--set", "geometry=resample_label"]
    command = [sys.executable, "-m", "monai_mriprep", "run", str(dataset), str(output), *options]
    peak = 0
    with subprocess.Popen(command, cwd=PROJECT, start_new_session=True) as process:
        while process.poll() is None:
            peak = max(peak, sum(memory_of(pid) for pid, session, _ in processes() if session == process.pid))
            time.sleep(0.01)
    return process.returncode, peak


def memory_of(pid: int) -> int:
    """Resident bytes; pages that several processes share are split among them."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except (OSError, ProcessLookupError):
        return 0
    return 1024 * int(found[1]) if found else 0


def test_a_label_of_50_million_voxels_is_refused_under_1_gib(dataset, tmp_path):
    status, peak = run(dataset, tmp_path / "out", "1G")
    assert status == 1
    assert re.match(r"not attempted: the case needs about \d+ MiB", errors_of(tmp_path / "out")["large"])
    assert peak < GIB


def test_where_it_fits_it_is_done_within_the_limit(dataset, tmp_path):
    status, peak = run(dataset, tmp_path / "out", "1300M")
    assert status == 0
    assert events_of(tmp_path / "out", "done") == ["large"]
    assert peak < 1300 * 2**20
