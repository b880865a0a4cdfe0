"""docs/compared.md: the figures of ours and of nnU-Net, measured again. The other tools are not installed here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (the extra nnunet)")

from benchmarks.compared.scans import JOBS, NAMES, Scan, Volume, files_of, ours
from benchmarks.compared.tables import as_markdown, steps_table, targets_table, tools_table
from benchmarks.peers.arrays import nnunet
from monai_mriprep.volume.geometry import Grid
from tests.test_docs import ROOT, assert_close

TOOLS = ("default", "panther2025", "nnunet")
LARGEST = re.compile(r"(\S+) of the range")


@pytest.fixture(scope="module")
def scans(shared_data) -> dict[str, Scan]:
    return {name: Scan(shared_data, job) for name, job in JOBS.items()}


@pytest.fixture(scope="module")
def theirs(shared_data) -> dict[str, Volume]:
    return {name: by_nnunet(shared_data, name) for name in JOBS}


def by_nnunet(data: Path, name: str) -> Volume:
    files = files_of(data, JOBS[name])
    image, label, affine = nnunet(files["image"], files["label"], JOBS[name].target)
    return Volume(image, label, Grid(image.shape, affine))


def quoted(table: str) -> list[str]:
    """The rows of a table of the page."""
    page = (ROOT / "docs/compared.md").read_text(encoding="utf-8")
    return page.split(f"<!-- {table}:begin -->")[1].split(f"<!-- {table}:end -->")[0].strip().splitlines()


def test_targets(shared_data):
    assert quoted("targets") == as_markdown(targets_table(shared_data)).splitlines()


def test_tools(shared_data, scans, theirs):
    made = {"default": {name: scan.default for name, scan in scans.items()}, "nnunet": theirs}
    made["panther2025"] = {name: ours(shared_data, job, {"preset": "panther2025"}) for name, job in JOBS.items()}
    measured = as_markdown(tools_table(scans, {tool: made[tool] for tool in TOOLS})).splitlines()
    head, names = 2, {NAMES[tool] for tool in TOOLS}
    rows = [row for row in quoted("tools")[head:] if row.split(" | ")[1] in names]
    assert_close(rows, measured[head:], "tools")


def test_the_steps_lead_to_nnunet(shared_data, scans, theirs):
    named = {name: scans[name] for name in ("neck", "abdomen")}
    *measured, last = as_markdown(steps_table(shared_data, named, theirs)).splitlines()
    assert_close(quoted("steps")[:-1], measured, "steps")
    assert last.count("equal") == 4
    assert last.count(" 0 voxels off") == 2
    assert np.max([float(found) for found in LARGEST.findall(last)]) < 2e-6
