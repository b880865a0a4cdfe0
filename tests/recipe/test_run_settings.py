"""The section `run` of a YAML file: read beside the recipe, and no part of it."""

from __future__ import annotations

import re

import pytest

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Recipe, RunSettings, load_config, load_recipe


def test_the_section_is_read_beside_the_recipe(write):
    path = write("grid: nnunet\nrun:\n  dataset: data\n  output: out\n  workers: 2\n  max_memory: 12G\n")
    recipe, settings = load_config(path)
    assert recipe == Recipe(grid="nnunet") == load_recipe(path)
    assert settings == RunSettings(dataset="data", output="out", workers=2, max_memory=12 * 2**30)


def test_a_tilde_is_the_home_as_in_the_shell(write, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    recipe, settings = load_config(write("statistics: ~/t.csv\nrun: {dataset: ~/data, output: ./~out}\n"))
    assert recipe.statistics == "/home/me/t.csv"
    assert (settings.dataset, settings.output) == ("/home/me/data", "./~out")


@pytest.mark.parametrize("text", ["", "grid: nnunet"])
def test_without_it_nothing_is_set(write, text):
    assert load_config(write(text))[1] == RunSettings() == load_config()[1]


def test_it_is_no_part_of_the_recipe(write):
    recipe = load_recipe(write("run: {dataset: data, workers: 3}"))
    assert recipe == Recipe()
    assert "run" not in recipe.as_dict()
    assert recipe.fingerprint() == Recipe().fingerprint()
    with pytest.raises(RecipeError, match="'run' is not a key of the recipe"):
        Recipe(run={"workers": 2})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12G", 12 * 2**30),
        ("900M", 900 * 2**20),
        ("1.5G", 3 * 2**29),
        ("2GiB", 2**31),
        ("2048K", 2**21),
        ("2147483648", 2**31),
        ("null", None),
    ],
)
def test_memory_is_what_the_option_takes(write, text, expected):
    assert load_config(write(f"run: {{max_memory: {text}}}"))[1].max_memory == expected


def test_a_run_is_virtual_where_the_file_says_so(write):
    told = [load_config(write(f"run: {{virtual: {text}}}"))[1].virtual for text in ("true", "false", "null")]
    assert told == [True, False, None]
    with pytest.raises(RecipeError, match=r"run\.virtual"):
        load_config(write("run: {virtual: 1}"))


def test_the_limit_of_a_case_is_a_number_of_seconds(write):
    assert [load_config(write(f"run: {{case_timeout: {text}}}"))[1].case_timeout for text in ("20", "0.5")] == [20, 0.5]
    assert load_config(write("clip: true"))[1].case_timeout is None


def test_single_keys_are_set(write):
    recipe, settings = load_config(write("run: {workers: 2, output: out}"), ["run.workers=0", "clip=true"])
    assert (settings.workers, settings.output, recipe.clip) == (0, "out", True)


REFUSED = [
    ("run:\n  worker: 2", ["line 2", "'run.worker'", "did you mean run.workers?", "run.max_memory"]),
    ("run: {Data-Set: x}", ["did you mean run.dataset?"]),
    ("workers: 2", ["line 1", "'workers'", "did you mean run.workers?"]),
    ("rum: {workers: 2}", ["'rum'", "is not a key"]),
    ("run: {workers: -1}", ["run.workers", "an integer from 0", "-1"]),
    ("run: {workers: true}", ["run.workers", "True"]),
    ("run: {workers: '2'}", ["run.workers", "remove the quotes around 2"]),
    ("run:\n  dataset: ''", ["line 2", "run.dataset", "a path"]),
    ("run: {output: 3}", ["run.output", "a path"]),
    ("run: {max_memory: much}", ["run.max_memory", "'much'", "12G or 900M"]),
    ("run:\n  max_memory: 2", ["line 2", "run.max_memory: 2 would be 2 bytes: did you mean 2G?", "12G or 900M"]),
    ("run: {max_memory: '900'}", ["'900' would be 900 bytes: did you mean 900G?"]),
    ("run: {max_memory: 8K}", ["run.max_memory: '8K' is less than any case needs", "12G or 900M"]),
    ("run: {max_memory: -1}", ["run.max_memory", "12G or 900M"]),
    ("run: {max_memory: true}", ["run.max_memory", "True"]),
    ("run: {max_memory: 1e400G}", ["run.max_memory"]),
    ("run: {case_timeout: 0}", ["run.case_timeout", "a positive number"]),
    ("run: {case_timeout: .inf}", ["run.case_timeout", "a positive number"]),
    ("run: 3", ["line 1", "run", "a section with the keys dataset, output, like, exclude, workers, max_memory", "3"]),
    ("run:", ["line 1", "run", "a section with the keys"]),
    ("run: {workers: 1, workers: 2}", ["'run.workers' is set twice"]),
    ("run: {workers: {a: 1}}", ["run.workers", "an integer from 0"]),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
@pytest.mark.parametrize("read", [load_config, load_recipe])
def test_what_is_wrong_is_said_with_its_place(write, text, words, read):
    path = write(text)
    with pytest.raises(RecipeError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert [word for word in words if word not in message] == []
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "words"),
    [("run.worker=2", "did you mean run.workers?"), ("run=2", "a section with"), ("run.workers.x=1", "run.workers")],
)
def test_a_wrong_setting_is_refused(override, words):
    with pytest.raises(RecipeError, match=rf"^--set {re.escape(override)}: .*{re.escape(words)}"):
        load_config(overrides=[override])
