"""Volumes of classes: in the grid that the label was stored on."""

from __future__ import annotations

import pytest

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.measures.model import CaseMeasures, LabelMeasures
from tests.measures.bodies import grid_of

GRID, FINER = grid_of((4, 4, 4), (3, 1, 1)), grid_of((8, 8, 8), (1.5, 0.5, 0.5))
COUNTS = {0: 40, 1: 10, -2: 5, 3: 0}
MEASURED = CaseMeasures(
    image=(), label=LabelMeasures(components={1: 1}, touches=(), outside=0.0, centre=(0, 0, 0.0), voxel=0.375)
)


@pytest.mark.parametrize(
    ("known", "volume"),
    [({}, 30.0), ({"label_grid": FINER}, 3.75), ({"measures": MEASURED}, 3.75)],
    ids=["of the image", "of the label", "as measured"],
)
def test_volumes_are_those_of_the_labels_grid(known, volume):
    case = CohortCase("a", GRID, before=COUNTS, after={1: 2}, target_grid=GRID, **known)
    assert case.classes == {1: volume}
    assert case.classes_kept == {1: (volume, 6.0)}


def test_what_is_not_known_has_no_volume():
    assert CohortCase("a", before=COUNTS).classes is None
    assert CohortCase("a", GRID).classes is None
    assert CohortCase("a", GRID, before=COUNTS, after=COUNTS).classes_kept is None
    assert CohortCase("a", GRID, before={0: 9}).classes == {}
