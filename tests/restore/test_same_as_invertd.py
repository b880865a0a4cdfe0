"""`Invertd`, on the fly and on files, and `restore` take predictions to the same voxels, on exactly the scan's grid.

``python -m benchmarks.same_way_back`` compares more recipes on every scan.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.same_way_back import COARSER, CROP, FINER, RECIPES, compare, with_empty_border
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.write import write_volume
from tests.oracles import SCANS
from tests.restore.test_way_back import SCANS as AFFINES
from tests.restore.test_way_back import scan

FLOATS = ("labels as floats, classes", "one channel", "one channel, classes", "channels", "channels, classes")
NONE_DIFFERS = dict.fromkeys(("label", "random labels", *FLOATS, "by the file"), 0)


@pytest.mark.parametrize("factors", [COARSER, FINER], ids=["coarser", "finer"])
@pytest.mark.parametrize("settings", RECIPES, ids=str)
@pytest.mark.parametrize("name", AFFINES)
def test_every_recipe_on_phantoms(tmp_path, name, settings, factors):
    image, grid = scan(AFFINES[name])
    write_volume(tmp_path / "10_x.mha", image, Frame.of_grid(grid))
    found = compare(read_header(tmp_path / "10_x.mha"), name, settings, factors)
    assert found.same_grid
    assert found.different == NONE_DIFFERS
    assert found.is_equal


QUICK = ("ProstateX-0000_sag", "AIL", "20002", "20004", "20006")
"""Of each kind one, turned, permuted and oblique; ``make stress`` does the others."""


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=Path(path).name, marks=() if Path(path).name.startswith(QUICK) else pytest.mark.stress)
        for path in SCANS
    ],
)
def test_turned_and_cropped_scans(scans, path):
    with with_empty_border(read_header(scans / path)) as header:
        found = compare(header, path, {"orientation": "LPS", **CROP}, COARSER)
    assert found.same_grid
    assert found.different == NONE_DIFFERS
    assert min(found.target_shape) < min(found.shape), "the crop has cut something away"
