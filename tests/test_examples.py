"""The training example: what it feeds the network. That it learns, tests/stress/test_training.py asserts."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
import typer
from monai.bundle.config_parser import ConfigParser
from monai.data.utils import list_data_collate

from monai_mriprep import preprocess
from monai_mriprep.cli.app import app
from monai_mriprep.demo.phantoms import make_demo_dataset

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "train_unet.py"
BUNDLE = ROOT / "configs" / "bundle" / "configs" / "inference.yaml"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_unet", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_both_modes_give_the_same_batches_bit_for_bit(example, tmp_path):
    make_demo_dataset(tmp_path / "training")
    offline, on_the_fly = (example.training_set(mode, tmp_path / "training") for mode in ("offline", "on-the-fly"))
    assert len(offline) == len(on_the_fly) == 6
    for first in (0, 2, 4):
        batches = [list_data_collate([data[first], data[first + 1]]) for data in (offline, on_the_fly)]
        assert example.digest(batches[0]) == example.digest(batches[1])
        for key in example.KEYS:
            assert batches[0][key].shape == (2, 1, *example.PATCH)
            assert torch.equal(batches[0][key].as_tensor(), batches[1][key].as_tensor())
            assert torch.equal(batches[0][key].affine, batches[1][key].affine)
    assert batches[0]["label"].any()


def test_dice(example):
    found = torch.tensor([[[[0, 1, 1, 2]]]])
    assert example.dice(found, torch.tensor([[[[0, 1, 2, 2]]]])) == pytest.approx([2 / 3, 2 / 3, 1.0])


@pytest.mark.filterwarnings("ignore:.*parsing a config file can run arbitrary code")
def test_the_bundle_takes_its_weights(example):
    parser = ConfigParser()
    parser.read_config(BUNDLE)
    parser.get_parsed_content("network_def").load_state_dict(example.make_network().state_dict())


# --- On a cluster -----------------------------------------------------------------------------------------------------

CLUSTER = ROOT / "examples" / "cluster"
SNAKEFILE, DOCKERFILE = (CLUSTER / name for name in ("Snakefile", "Dockerfile"))
VALUES = {"{DATASET:q}": "DATA", "{OUTPUT:q}": "OUT", "{wildcards.shard}": "3", "{wildcards.shards}": "8"}
VALUES |= {"{threads}": "4", "{resources.options}": "--take-over", "{GO_ON}": ""}


def shell_commands() -> list[list[str]]:
    """The words of each command of the Snakefile, with values in it."""
    found = []
    for block in re.findall(r'shell:\n((?:\s+".*"\n)+)', SNAKEFILE.read_text()):
        text = "".join(re.findall(r'"(.*)"', block))
        for name, value in VALUES.items():
            text = text.replace(name, value)
        found.append(shlex.split(text))
    return found


@pytest.mark.parametrize("words", shell_commands(), ids=lambda words: words[1])
def test_the_commands_of_the_snakefile_are_those_of_the_command_line(words):
    program, name, *arguments = words
    assert program == "monai-mriprep"
    command = typer.main.get_command(app).commands[name]
    with command.make_context(name, arguments) as context:
        given = {key: value for key, value in context.params.items() if value}
    assert given.get("output_root") == Path("OUT")
    assert name != "run" or (given["shard"], given["workers"], given["take_over"]) == ("3/8", 4, True)


def test_the_snakefile_plans_then_shares_then_merges():
    assert [words[1] for words in shell_commands()] == ["merge", "plan", "run"]


def instructions() -> dict[str, str]:
    """Of the Dockerfile, each of which is there once."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split(" ", 1) for line in "\n".join(lines).replace("\\\n", "").splitlines())


def test_the_image_is_made_of_what_the_tests_run_with():
    found, project = instructions(), (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    installs = [words for step in found["RUN"].split("&&") if (words := shlex.split(step))[:2] == ["pip", "install"]]
    assert len(installs) == 2
    assert all(words[words.index("-c") + 1] == "/src/constraints.txt" for words in installs)
    assert (ROOT / "constraints.txt").is_file()
    (extras,) = (re.findall(r"\w+", word.partition("[")[2]) for words in installs for word in words if "[" in word)
    assert [extra for extra in extras if f"\n{extra} = [" not in project] == []
    (entry,) = json.loads(found["ENTRYPOINT"])
    assert f'[project.scripts]\n{entry} = "' in project


def test_the_page_of_the_cluster_examples_names_each():
    text = (CLUSTER / "README.md").read_text()
    assert [path.name for path in CLUSTER.iterdir() if path.is_file() and path.name not in text] == ["README.md"]


def test_the_example_of_dask_jobqueue_calls_what_there_is():
    """dask-jobqueue is not installed here, so it is read and not run."""
    tree = ast.parse((ROOT / "examples/cluster/dask_jobqueue_slurm.py").read_text(encoding="utf-8"))
    calls = {ast.unparse(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    call = calls["preprocess"]
    bound = inspect.signature(preprocess).bind(*call.args, **{word.arg: word.value for word in call.keywords})
    assert sorted(bound.arguments) == ["client", "dataset_root", "output_root"]
    (extra,) = (word for word in calls["SLURMCluster"].keywords if word.arg == "worker_extra_args")
    assert ast.unparse(extra.value) == "['--resources', f'memory={for_a_case}']"
