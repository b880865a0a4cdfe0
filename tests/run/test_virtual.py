"""When a run may write records alone."""

from __future__ import annotations

import pytest

from monai_mriprep import Step, register_step
from monai_mriprep.errors import OutputError, RecipeError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.cases import Job
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.virtual import refuse_volumes, refuse_wholes
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.store import open_store
from tests.runs import write_cases

TARGET = (3.0, 1.0, 1.0)


@register_step
class Whole(Step):
    """A step from outside that changes values, and makes no parts."""

    name = "whole"

    def apply(self, volume, role, grid, params):
        return volume


OURS = "filled_crop, label_outside, exact_normalization, half_pixel_resampling"
WHOLES = {
    "one key": (Recipe(clip=True), "resampling", "clip"),
    "a preset": (Recipe(preset="nnunet"), OURS, "crop, grid, clip, normalization, label_outside"),
    "a step from outside": (Recipe(steps=[{"step": "whole"}]), "whole", "steps"),
}


@pytest.mark.parametrize(("recipe", "step", "keys"), WHOLES.values(), ids=WHOLES)
def test_a_step_that_needs_whole_volumes_is_named_with_its_keys(tmp_path, recipe, step, keys):
    dataset = write_cases(tmp_path / "data", 1)
    with pytest.raises(RecipeError, match=rf"--virtual: what the recipe says by {keys} \({step}\) needs whole volumes"):
        plan_run(dataset, tmp_path / "out", recipe, virtual=True)
    assert "--virtual" in check_dataset(dataset, recipe, virtual=True).fatal[0]
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_leads_to_no_such_step_is_taken_and_so_is_any_with_volumes(tmp_path):
    refuse_wholes(Job(Recipe(crop="nonzero", orientation="RAS", grid="nnunet"), TARGET, tmp_path, virtual=True))
    refuse_wholes(Job(Recipe(preset="nnunet"), TARGET, tmp_path))


def test_volumes_that_are_there_are_refused_whatever_the_records_say(tmp_path):
    job = Job(Recipe(), TARGET, tmp_path, virtual=True)
    (tmp_path / "imagesTs").mkdir()
    with open_store(tmp_path) as store:
        refuse_volumes(job, store)
    (tmp_path / "imagesTs" / "a.npz").touch()
    with (
        open_store(tmp_path) as store,
        pytest.raises(OutputError, match=r"there are volumes, .* go on without --virtual"),
    ):
        refuse_volumes(job, store)
    (tmp_path / "imagesTs" / "a.npz").unlink()
    there = {"imagesTs/a.npz": Origin("memory://a", "1", 5, 0)}
    with open_store(tmp_path, elsewhere=there) as store, pytest.raises(OutputError, match="there are volumes"):
        refuse_volumes(job, store)
