"""Steps by name: what a recipe takes for one, what is refused, and where the commands look for those of others."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Recipe, extensions
from monai_mriprep.recipe.extensions import ENTRY_POINTS, NamedSettings, register


@register
class Rolling(NamedSettings):
    """Stands for a step: a recipe only needs its name and its settings."""

    name = "rolling"
    times: int = 2
    share: float = 0.5
    box: tuple[int, int, int] = (1, 2, 3)


CIRCULAR: list = []
CIRCULAR.append(CIRCULAR)

# --- In a recipe ------------------------------------------------------------------------------------------------------


def test_a_step_is_a_name_or_a_mapping_of_its_settings():
    by_name = Recipe(steps=["rolling"])
    in_full = Recipe(steps=[{"step": "rolling", "times": 2, "share": 0.5, "box": [1, 2, 3]}])
    assert by_name == in_full == Recipe(steps=[Rolling()])
    assert by_name.as_dict()["steps"] == [{"step": "rolling", "times": 2, "share": 0.5, "box": [1, 2, 3]}]
    assert by_name.fingerprint() != Recipe(steps=[Rolling(times=3)]).fingerprint()


def test_settings_are_what_json_has_an_integer_is_a_float_and_a_list_a_tuple():
    step = Rolling.from_json({"step": "rolling", "share": 1, "box": [4, 5, 6]})
    assert step == Rolling(share=1.0, box=(4, 5, 6))
    assert isinstance(step.share, float)
    assert Rolling.from_json(step.to_json()) == step


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["tripling"], "no step is registered as 'tripling'. .*register_step.*; known are .*rolling"),
        (
            [{"step": "rolling", "times": "three"}],
            "step 'rolling' .*times: .* valid integer, found 'three'",
        ),
        ([{"step": "rolling", "times": True}], "times: .* valid integer, found True"),
        ([{"step": "rolling", "times": 2.5}], "times: .* valid integer.*, found 2.5"),
        ([{"step": "rolling", "box": [1, 2]}], "box"),
        ([{"step": "rolling", "tmies": 3}], "step 'rolling' .*: tmies is no setting of it; its settings are times, .*"),
        ([{"step": "rolling", "times": object()}], "settings of step 'rolling' are not plain values"),
        ([{"step": "rolling", "times": CIRCULAR}], "settings of step 'rolling' are not plain values"),
        ([{"step": "rolling", "times": "2", "share": "1"}], "times: .*; share: "),
        ([3], "3 is no step; give the name of one, or a mapping"),
        ([{"times": 3}], "is no step"),
        ([{"step": 3}], "is no step"),
        ([None], "None is no step"),
        ("rolling", "must be a list of names"),
        ({"step": "rolling"}, "must be a list of names"),
    ],
)
def test_what_is_no_step_is_refused(steps, reason):
    with pytest.raises(RecipeError, match=f"(?s)steps: .*{reason}"):
        Recipe(steps=steps)


def test_every_wrong_step_is_named_and_none_is_told_how_a_list_is_written():
    with pytest.raises(RecipeError) as refused:
        Recipe(steps=["tripling", "rolling", {"step": "rolling", "tmies": 3}])
    assert "no step is registered as 'tripling'" in str(refused.value)
    assert "tmies is no setting of it" in str(refused.value)
    assert "it must be a list" not in str(refused.value)


def test_a_setting_that_a_step_needs_is_asked_for():
    @register
    class Demanding(NamedSettings):
        name = "demanding"
        amount: float

    with pytest.raises(RecipeError, match=r"step 'demanding' .*: amount is missing; its settings are amount$"):
        Recipe(steps=["demanding"])


def test_an_instance_of_a_class_that_is_not_registered_is_refused():
    class Unknown(NamedSettings):
        name = "unknown"

    class Impostor(NamedSettings):
        name = "rolling"

    class Heir(Rolling):
        """A record would give it back as its parent."""

    with pytest.raises(RecipeError, match="no step is registered as 'unknown'"):
        Recipe(steps=[Unknown()])
    for other in (Impostor(), Heir()):
        with pytest.raises(RecipeError, match="is not of the class that is now registered as 'rolling'"):
            Recipe(steps=[other])


def test_the_kind_that_is_asked_for_is_the_kind_that_comes():
    class Other(NamedSettings):
        pass

    with pytest.raises(RecipeError, match="'rolling' is registered, but is no Other"):
        Other.from_json("rolling")


# --- Registration -----------------------------------------------------------------------------------------------------


def test_the_same_class_may_be_registered_again_and_a_taken_name_is_refused():
    assert register(Rolling) is Rolling

    class Other(NamedSettings):
        name = "rolling"

    with pytest.raises(RecipeError, match=r"'rolling' is registered already, tests\.recipe\.test_extensions\.Rolling"):
        register(Other)


def test_a_module_that_is_loaded_anew_registers_its_classes_anew():
    def define() -> type[NamedSettings]:
        class Again(NamedSettings):
            name = "again"

        return register(Again)

    first, second = define(), define()
    assert first is not second
    assert type(NamedSettings.from_json("again")) is second


def nameless() -> type[NamedSettings]:
    class Nameless(NamedSettings):
        pass

    return Nameless


def with_empty_name() -> type[NamedSettings]:
    class Empty(NamedSettings):
        name = ""

    return Empty


def with_name_as_setting() -> type[NamedSettings]:
    class Typed(NamedSettings):
        name: str = "typed"

    return Typed


def misplaced() -> type[NamedSettings]:
    class Misplaced(NamedSettings):
        name = "misplaced"
        follows = "resample"

    return Misplaced


def with_params() -> type[NamedSettings]:
    class Reserved(NamedSettings):
        name = "reserved"
        params: int = 1

    return Reserved


def with_step() -> type[NamedSettings]:
    class Reserved(NamedSettings):
        name = "reserved"
        step: int = 1

    return Reserved


@pytest.mark.filterwarnings("ignore:Field name:UserWarning")
@pytest.mark.parametrize(
    ("define", "reason"),
    [
        (nameless, "Nameless has no name: write `name = "),
        (with_empty_name, "Empty has no name"),
        (with_name_as_setting, "Typed has no name: .* without a type"),
        (misplaced, "'misplaced' follows 'resample'; it must be one of orientation, crop, resampling, "),
        (with_params, "'reserved' has a setting called 'params', a key that records need"),
        (with_step, "'reserved' has a setting called 'step'"),
    ],
)
def test_what_cannot_be_registered(define, reason):
    with pytest.raises(RecipeError, match=reason):
        register(define())


# --- Steps of installed packages --------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    """Stand in for installed packages: names and what they lead to."""

    def install(**entries: str) -> None:
        found = [EntryPoint(name, value, ENTRY_POINTS) for name, value in entries.items()]
        monkeypatch.setattr(
            extensions,
            "entry_points",
            lambda *, group, name=None: [e for e in found if e.group == group and name in (None, e.name)],
        )

    return install


class Packed(NamedSettings):
    name = "packed"
    times: int = 1


def test_a_step_of_an_installed_package_is_found(installed):
    installed(packed=f"{__name__}:Packed")
    assert Recipe(steps=[{"step": "packed", "times": 3}]).steps == (Packed(times=3),)


def test_a_step_that_is_not_known_is_told_the_installed_ones_though_nothing_has_loaded_them(installed):
    installed(unloaded="no_such_module_anywhere:Step")
    with pytest.raises(RecipeError, match=r"no step is registered as 'unlaoded'.*; known are .*unloaded"):
        Recipe(steps=["unlaoded"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            "no_such_module_anywhere:Step",
            r"'broken' = 'no_such_module_anywhere:Step' .* cannot be imported .*Module",
        ),
        (f"{__name__}:NoSuchClass", "cannot be imported .*NoSuchClass"),
        (f"{__name__}:Packed", "is no step of this name, but .*Packed"),
        (f"{__name__}:ENTRY_POINTS", "is no step of this name, but 'monai_mriprep.steps'"),
    ],
)
def test_an_installed_package_whose_step_is_none_is_named(installed, value, reason):
    installed(broken=value)
    with pytest.raises(RecipeError, match=reason):
        Recipe(steps=["broken"])


def test_the_entry_points_are_those_that_packages_declare(tmp_path):
    """With a distribution as an installer leaves it, found by a process that imports nothing of it."""
    (tmp_path / "my_steps.py").write_text(
        "from monai_mriprep.recipe.extensions import NamedSettings\n\n\n"
        "class Quiet(NamedSettings):\n    name = 'quiet'\n    by: float = 1.0\n"
    )
    facts = tmp_path / "my_steps-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: my-steps\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[monai_mriprep.steps]\nquiet = my_steps:Quiet\n")
    code = (
        "from monai_mriprep.recipe import Recipe; print(Recipe(steps=[{'step': 'quiet', 'by': 2}]).as_dict()['steps'])"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.stdout == "[{'step': 'quiet', 'by': 2.0}]\n"
