"""A case is its channels and its label."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from monai_mriprep.measures.body import find_body
from monai_mriprep.measures.case import measure_case
from monai_mriprep.measures.image import measure_image
from monai_mriprep.measures.label import measure_label
from monai_mriprep.measures.model import CaseMeasures
from tests.measures.bodies import grid_of, patient

IMAGE, LABEL = patient(0)
GRID = grid_of()


def test_it_is_what_its_volumes_are():
    found = measure_case([IMAGE, 2 * IMAGE], GRID, LABEL)
    assert found.image == (measure_image(IMAGE, GRID), measure_image(2 * IMAGE, GRID))
    assert found.label == measure_label(LABEL, GRID, [find_body(IMAGE, GRID)])


def test_a_large_case_is_what_its_volumes_are():
    image, label = patient(1, (60, 100, 90))
    grid = grid_of(image.shape)
    found = measure_case([image], grid, label)
    assert found.image == (measure_image(image, grid),)
    assert found.label == measure_label(label, grid, [find_body(image, grid)])
    sparse = np.zeros_like(image)
    sparse[1, 1, 1] = 9
    assert measure_case([sparse], grid).image == (measure_image(sparse, grid),)


def test_a_test_case_has_no_label():
    assert measure_case([IMAGE], GRID).label is None


def test_channels_keep_their_places():
    assert measure_case([IMAGE, np.zeros_like(IMAGE)], GRID, LABEL).image == ()


def test_it_survives_json():
    found = measure_case([IMAGE], GRID, LABEL)
    assert CaseMeasures.model_validate(json.loads(found.model_dump_json())) == found


def test_no_torch_is_loaded():
    script = "import sys, monai_mriprep.measures.case; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
