"""README and docs: every snippet runs, every recipe loads, every link leads somewhere, every figure is measured."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monai_mriprep import load_recipe
from monai_mriprep.demo.phantoms import make_demo_dataset
from tests.cli.shell import cli
from tests.conftest import SHARED_DATA

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
SKIPPED = (
    "make",
    "pip",
    "git",
    "cd",
    "source",
    "python -m venv",
    "python docs/",
    "benchmarks/",
    ".venv/bin/python -m benchmarks",
    ".venv-nnunet/bin/python",
    "nnUNetv2_",
    "monai-mriprep nnunet",
)
"""What a command that is not ours may begin with; it is not run."""
FOR_A_SHELL = set("<>|&;$*?`")
MAY_FIND_SOMETHING = ("check", "verify")
"""Commands that may end with 1, as the dataset has a file without a partner."""

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@dataclass(frozen=True)
class Block:
    """A fenced block, and the line of its first line."""

    language: str
    text: str
    line: int

    @property
    def file_name(self) -> str | None:
        """What a comment on the first line names: the block is a file of this name, for what follows on the page."""
        named = re.match(r"# *([\w.-]+\.(?:ya?ml|py))\b", self.text)
        return named[1] if named else None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["language"], dedent(found), text.count("\n", 0, found.start("text")) + 1)
        for found in FENCE.finditer(text)
    ]


def dedent(found: re.Match[str]) -> str:
    return re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)


def commands_of(block: Block) -> list[str]:
    """The command lines of a block; where there are prompts, the rest is output."""
    lines = re.sub(r"\\\n\s*", "", block.text).splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return [line.strip() for line in lines if shlex.split(line, comments=True)]


# --- Snippets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """Work in a folder with a small dataset in DATASET_ROOT, and a test set in TEST_IMAGES."""
    make_demo_dataset(tmp_path / "DATASET_ROOT")
    (tmp_path / "TEST_IMAGES").mkdir()
    image, *_ = sorted((tmp_path / "DATASET_ROOT/ImagesTr").iterdir())
    shutil.copy(image, tmp_path / "TEST_IMAGES" / f"20001_0001{image.name[image.name.index('.') :]}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def importable(workplace, monkeypatch) -> Iterator[Callable[[Block], None]]:
    """Keep a module of a page, and import it."""
    monkeypatch.syspath_prepend(workplace)
    kept: list[str] = []

    def keep(block: Block) -> None:
        path = workplace / block.file_name
        path.write_text(block.text, encoding="utf-8")
        kept.append(path.stem)
        importlib.import_module(path.stem)

    yield keep
    for name in kept:
        del sys.modules[name]


SNIPPETS = ("python", "bash", "console", "sh", "shell", "yaml")


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.language in SNIPPETS for block in blocks_of(page))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_every_snippet_runs_in_the_order_of_the_page(page, workplace, importable):
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.language == "python" and block.file_name:
            importable(block)
        elif block.language == "python":
            run_python(page, block, namespace)
        elif block.language in ("bash", "console", "sh", "shell"):
            for command in commands_of(block):
                run_command(command, f"{page.name}:{block.line}")
        elif block.language == "yaml" and "_target_" not in block.text:
            keep_recipe(block, workplace)


def run_python(page: Path, block: Block, namespace: dict[str, object]) -> None:
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")  # tracebacks show the page's lines
    if "nnunetv2" in block.text:  # tests/nnunet runs it, where nnU-Net is
        return
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # a user's warnings are no errors
        exec(code, namespace)


def run_command(command: str, place: str) -> None:
    words = shlex.split(command, comments=True)
    if " ".join(words).startswith(SKIPPED):
        return
    is_ours = words[0] == "monai-mriprep" or words[:3] == ["python", "-m", "monai_mriprep"]
    assert is_ours, f"{place}: {command!r} is neither run nor on the list of what is skipped"
    if FOR_A_SHELL.isdisjoint(" ".join(words)):
        done = cli(*words[1 if words[0] == "monai-mriprep" else 3 :], cwd=Path.cwd())
    else:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ | {"PATH": path})
    allowed = (0, 1) if any(word in MAY_FIND_SOMETHING for word in words) else (0,)
    assert done.returncode in allowed, f"{place}: {command!r} ends with {done.returncode}\n{done.stdout}{done.stderr}"


def keep_recipe(block: Block, folder: Path) -> None:
    """A recipe must load."""
    path = folder / (block.file_name or "unnamed.yaml")
    path.write_text(block.text, encoding="utf-8")
    load_recipe(path)


# --- The site (make docs builds it) -----------------------------------------------------------------------------------


def test_every_page_has_its_place_on_the_site():
    placed = {"index"}
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        placed |= {name for block in re.findall(r"```{toctree}\n(.*?)```", text, re.DOTALL) for name in block.split()}
        placed |= {page.stem} if "orphan: true" in text else set()
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    pages |= {f"notebooks/{page.stem}" for page in (ROOT / "docs/notebooks").glob("*.ipynb")}
    assert pages - placed == set(), "add them to a toctree, in docs/guide.md or beside it"


# --- Links ------------------------------------------------------------------------------------------------------------


@pages
def test_every_relative_link_leads_somewhere(page):
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


# --- Figures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measure_recipe():
    spec = importlib.util.spec_from_file_location("measure_recipe", ROOT / "docs" / "measure_recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.stress
def test_the_tables_of_the_page_are_measured_and_so_are_its_figures(measure_recipe, scans, monkeypatch, capsys):
    monkeypatch.setattr(measure_recipe, "scans", lambda: scans)
    assert measure_recipe.main() == 0
    measured = tables(capsys.readouterr().out)
    quoted = tables((ROOT / "docs" / "recipe.md").read_text(encoding="utf-8"))
    assert list(quoted) == list(measured)
    for name, rows in measured.items():
        assert rows[0] == quoted[name][0]
        assert [row.count("|") for row in rows] == [row.count("|") for row in quoted[name]], name
    if scans != SHARED_DATA:
        pytest.skip(f"the figures are those of the real scans, which are not here: {SHARED_DATA}")
    for name, rows in measured.items():
        assert [NUMBER.sub("#", row) for row in quoted[name]] == [NUMBER.sub("#", row) for row in rows], name
        assert_close(quoted[name], rows, name)


def tables(text: str) -> dict[str, list[str]]:
    """The tables that follow a comment with their name."""
    found = re.findall(r"<!-- (\w+) -->\n\n((?:\|.*\n)+)", text)
    return {name: rows.splitlines() for name, rows in found}


def assert_close(quoted: list[str], measured: list[str], name: str) -> None:
    """Sizes are equal; what is computed may differ in its last digit between processors."""
    for row, other in zip(quoted, measured, strict=True):
        for one, two in zip(NUMBER.findall(row), NUMBER.findall(other), strict=True):
            assert float(one) == pytest.approx(
                float(two), rel=0.02 if "." in two else 0, abs=0.011 if "." in two else 0
            ), f"{name}: {row} is now {other}"


def test_without_the_scans_the_script_measures_phantoms_and_says_so(measure_recipe, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(measure_recipe, "REAL_SCANS", tmp_path / "absent")
    monkeypatch.setattr("tests.phantoms.write_stand_ins", lambda folder: folder / "phantoms")
    try:
        assert measure_recipe.scans.__wrapped__().name == "phantoms"
    finally:
        sys.path.remove(str(ROOT))
    assert "not here" in capsys.readouterr().err
