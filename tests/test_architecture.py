"""The page on the architecture: its table of rooms is true, its names exist, and its step works as it says."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import monai_mriprep
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.types import IMAGE, LABEL, PREDICTION
from tests.oracles import read
from tests.runs import write_cases
from tests.test_docs import ROOT, blocks_of

PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")
PACKAGE = Path(monai_mriprep.__file__).parent
EXTRAS = {"nnunetv2", "batchgenerators", "blosc2", "dask", "distributed"}
"""What modules of the room `nnunet`, and those for Dask, import, and is not installed without an extra."""
ABOVE_ALL = {"_version"}
"""What every room may import, and the table leaves out; `__init__` and `__main__` import what they pass on."""


# --- Rooms ------------------------------------------------------------------------------------------------------------


def rooms() -> list[list[str]]:
    """The rooms of the table, row by row."""
    table = TEXT.split("## Rooms")[1].split("##")[0]
    return [re.findall(r"`(\w+)`", row.split("|")[1]) for row in re.findall(r"^\| `.*$", table, re.MULTILINE)]


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a module imports when it runs, in whatever form."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in typing_only:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import) and id(node) not in typing_only:
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE.name}.")}


def test_the_table_names_every_room_once():
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    named = [room for row in rooms() for room in row]
    assert sorted(named) == sorted(found - ABOVE_ALL - {"__init__", "__main__"})


@pytest.mark.parametrize("room", [room for row in rooms() for room in row])
def test_a_room_imports_only_those_above_it(room):
    above = ABOVE_ALL.copy()
    for row in rooms():
        above |= set(row)  # those of one row may know each other
        if room in row:
            break
    modules = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else (PACKAGE / room).rglob("*.py")
    for module in modules:
        assert imported_rooms(module) <= above | {"__version__"}, module


def taken_names(path: Path) -> list[tuple[str, str]]:
    """What a module takes from others of the package: module and name, for annotations too."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    ours = [node for node in imports if node.module.split(".")[0] == PACKAGE.name]
    return [(node.module, alias.name) for node in ours for alias in node.names]


def is_module(room: str, name: str) -> bool:
    """Whether a name of a room is that of a module, which need not be loaded yet."""
    place = PACKAGE.parent.joinpath(*room.split("."), name)
    return place.is_dir() or place.with_suffix(".py").is_file()


def offered_names(module: str) -> list[str]:
    """Its ``__all__``; read from the text where an extra is not installed that it needs."""
    try:
        return getattr(importlib.import_module(module), "__all__", [])
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        text = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        return ast.literal_eval(re.search(r"^__all__ = (\[.*?\])$", text, re.MULTILINE | re.DOTALL)[1])


def test_a_module_takes_from_another_only_what_that_offers():
    modules = sorted(PACKAGE.rglob("*.py"))
    taken = {(path.relative_to(PACKAGE), *names) for path in modules for names in taken_names(path)}
    offered = {module: offered_names(module) for _, module, _ in taken}
    hidden = [
        f"{path}: {module}.{name}"
        for path, module, name in sorted(taken)
        if name not in offered[module] and not is_module(module, name)
    ]
    assert len(taken) > 300
    assert hidden == []


def test_the_rooms_up_to_dataset_load_neither_torch_nor_monai():
    code = (
        "import sys, monai_mriprep.recipe, monai_mriprep.volume, monai_mriprep.formats.read\n"
        "import monai_mriprep.formats.npz, monai_mriprep.pictures\n"
        "import monai_mriprep.steps, monai_mriprep.dataset.survey\n"
        "print({'torch', 'monai', 'itk', 'PIL'} & set(sys.modules) or 'neither')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "neither\n"


def spelt_roles(path: Path) -> list[int]:
    """Lines of a module that spell the name of a role or kind, docstrings apart."""
    spelt = {name for role in (IMAGE, LABEL, PREDICTION) for name in (role.name, role.kind)}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in spelt]


