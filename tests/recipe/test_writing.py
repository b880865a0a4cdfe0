"""Recipes as YAML: the shipped files are what is printed, and what is printed is read back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.recipe import (
    Normalization,
    Recipe,
    RunSettings,
    commented_yaml,
    load_config,
    load_recipe,
    presets,
)

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_the_yaml_of_a_preset_is_its_recipe_and_names_every_key(preset):
    path = CONFIGS / f"{preset}.yaml"
    assert load_recipe(path) == Recipe(preset=preset)
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == Recipe(preset=preset).as_dict()


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_the_yaml_of_a_preset_is_what_the_command_prints(preset, tmp_path):
    """Should it differ: the file's third line makes it anew."""
    text = (CONFIGS / f"{preset}.yaml").read_text(encoding="utf-8")
    command = next(line.partition("Made by    ")[2].split(" > ")[0] for line in text.splitlines() if "Made by" in line)
    code = (
        "import sys\nfrom monai_mriprep.cli import main\n"
        f"sys.argv = {command.split()!r}\n"
        "try:\n    main()\n"
        "finally:\n    print({'torch', 'monai', 'numpy', 'itk', 'pandas', 'scipy'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == text == commented_yaml(Recipe(preset=preset))
    assert done.stderr.strip() == "set()"
    assert max(map(len, text.splitlines())) <= 120


@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "preset": st.sampled_from(sorted(presets.PRESETS)),
            "pattern": st.sampled_from(
                ["(?P<case>a)", '^\'(?P<case>\\d+)#: "x" é\n*', "(?P<case>null)", "(?P<case>1) - "]
            ),
            "statistics": st.text(min_size=1, max_size=20).filter(lambda text: text.strip() and "\0" not in text),
            "statistics_row": st.integers(0, 10**9),
            "target_spacing": st.tuples(*[st.floats(1e-300, 1e300)] * 3),
            "order": st.one_of(st.integers(0, 3), st.tuples(*[st.integers(0, 3)] * 3)),
            "clip": st.booleans(),
            "label_map": st.dictionaries(st.integers(-(10**9), -1) | st.integers(1, 10**9), st.integers(0, 32767)),
            "normalization": st.fixed_dictionaries({}, optional={"epsilon": st.floats(0, 1e300)}),
        },
    )
)
def test_any_recipe_printed_is_read_back(values, tmp_path_factory):
    if values.get("preset") == "nnunet":  # it has neither
        values = {key: value for key, value in values.items() if key not in ("normalization", "order")}
    path = tmp_path_factory.getbasetemp() / "printed.yaml"
    recipe = Recipe(**values)
    path.write_text(commented_yaml(recipe), encoding="utf-8")
    assert load_recipe(path) == recipe


@pytest.mark.parametrize("key", [*Recipe.model_fields, *Normalization.model_fields])
def test_default_yaml_comments_every_key(key):
    lines = (CONFIGS / "default.yaml").read_text(encoding="utf-8").splitlines()
    (number,) = (n for n, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
    assert lines[number - 1].strip().startswith("# Allowed: ")
    assert lines[number - 2].strip().startswith("# ")


def test_panther_yaml_reverses_the_table_and_nothing_else():
    assert load_recipe(CONFIGS / "panther.yaml") == Recipe(axis_order="xyz")


def test_the_printed_recipe_shows_the_section_ready_to_be_uncommented(write):
    text = commented_yaml(Recipe(clip=True))
    assert load_config(write(text)) == (Recipe(clip=True), RunSettings())
    head, section = text.split("# run:\n")
    uncommented = head + "run:\n" + section.replace("# ", "", 1).replace("\n# ", "\n")
    filled = uncommented.replace("workers: null", "workers: 3").replace("max_memory: null", "max_memory: 1G")
    assert load_config(write(filled)) == (Recipe(clip=True), RunSettings(workers=3, max_memory=2**30))
