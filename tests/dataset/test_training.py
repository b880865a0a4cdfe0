"""The output folder of a training set, as its test set sees it: what is taken over, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from monai_mriprep import Recipe, preprocess
from monai_mriprep.dataset.training import training_of
from monai_mriprep.errors import OutputError, RecipeError, RecordError
from tests.runs import FOLDER_OF_0_1_0, write_cases

RECIPE = Recipe(order=1, target_spacing=(3.0, 0.9, 0.9))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """What was made of a training set."""
    root = tmp_path_factory.mktemp("made")
    preprocess(write_cases(root / "data", 1), root / "out", RECIPE, workers=0)
    return root / "out"


@pytest.fixture
def output(made, tmp_path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "out")


def change(output: Path, **changes: object) -> None:
    path = output / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_recipe_and_target_are_those_of_the_folder(made):
    found = training_of(made, None)
    assert (found.root, found.recipe, found.target) == (made, RECIPE, (3.0, 0.9, 0.9))
    assert found.axes == {"LPS": 1}
    assert training_of(None, RECIPE) is None


def test_without_records_its_orientations_are_not_known(output):
    (output / "manifest.jsonl").unlink()
    found = training_of(output, None)
    assert (found.recipe, found.axes) == (RECIPE, {})


def test_a_folder_of_0_1_0_is_one():
    assert training_of(FOLDER_OF_0_1_0 / "out", None).target == (3.06, 1.0, 0.925)


def test_a_recipe_beside_it_is_refused(made):
    with pytest.raises(RecipeError, match="leave out the recipe, or leave out `like`"):
        training_of(made, Recipe())


CHANGES = {
    "another recipe": ({"recipe": RECIPE.model_copy(update={"order": 3}).as_dict()}, "does not fit its fingerprint"),
    "another target": ({"target_spacing": [3, 1, 1]}, "does not fit its fingerprint"),
    "an interrupted redo": ({"redo": {"number": 1, "complete": False}}, "has not come to its end: run it again"),
    "an unknown step": ({"recipe": {"steps": ["nowhere"]}}, "no step is registered as 'nowhere'"),
    "a key of a newer version": ({"recipe": {"new": 1}}, "'new' is not a key of the recipe"),
}


@pytest.mark.parametrize(("changes", "problem"), CHANGES.values(), ids=CHANGES)
def test_a_folder_that_does_not_say_what_it_holds_is_refused(output, changes, problem):
    change(output, **changes)
    with pytest.raises(RecordError, match=problem) as caught:
        training_of(output, None)
    assert str(output / "run.json") in str(caught.value)


def test_what_is_no_output_folder_is_refused(output, tmp_path):
    with pytest.raises(RecordError, match=r"no run\.json there.*give the output folder"):
        training_of(tmp_path, None)
    for place in (tmp_path / "nowhere", output / "run.json"):
        with pytest.raises(OutputError, match="give the output folder of a run"):
            training_of(place, None)
    (output / "run.json").write_text("{")
    with pytest.raises(RecordError, match="cannot be read"):
        training_of(output, None)