def test_only_the_table_of_roles_spells_their_names_and_kinds():
    """The mask is left out: ``foreground`` is a step and a key of recipes, too, and ``mask`` a parameter.

    So is the key ``label`` of recipes, which presets set, too.
    """
    modules = sorted(PACKAGE.rglob("*.py"))
    found = {str(path.relative_to(PACKAGE)): lines for path in modules if (lines := spelt_roles(path))}
    assert found.keys() == {"types.py", "recipe/agreement.py", "recipe/presets.py"}, found


# --- Names ------------------------------------------------------------------------------------------------------------


def dotted_names() -> list[str]:
    """Such as `steps.forward`: a room, and what is in it."""
    known = "|".join(room for row in rooms() for room in row)
    return sorted(set(re.findall(rf"`((?:{known})(?:\.\w+)+)`", TEXT)))


def test_every_name_of_the_page_exists():
    assert len(dotted_names()) > 20
    for name in dotted_names():
        *place, last = name.split(".")
        assert hasattr(found(place), last), name


def found(place: list[str]) -> object:
    """The module, or the class in one, that a dotted name leads to."""
    here: object = monai_mriprep
    path = PACKAGE.name
    for part in place:
        path += f".{part}"
        try:
            here = importlib.import_module(path)
        except ModuleNotFoundError:
            here = getattr(here, part)
    return here


def test_every_file_of_the_page_exists():
    files = re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", TEXT)
    assert len(files) > 5
    for file in files:
        assert (PACKAGE / file).exists() or (ROOT / file).exists(), file


# --- The step of the page ---------------------------------------------------------------------------------------------


def block(first_line: str) -> str:
    (text,) = (block.text for block in blocks_of(PAGE) if block.text.startswith(first_line))
    return text


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The page's step as an installer leaves it: two modules, and a distribution that names the entry point."""
    place = tmp_path_factory.mktemp("site")
    for name in ("flip.py", "test_flip.py", "flip.yaml"):
        (place / name).write_text(block(f"# {name}"), encoding="utf-8")
    facts = place / "flip-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: flip\nVersion: 1.0\n")
    declared = re.fullmatch(r'\[project\.entry-points\."(.+)"\]\n(\w+) = "(.+)"\n', block("[project.entry"))
    (facts / "entry_points.txt").write_text("[{}]\n{} = {}\n".format(*declared.groups()))
    return place


def command(installed: Path, *words: object) -> str:
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_flip_takes_under_40_lines_with_its_test():
    lines = [line for name in ("flip.py", "test_flip.py") for line in block(f"# {name}").splitlines()]
    assert len(lines) < 40


@pytest.mark.stress
def test_the_test_of_flip_passes(installed):
    words = ("pytest", "-q", "-W", "error", "-p", "no:cacheprovider", installed / "test_flip.py")
    assert "1 passed" in command(installed, *words)


@pytest.mark.stress
def test_the_commands_find_flip_where_it_is_installed(installed, tmp_path):
    """On scans that need no resampling, so that flipped means flipped to the bit."""
    root, output = write_cases(tmp_path / "dataset", 2), tmp_path / "output"
    flipped = ["--config", installed / "flip.yaml"]
    assert "4x8x9" in command(installed, "monai_mriprep", "check", root, *flipped)
    command(installed, "monai_mriprep", "run", root, output, "--workers", 2, *flipped)
    command(installed, "monai_mriprep", "restore", output, output / "labelsTr", tmp_path / "restored")
    for name in ("case_0", "case_1"):
        label, affine = read(root / "LabelsTr" / f"{name}.mha")
        stored = read_npz(output / "labelsTr" / f"{name}.npz")
        assert np.array_equal(stored.array[0], label[:, ::-1])
        assert stored.affine[:, 1].tolist() == (-affine[:, 1]).tolist()
        restored, place = read(tmp_path / "restored" / f"{name}.mha")
        assert np.array_equal(restored, label)
        assert np.array_equal(place, affine)


def test_where_it_is_not_installed_the_command_says_what_to_do(installed, tmp_path):
    command_line = ["run", tmp_path, tmp_path / "output", "--config", installed / "flip.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "monai_mriprep", *map(str, command_line)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no step is registered as 'flip'" in done.stderr
    assert "install the package that names it as an entry point of monai_mriprep.steps" in " ".join(done.stderr.split())
