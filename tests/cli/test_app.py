"""Which commands there are, how `--help` shows them, and what a shell completes."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

import monai_mriprep.cli.commands
from monai_mriprep.cli.app import GROUPS, app
from tests.cli.shell import cli
from tests.test_docs import ROOT

NAMES = [name for group in GROUPS.values() for name in group]


def test_every_module_of_the_commands_is_listed_once():
    (folder,) = monai_mriprep.cli.commands.__path__
    assert sorted(NAMES) == sorted(path.stem for path in Path(folder).glob("[!_]*.py"))


def test_help_shows_the_groups_and_loads_no_command(monkeypatch, capsys):
    modules = [f"monai_mriprep.cli.commands.{name}" for name in NAMES]
    for module in modules:
        monkeypatch.delitem(sys.modules, module, raising=False)
    app(["--help"], prog_name="monai-mriprep", standalone_mode=False)
    shown = capsys.readouterr().out
    assert [title for title in GROUPS if f"\n{title}:\n" not in shown] == []
    lines = {line.strip() for line in shown.splitlines()}
    assert {
        f"{name.ljust(max(map(len, NAMES)))}  {text}" for group in GROUPS.values() for name, text in group.items()
    } <= lines
    assert sys.modules.keys().isdisjoint(modules)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_explains_itself(name, capsys):
    app([name, "-h"], prog_name="monai-mriprep", standalone_mode=False)
    shown = " ".join(capsys.readouterr().out.split())
    said = import_module(f"monai_mriprep.cli.commands.{name}")
    assert f"Usage: monai-mriprep {name} " in shown
    assert getattr(said, name).__doc__.split("\n")[0] in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cehck"], "No such command 'cehck'. Did you mean 'check'?"),
        (["check", "--voxel"], "No such option: --voxel. Did you mean '--voxels'?"),
        (["run", "--worker", "2"], "No such option: --worker. Did you mean '--workers'?"),
        (["--versoin"], "No such option: --versoin. Did you mean '--version'?"),
        (["run", "--colour"], "No such option: --colour\n"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(arguments, said):
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.fixture
def completed(monkeypatch, capsys):
    def complete(words: str) -> list[str]:
        monkeypatch.setenv("_MONAI_MRIPREP_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        with pytest.raises(SystemExit):
            app(prog_name="monai-mriprep")
        return capsys.readouterr().out.split()

    return complete


def test_a_shell_completes_commands_and_options(completed):
    assert completed("monai-mriprep re") == ["restore", "recipe", "report", "reproduce", "repair"]
    assert completed("monai-mriprep run --max") == ["--max-memory"]
    assert completed("monai-mriprep nonsense") == []


def test_the_shell_is_told_to_ask_for_completions(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # the shell is named
    monkeypatch.setenv("HOME", str(tmp_path))
    for option in ("--show-completion", "--install-completion"):
        with pytest.raises(SystemExit) as end:
            app([option, "bash"], prog_name="monai-mriprep")
        assert not end.value.code
    script = capsys.readouterr().out
    assert "complete -o default -F _monai_mriprep_completion monai-mriprep" in script
    assert (tmp_path / ".bash_completions/monai-mriprep.sh").read_text() in script
    assert "monai-mriprep.sh" in (tmp_path / ".bashrc").read_text()


def test_the_page_on_the_commands_lists_their_options():
    rows = re.findall(r"^\| `(\w+)[^|]*\| (.*) \|$", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)
    listed = {name: set(re.findall(r"--[a-z-]+", options)) for name, options in rows if options.startswith("`--")}
    commands = typer.main.get_command(app).commands
    assert listed == {name: options for name in NAMES if (options := long_options(commands[name]))}


def long_options(command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
