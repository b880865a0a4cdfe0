"""What a volume was made by."""

from __future__ import annotations

from monai_mriprep.recipe import Recipe, fingerprint
from monai_mriprep.recipe.fingerprint import fingerprint_of

TARGET = (3.0, 1.0, 1.0)


def test_recipe_target_and_algorithm_count(monkeypatch):
    found = {fingerprint_of(Recipe(), TARGET), fingerprint_of(Recipe(order=1), TARGET)}
    found.add(fingerprint_of(Recipe(), (3.0, 1.0, 0.9)))
    monkeypatch.setattr(fingerprint, "ALGORITHM_VERSION", 2)
    found.add(fingerprint_of(Recipe(), TARGET))
    assert [len(digits) for digits in found] == [16] * 4
