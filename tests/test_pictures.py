"""The picture that a run leaves of a case shows its label where nibabel puts it, before and after."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.pictures.layout import lay_out
from monai_mriprep.pictures.place import view_of
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.process import process_case
from monai_mriprep.store.pictures import read_picture
from monai_mriprep.volume.axes import turn_to_codes
from tests.pictures.scans import centre_of_ball, expected_pixel, grid_of, outlined, scan_of
from tests.runs import case_of, job_of

GRIDS = {
    "oblique": grid_of(axes="SPL", degrees=17),
    "permuted": grid_of(axes="RSP"),
    "thick": grid_of((10, 40, 44), (7.5, 1.5, 1.4)),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_of_a_run_that_turns_crops_and_resamples(grid, tmp_path):
    """Each voxel becomes three along each axis, so that nearest neighbour moves no centre."""
    scan, centre = scan_of(grid), centre_of_ball(grid)
    for folder, voxels in (("ImagesTr", scan.voxels), ("LabelsTr", scan.label)):
        (tmp_path / folder).mkdir()
        write_metaimage(tmp_path / folder / "a.mha", voxels, grid.spacing, grid.origin, grid.direction)
    turned = turn_to_codes(grid, "RAS").grid(grid)
    job = job_of(tmp_path / "out", tuple(s / 3 for s in turned.spacing))
    result = process_case(replace(job, recipe=Recipe(orientation="RAS", crop="nonzero")), case_of(tmp_path, "a"))
    assert (result.status, result.warnings) == ("done", ())
    picture = np.asarray(Image.open(io.BytesIO(read_picture(tmp_path / "out", "a"))))
    layout = lay_out(view_of([scan]), 2)
    assert picture.shape == (layout.height, layout.width, 3)
    for panel in layout.panels:
        found = outlined(picture, panel).mean(axis=0)
        np.testing.assert_allclose(found, expected_pixel(grid, panel, centre), atol=1.5)
