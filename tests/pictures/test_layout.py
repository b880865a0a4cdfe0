"""Panels stand beside one another, as large as they can be."""

from __future__ import annotations

import numpy as np
import pytest

from monai_mriprep.pictures.layout import MAX_SIZE, TITLE, lay_out
from monai_mriprep.pictures.planes import PLANES, View

SHAPES = {
    "head": (200, 220, 180),
    "axial stack": (70, 360, 360),
    "coronal stack": (360, 70, 360),
    "sagittal stack": (360, 360, 70),
    "one slice": (1, 300, 300),
    "needle": (1000, 3, 3),
    "tiny": (1e-3, 2e-3, 1e-3),
}


def view_of(extents) -> View:
    high = np.array(extents, float) / 2
    return View(np.eye(3)[:, ::-1], np.zeros(3), -high, high)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("extents", SHAPES.values(), ids=SHAPES)
def test_panels_are_apart_in_the_picture_to_one_scale(extents, count):
    layout = lay_out(view_of(extents), count)
    assert (layout.height, layout.width) <= MAX_SIZE
    assert layout.height <= MAX_SIZE[0]
    assert layout.width <= MAX_SIZE[1]
    assert [(panel.scan, panel.plane) for panel in layout.panels] == [(s, p) for s in range(count) for p in PLANES]
    free = np.ones((layout.height, layout.width), bool)
    for left, top in layout.titles:
        free[top : top + TITLE - 2, left : left + 4] = False
    for panel in layout.panels:
        place = np.s_[panel.top - 2 : panel.top + panel.height + 2, panel.left - 2 : panel.left + panel.width + 2]
        assert free[place].all()
        assert free[place].shape == (panel.height + 4, panel.width + 4)
        free[place] = False
    scale = [1 / np.linalg.norm(step) for panel in layout.panels for step in (panel.down, panel.right)]
    np.testing.assert_allclose(scale, scale[0])
    for panel in layout.panels:
        mm = [extents[axis] for axis in PLANES[panel.plane]]
        assert (panel.height, panel.width) == pytest.approx(np.maximum(1, np.multiply(mm, scale[0])), abs=0.51)


@pytest.mark.parametrize(
    ("extents", "beside"),
    [((200, 220, 180), False), ((70, 360, 360), True), ((360, 70, 360), True), ((360, 360, 70), True)],
)
def test_scans_are_beside_one_another_where_that_shows_them_larger(extents, beside):
    layout = lay_out(view_of(extents), 2)
    (left, top), (other_left, other_top) = layout.titles
    assert (other_left > left, other_top > top) == (beside, not beside)
    covered = sum(panel.height * panel.width for panel in layout.panels)
    assert covered > 0.5 * layout.height * layout.width, "little of the picture is empty"
