"""The section `run` of a YAML file: a file is a whole run, and the command line wins over it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from monai_mriprep.errors import RecipeError
from monai_mriprep.recipe import Recipe, RunSettings, commented_yaml, load_config, load_recipe
from tests.runs import write_cases


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(text)
        return path

    return write


# --- Reading ----------------------------------------------------------------------------------------------------------


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
    [("12G", 12 * 2**30), ("900M", 900 * 2**20), ("1.5K", 1536), ("2GiB", 2**31), ("1000", 1000), ("null", None)],
)
def test_memory_is_what_the_option_takes(write, text, expected):
    assert load_config(write(f"run: {{max_memory: {text}}}"))[1].max_memory == expected


def test_the_printed_recipe_shows_the_section_ready_to_be_uncommented(write):
    text = commented_yaml(Recipe(clip=True))
    assert load_config(write(text)) == (Recipe(clip=True), RunSettings())
    head, section = text.split("# run:\n")
    uncommented = head + "run:\n" + section.replace("# ", "", 1).replace("\n# ", "\n")
    filled = uncommented.replace("workers: null", "workers: 3").replace("max_memory: null", "max_memory: 1G")
    assert load_config(write(filled)) == (Recipe(clip=True), RunSettings(workers=3, max_memory=2**30))


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
    ("run: {max_memory: -1}", ["run.max_memory", "12G or 900M"]),
    ("run: {max_memory: true}", ["run.max_memory", "True"]),
    ("run: {max_memory: 1e400G}", ["run.max_memory"]),
    ("run: 3", ["line 1", "run", "a section with the keys dataset, output, workers, max_memory", "3"]),
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


# --- The command ------------------------------------------------------------------------------------------------------


def cli(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai_mriprep", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=folder)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A dataset of one case, and the file of a run."""
    write_cases(tmp_path / "data", 1)
    (tmp_path / "job.yaml").write_text("clip: true\nrun: {dataset: data, output: out, workers: 0, max_memory: 2G}\n")
    return tmp_path


def test_a_file_is_a_whole_run(folder):
    done = cli(folder, "run", "--config", "job.yaml")
    assert done.returncode == 0, done.stderr
    assert "1 preprocessed" in done.stdout
    assert (folder / "out/imagesTr/case_0.npz").exists()


def test_the_command_line_wins(folder):
    done = cli(folder, "run", "data", "other", "--config", "job.yaml", "--max-memory", "1K", "--set", "run.output=x")
    assert done.returncode == 1
    assert "case_0: FAILED" in done.stderr  # no case fits into 1 KiB
    assert "other" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["data", "job.yaml", "other"]


@pytest.mark.parametrize("command", ["check", "stats"])
def test_other_commands_take_its_dataset(folder, command):
    done = cli(folder, command, "--config", "job.yaml")
    assert done.returncode == 0, done.stderr
    assert "case_0" in done.stdout or "median_spacing" in done.stdout
    assert cli(folder, command, "absent", "--config", "job.yaml").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["run"], ["DATASET_ROOT", "run.dataset"]),
        (["run", "data"], ["OUTPUT_ROOT", "run.output"]),
        (["run", "--config", "part.yaml"], ["OUTPUT_ROOT", "run.output"]),
        (["check"], ["DATASET_ROOT", "run.dataset"]),
        (["stats"], ["DATASET_ROOT", "run.dataset"]),
    ],
)
def test_what_neither_gives_is_missing(folder, arguments, missing):
    (folder / "part.yaml").write_text("run: {dataset: data}")
    done = cli(folder, *arguments)
    assert done.returncode == 2
    assert "Missing argument" in done.stderr
    assert [word for word in missing if word not in done.stderr] == []
    assert not (folder / "out").exists()
