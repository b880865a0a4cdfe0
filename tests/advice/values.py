"""An advice, as if a dataset had been read."""

from __future__ import annotations

from monai_mriprep.advice.model import Advice, Candidate, Cost, Lost, Structure, Uncompared, Worst

COST = Cost(voxels=1000, output_bytes=3700, memory_bytes=9000, seconds=6.0)


def candidate(
    name: str, voxels: float, dice: dict[int, float], front: bool = False, lost: int = 0, **other
) -> Candidate:
    losses = {"smallest_mm3": 2.0, "largest_mm3": 6.5} if lost else {}
    facts = {
        "spacing": (3.0, 0.8 / voxels, 0.8),
        "names": (name,),
        "dice": dice,
        "mean_dice": sum(dice.values()) / len(dice),
        "worst": {number: Worst(dice=value / 2, case="case_1") for number, value in dice.items()},
        "lost": {number: Lost(lesions=lost, **losses) for number in dice},
        "voxels": voxels,
        "cost": COST,
        "shape": (30.0, 200.0 * voxels, 200.5),
        "default": name == "default",
        "front": front,
    }
    return Candidate(**{**facts, **other})


def advice(classes: int = 2, **other) -> Advice:
    """Three candidates: one that is better, the default, and one that is cheaper and loses two lesions."""
    numbers = range(1, classes + 1)
    facts = {
        "dataset": "/data/scans",
        "target_spacing": (3.0, 0.8, 0.8),
        "derivation": "target spacing (3, 0.8, 0.8) mm (z y x): set by the recipe",
        "cases": 4,
        "labels": {number: Structure(cases=4, lesions=5, smallest_mm3=2.0) for number in numbers},
        "candidates": (
            candidate("finest of each axis", 2.0, {number: 0.99 - number / 1000 for number in numbers}, front=True),
            candidate("default", 1.0, {number: 0.95 - number / 1000 for number in numbers}, front=True),
            candidate("in-plane x1.5", 0.5, {number: 0.9 - number / 1000 for number in numbers}, lost=1),
        ),
        "empty": ("nothing_1",),
        "failed": (Uncompared(case="b", problem="b.mha: is damaged"),),
        "warnings": ("the images are stored in different orientations",),
    }
    return Advice(**{**facts, **other})
