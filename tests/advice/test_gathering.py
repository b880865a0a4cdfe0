"""What is gathered of many cases takes little memory, and is what all of them say."""

from __future__ import annotations

import tracemalloc

import pytest

from monai_mriprep.advice.case import CaseKept, Found, Left, Size
from monai_mriprep.advice.gathering import Gathering
from monai_mriprep.advice.spacings import CandidateSpacing

CANDIDATES = [CandidateSpacing((1.0, 1.0, edge), (f"{edge}",)) for edge in (1.0, 2.0)]


def kept(case: str, dice: float, lost: int = 0, classes: int = 1, depth: int = 4) -> CaseKept:
    """A case of lesions of 2 mm3, of which the second candidate loses some."""
    ends = (2.0, 2.0 * lost) if lost else (float("inf"), 0.0)
    numbers = range(1, classes + 1)
    return CaseKept(
        case,
        read_voxels=100,
        sizes=(Size((depth, 5, 6), 500, 50), Size((depth, 5, 3), 300, 30)),
        found={number: Found(3, 2.0) for number in numbers},
        left=({n: Left(1.0, 0, float("inf"), 0.0) for n in numbers}, {n: Left(dice, lost, *ends) for n in numbers}),
    )


def test_means_sums_and_ends():
    gathering = Gathering(CANDIDATES, workers=2)
    lossy, of_two = kept("b", 0.9, lost=2), kept("d", 0.7, lost=1, classes=2)
    for one in (kept("a", 0.5), lossy, CaseKept("c", "is damaged"), of_two, kept("e", 0.5, depth=40)):
        gathering.add(one)
    default, coarse = gathering.told()
    assert (default.default, default.front, coarse.front) == (True, True, True)
    assert coarse.dice == {1: pytest.approx(0.65), 2: 0.7}
    assert (coarse.worst[1].dice, coarse.worst[1].case) == (0.5, "a")  # the first of equals
    assert coarse.lost[1].model_dump() == {"lesions": 3, "smallest_mm3": 2.0, "largest_mm3": 4.0}
    assert (coarse.voxels, coarse.shape) == (0.5, (4.0, 5.0, 3.0))
    assert (coarse.cost.voxels, coarse.cost.output_bytes, coarse.cost.memory_bytes) == (780, 120, 300)
    assert {number: one.lesions for number, one in gathering.labels.items()} == {1: 12, 2: 3}
    assert [one.case for one in gathering.failed] == ["c"]


def test_a_case_takes_few_bytes_whatever_its_classes():
    gathering = Gathering(CANDIDATES, workers=1)
    case = kept("a", 0.5, classes=50)
    gathering.add(case)
    tracemalloc.start()
    for _ in range(40):
        gathering.add(case)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown / 40 < 64 * len(CANDIDATES) + 100
