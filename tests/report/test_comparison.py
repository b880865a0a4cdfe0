"""How the difference of two output folders reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_mriprep.report.comparison import comparison_text
from monai_mriprep.verify.comparison import CaseDifference, ClassVolume, Comparison, Volume
from monai_mriprep.volume.geometry import Grid

GRIDS = Grid((4, 8, 9), np.diag([3.0, 1, 1, 1])), Grid((7, 8, 9), np.diag([1.5, 1, 1, 1]))
CLASSES = (ClassVolume(1, (Volume(50, 150.0, 40, 120.0), Volume(52, 156.0, 79, 118.5))),)

DIFFERENT = Comparison(
    roots=(Path("out_a"), Path("out_b")),
    cases=(31, 3),
    recipe=("order: 3 -> 1",),
    target_spacing=((3, 1, 1), None),
    versions={"numpy": ("2.0.0", None)},
    lost=tuple(f"l{number}" for number in range(30)),
    added=("new\n",),
    changed=(
        CaseDifference("a", ("done", "done"), ("image",), ("image", "label"), "size", GRIDS, CLASSES),
        CaseDifference("b", ("failed", "done")),
    ),
    same=(),
    classes=(*CLASSES, ClassVolume(2, (Volume(3, None), Volume(3, None, 2, 6.0)))),
    unreadable=("out_b/run.json: is missing; recipe and target cannot be compared",),
)


def test_all_that_differs():
    text = list(comparison_text(DIFFERENT))
    assert text[:13] == [
        "A: out_a (31 cases)",
        "B: out_b (3 cases)",
        "unreadable: out_b/run.json: is missing; recipe and target cannot be compared",
        "recipe: order: 3 -> 1",
        "target spacing: 3 1 1 -> ? mm (z y x)",
        "version: numpy 2.0.0 -> ?",
        "",
        "class  A mm3  B mm3  change  A source mm3  B source mm3",
        "    1  120.0  118.5  -1.25%         150.0         156.0",
        "    2    0.0    6.0     new             ?             ?",
        "",
        "only in A: l0",
        "only in A: l1",
    ]
    assert text[31:] == [
        "only in A: 10 more, which --json names",
        r"only in B: 'new\n'",
        "changed: a",
        "  other sources: image, label",
        "  other arrays: image",
        "  size 4x8x9 of 3 1 1 mm -> 7x8x9 of 1.5 1 1 mm",
        "  class 1: 120.0 -> 118.5 mm3 (-1.25%)",
        "  class 1 of the sources: 50 -> 52 voxels",
        "changed: b",
        "  failed -> done",
        "0 equal, 2 changed, 30 only in A, 1 only in B",
        "these are the records: no voxel was read (`verify` compares files with records)",
    ]
    assert max(map(len, text)) <= 80
