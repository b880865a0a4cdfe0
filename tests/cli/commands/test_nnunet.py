"""`nnunet`: what is handed to nnU-Net, and what is said before it starts."""

from __future__ import annotations

import signal
import sys
from types import SimpleNamespace

import pytest

from monai_mriprep.cli.app import app
from monai_mriprep.cli.signals import Stopped
from monai_mriprep.nnunet import commands
from tests.cli.shell import cli


@pytest.fixture
def nnunet(monkeypatch):
    """A stand-in for nnU-Net's entry points, which notes what it is called with."""
    calls = []

    def module(name):
        entries = ("preprocess_entry", "predict_entry_point", "predict_entry_point_modelfolder")
        return SimpleNamespace(**{entry: lambda e=entry: calls.append((name, e, *sys.argv)) for entry in entries})

    monkeypatch.setattr(commands, "import_module", module)
    monkeypatch.setattr(commands, "untested", lambda: "nnunetv2 9.9 is installed, and nnunetv2 2.8.1 is tested")
    for variable in commands.FOLDERS:
        monkeypatch.setenv(variable, "/somewhere")
    return calls


def run(*arguments: str) -> int:
    return app(["nnunet", *arguments], prog_name="monai-mriprep", standalone_mode=False)


def test_all_that_follows_is_handed_over_as_it_is(nnunet):
    before = sys.argv
    given = ["-d", "1", "-c", "3d_fullres", "-np", "4", "--verbose", "-h", "-chk", "--unknown=x", "--", "-1"]
    assert run("preprocess", *given) == 0
    module = "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints"
    assert nnunet == [(module, "preprocess_entry", "monai-mriprep nnunet preprocess", *given)]
    assert sys.argv is before


@pytest.mark.parametrize(
    ("option", "entry"), [("-d", "predict_entry_point"), ("-m", "predict_entry_point_modelfolder")]
)
def test_prediction_is_by_dataset_or_by_folder_of_the_model(nnunet, option, entry):
    run("predict", "-i", "in", "-o", "out", option, "x")
    assert nnunet[0][:2] == ("nnunetv2.inference.predict_from_raw_data", entry)


def test_an_untested_version_runs_alone_and_it_is_said(nnunet, capsys):
    run("preprocess", "-d", "1")
    assert capsys.readouterr().err == (
        "nnunet: nnunetv2 9.9 is installed, and nnunetv2 2.8.1 is tested; so this runs nnU-Net's own code alone\n"
    )


def test_help_is_ours_where_it_is_spelt_out(nnunet, capsys):
    run("predict", "-d", "1", "--help")
    assert "Usage: monai-mriprep nnunet [OPTIONS] {COMMAND} [ARGUMENTS]..." in capsys.readouterr().out
    assert nnunet == []


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (("preprocess", "-d", "1"), "nnUNet_raw"),
        (("preprocess", "-d", "1"), "nnUNet_preprocessed"),
        (("predict", "-d", "1"), "nnUNet_results"),
    ],
)
def test_a_folder_that_is_not_named_is_told_before_anything_is_loaded(nnunet, monkeypatch, command, variable):
    monkeypatch.delenv(variable)
    with pytest.raises(commands.NnunetError, match=f"{variable} is not set; .*: export {variable}=/path"):
        run(*command)
    run(*command, "-h")
    assert len(nnunet) == 1


def test_a_model_folder_needs_no_variable(nnunet, monkeypatch):
    for variable in commands.FOLDERS:
        monkeypatch.delenv(variable)
    run("predict", "-m", "model")
    assert len(nnunet) == 1


def test_another_command_is_refused():
    done = cli("nnunet", "train")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'train'; one of preprocess, predict is expected" in done.stderr


def test_without_nnunet_the_way_to_install_it_is_told(monkeypatch):
    def missing(package):
        raise commands.NnunetError(package)

    monkeypatch.setattr(commands, "untested", lambda: missing("install it"))
    with pytest.raises(commands.NnunetError, match="install it"):
        run("preprocess")


@pytest.mark.parametrize(
    ("command", "advice"), [("preprocess", "begins anew"), ("predict", "--continue_prediction goes on")]
)
def test_a_stop_says_how_to_go_on(nnunet, monkeypatch, command, advice):
    def stop(*_):
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(commands, "import_module", stop)
    with pytest.raises(Stopped) as stopped:
        run(command, "-d", "1")
    assert stopped.value.message.startswith("terminated; the same command")
    assert advice in stopped.value.message
