"""The commands as a user calls them: what they print, write and return."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.formats.write import write_metaimage
from tests.cli.shell import cli
from tests.runs import FOLDER_OF_0_1_0, counts

TABLE = "median_spacing,10th_percentile_spacing\n"
PRE_FLIGHT_SECONDS = 2.0


def children_seconds() -> float:
    """Processor time of the commands so far: what they take on a machine that has nothing else to do."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two tiny pairs, 3 x 1 x 1 mm."""
    root = tmp_path / "dataset"
    rng = np.random.default_rng(0)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True)
    for name in ("10000_0001", "10001_0001"):
        write_metaimage(root / f"ImagesTr/{name}_0000.mha", rng.integers(0, 99, (4, 8, 9), np.int16), (3.0, 1.0, 1.0))
        write_metaimage(root / f"LabelsTr/{name}.mha", rng.integers(0, 3, (4, 8, 9), np.int16), (3.0, 1.0, 1.0))
    return root


def test_run_on_the_mixed_scans(scans: Path, tmp_path: Path) -> None:
    result = cli("run", scans / "mixed", tmp_path / "out", "--workers", 2)
    assert result.returncode == 0, result.stderr
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning")]
    unpaired, turned, costly = warnings
    assert "20008_0001_t2star.mha" in unpaired
    assert "(2 RAS, 2 LAS, 2 LPS, 1 IRP, 1 PSR;" in turned
    assert "3.1 times the voxels" in costly
    assert counts(result.stdout)["done"] == 8
    for folder in ("imagesTr", "labelsTr"):
        assert sorted({path.suffix for path in (tmp_path / "out" / folder).iterdir()}) == [".npz"]
        assert len(list((tmp_path / "out" / folder).iterdir())) == 8


def test_run_then_resume_then_redo(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert counts(cli("run", dataset, out, "--workers", 0).stdout)["done"] == 2
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    assert len(files) == 4

    again = cli("run", dataset, out)
    assert again.returncode == 0
    assert counts(again.stdout) == {"done": 0, "already done": 2}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")} == files

    assert counts(cli("run", dataset, out, "--workers", 0, "--redo").stdout)["done"] == 2
    assert all(path.stat().st_mtime_ns > before for path, before in files.items())

    (out / "imagesTr/10000_0001_0000.npz").unlink()
    mended = cli("run", dataset, out, "--workers", 0)
    assert counts(mended.stdout) == {"done": 1, "already done": 1}
    assert "redo: output image is missing or changed: " in mended.stderr


def test_a_folder_keeps_its_recipe_and_what_left_is_retired_and_pruned(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cli("run", dataset, out, "--workers", 0)
    other = cli("run", dataset, out, "--set", "order=1")
    assert (other.returncode, other.stdout) == (2, "")
    assert "error: " in other.stderr
    assert "2 cases are finished there" in other.stderr
    assert "order: 3 -> 1" in other.stderr
    foretold = cli("check", dataset, "--output-root", out, "--set", "order=1")
    assert foretold.returncode == 2
    assert "fatal: " in foretold.stdout
    assert "order: 3 -> 1" in foretold.stdout

    moved = dataset.rename(tmp_path / "moved")
    (moved / "ImagesTr/10000_0001_0000.mha").unlink()
    asked = cli("run", moved, out)
    assert asked.returncode == 2
    assert "--retire moves their files to retired/" in asked.stderr
    retired = cli("run", moved, out, "--retire")
    assert retired.returncode == 0
    assert counts(retired.stdout) == {"done": 0, "already done": 1, "no partner": 1, "retired": 1}
    assert "warning: 1 case of" in retired.stderr
    assert "2 files of cases that left the dataset: in retired/" in cli("verify", out).stdout

    refused = cli("prune", out, "10001_0001_0000")
    assert (refused.returncode, refused.stdout) == (2, "")
    pruned = cli("prune", out)
    assert pruned.returncode == 0
    assert "deleted: retired/labelsTr/10000_0001.npz" in pruned.stdout
    assert "deleted: report.html" in pruned.stdout
    assert "3 files, 3 records of 1 retired case deleted" in pruned.stdout
    assert cli("verify", out).returncode == 0


def test_a_run_stores_what_it_did(dataset: Path, tmp_path: Path) -> None:
    cli("run", dataset, tmp_path / "out", "--workers", 0, "--set", "grid=nnunet")
    stored = json.loads((tmp_path / "out" / "run.json").read_text())
    assert stored["recipe"]["grid"] == "nnunet"
    assert stored["target_spacing"] == [3.0, 1.0, 1.0]
    assert "computed from headers" in stored["derivation"]
    assert stored["versions"]["monai"]
    assert (tmp_path / "out" / "mri_statistics.csv").read_text().startswith(TABLE)
    assert not (dataset / "mri_statistics.csv").exists()


def test_one_bad_case_does_not_stop_the_others(dataset: Path, tmp_path: Path) -> None:
    shutil.copy(dataset / "LabelsTr/10000_0001.mha", tmp_path / "kept.mha")
    write_metaimage(dataset / "LabelsTr/10000_0001.mha", np.zeros((4, 8, 9), np.int16), (3.0, 1.0, 2.0))
    result = cli("run", dataset, tmp_path / "out", "--workers", 2)
    assert result.returncode == 1
    assert counts(result.stdout) == {"done": 1, "failed": 1}
    assert "10000_0001_0000" in result.stdout
    assert "spacing" in result.stderr
    assert len(list((tmp_path / "out").rglob("*.npz"))) == 2

    shutil.copy(tmp_path / "kept.mha", dataset / "LabelsTr/10000_0001.mha")
    mended = cli("run", dataset, tmp_path / "out", "--workers", 0)
    assert mended.returncode == 0
    assert counts(mended.stdout) == {"done": 1, "already done": 1}


BAD_TABLES = {
    "x y z order": (TABLE + "[1 1 3],[1 1 3]\n", "axis_order: xyz"),
    "missing column": ("median_spacing\n[3 1 1]\n", "10th_percentile_spacing"),
    "two rows": (TABLE + "[3 1 1],[3 1 1]\n[3 1 1],[3 1 1]\n", "statistics_row"),
    "nan": (TABLE + "[3 nan 1],[3 1 1]\n", "median_spacing"),
    "negative": (TABLE + "[3 1 1],[3 -1 1]\n", "10th_percentile_spacing"),
    "text": (TABLE + "[3 1 one],[3 1 1]\n", "median_spacing"),
    "empty": ("", "mri_statistics.csv"),
}


@pytest.mark.parametrize(("text", "named"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_a_bad_table_is_refused_at_once(dataset: Path, tmp_path: Path, text: str, named: str) -> None:
    (dataset / "mri_statistics.csv").write_text(text)
    assert_refused(tmp_path / "out", "mri_statistics.csv", named, "run", dataset, tmp_path / "out")


BAD_RECIPES = {
    "unknown key": ("gird: nnunet\n", "grid"),
    "wrong type": ("order: cubic\n", "order"),
    "wrong value": ("grid: nnu\n", "nnunet"),
    "duplicate key": ("grid: monai\ngrid: nnunet\n", "grid"),
    "python tag": ("grid: !!python/object/apply:os.system [ls]\n", "tag"),
}


@pytest.mark.parametrize(("text", "named"), BAD_RECIPES.values(), ids=BAD_RECIPES.keys())
def test_a_bad_recipe_is_refused_at_once(dataset: Path, tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    arguments = ("run", dataset, tmp_path / "out", "--config", tmp_path / "recipe.yaml")
    assert_refused(tmp_path / "out", "recipe.yaml", named, *arguments)


def assert_refused(out: Path, file: str, named: str, *arguments: object) -> None:
    before = children_seconds()
    result = cli(*arguments)
    seconds = children_seconds() - before
    assert result.returncode == 2
    messages = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(messages) == 1
    assert file in messages[0]
    assert named in result.stderr
    assert "Traceback" not in result.stderr
    assert not out.exists()
    assert seconds < PRE_FLIGHT_SECONDS


def test_check_answers_at_once(scans: Path) -> None:
    before = children_seconds()
    result = cli("check", scans / "mixed")
    assert children_seconds() - before < PRE_FLIGHT_SECONDS
    assert result.returncode == 1
    assert result.stderr == ""
    assert "20001_0001_t2w     ok       22x320x320  3.3 1.125 1.125    RAS   70x360x360" in result.stdout
    assert "8 of 8 cases can be preprocessed; 3 findings to review" in result.stdout
    assert "20008_0001_t2star.mha" in result.stdout


def test_check_for_scripts(dataset: Path) -> None:
    result = cli("check", dataset, "--voxels", "--json", "--set", "target_spacing=[3, 1, 1]")
    assert result.returncode == 0
    report = json.loads(result.stdout)
    assert [count["value"] for count in report["classes"]] == [0, 1, 2]
    assert cli("check", dataset / "ImagesTr", "--json").returncode == 2


def test_verify_after_a_run(dataset: Path, tmp_path: Path) -> None:
    assert cli("verify", tmp_path).returncode == 2
    cli("run", dataset, tmp_path / "out", "--workers", 0)
    intact = cli("verify", tmp_path / "out")
    assert intact.returncode == 0
    assert "2 of 2 cases intact" in intact.stdout
    (tmp_path / "out/imagesTr/10000_0001_0000.npz").write_bytes(b"")
    damaged = cli("verify", tmp_path / "out")
    assert damaged.returncode == 1
    assert "problem: imagesTr/10000_0001_0000.npz: has 0 bytes" in damaged.stdout


def test_images_without_labels_are_an_error(dataset: Path, tmp_path: Path) -> None:
    shutil.rmtree(dataset / "LabelsTr")
    (dataset / "LabelsTr").mkdir()
    result = cli("run", dataset, tmp_path / "out")
    assert result.returncode == 2
    assert "no image has a label" in result.stderr
    assert str(dataset / "LabelsTr") in result.stderr


@pytest.mark.parametrize("place", ["ImagesTr", "."])
def test_output_may_not_go_into_the_dataset(dataset: Path, place: str) -> None:
    result = cli("run", dataset, dataset / place)
    assert result.returncode == 2
    assert "choose another output folder" in result.stderr
    assert sorted(path.name for path in dataset.iterdir()) == ["ImagesTr", "LabelsTr"]


def test_stats_reads_back_to_the_same_target(dataset: Path, tmp_path: Path) -> None:
    printed = cli("stats", dataset)
    written = cli("stats", dataset, "--output", tmp_path / "table.csv")
    assert printed.returncode == written.returncode == 0
    assert printed.stdout == (tmp_path / "table.csv").read_text()
    run = cli("run", dataset, tmp_path / "out", "--workers", 0, "--set", f"statistics={tmp_path / 'table.csv'}")
    assert "target spacing (3, 1, 1)" in run.stderr
    assert "nnU-Net's rule: z is 3 times" in cli("stats", dataset, "--set", "target_rule=nnunet").stderr


def test_stats_are_of_the_turned_axes(dataset: Path) -> None:
    """The files' axes x y z run to L, P, S; PSL has the same ends in another order, so that z y x become x z y."""
    turned = cli("stats", dataset, "--set", "orientation=PSL")
    assert turned.stdout.splitlines()[1] == "[1.0 3.0 1.0],[1.0 3.0 1.0]"


def test_stats_of_some_of_the_images_are_none(dataset: Path) -> None:
    (dataset / "ImagesTr/10001_0001_0000.mha").write_bytes(b"")
    result = cli("stats", dataset)
    assert (result.returncode, result.stdout) == (2, "")
    assert "10001_0001_0000.mha: the file is empty" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["stats", "--help"]])
def test_help_loads_neither_torch_nor_monai(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "heavy = {'torch', 'monai', 'itk', 'pandas', 'scipy', 'rich'}\n"
        "from monai_mriprep.cli import main\n"
        f"sys.argv = ['monai-mriprep', *{arguments!r}]\n"
        "try:\n    main()\n"
        "finally:\n    print(heavy & set(sys.modules), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in result.stdout
    assert result.stderr.strip() == "set()"


def test_repair_without_records(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli("repair", tmp_path).returncode == 2
    cli("run", dataset, out, "--workers", 0)
    (out / "manifest.jsonl").unlink()
    repaired = cli("repair", out)
    assert (repaired.returncode, repaired.stdout.splitlines()[-1]) == (0, f"{out}: 2 records rebuilt, 0 good before")
    assert cli("verify", out).returncode == 0
    (out / "manifest.jsonl").unlink()
    (out / "labelsTr/10000_0001.npz").unlink()
    halved = cli("repair", out)
    assert halved.returncode == 1
    assert "problem: imagesTr/10000_0001_0000.npz: labelsTr/10000_0001.npz, which belongs with it" in halved.stdout


def test_check_and_verify_load_neither_torch_nor_monai(dataset: Path) -> None:
    code = (
        "import sys\n"
        "from monai_mriprep.report import facts, outlook\n"
        "from monai_mriprep.run.check import check_dataset\n"
        "from monai_mriprep.run.dry_run import dry_run\n"
        "from monai_mriprep.run.plan import plan_run\n"
        "from monai_mriprep.verify.compare import compare_outputs\n"
        f"compare_outputs({str(FOLDER_OF_0_1_0 / 'out')!r}, {str(FOLDER_OF_0_1_0 / 'out')!r})\n"
        f"check_dataset({str(dataset)!r})\n"
        f"dry_run(plan_run({str(dataset)!r}, 'nowhere'))\n"
        "print({'torch', 'monai', 'itk', 'pandas', 'scipy'} & set(sys.modules))\n"
        f"check_dataset({str(dataset)!r}, voxels=True)\n"  # ITK reads a second time, and loads torch where it is
        "print({'monai', 'itk', 'pandas'} & set(sys.modules))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["set()", "{'itk'}"]


def test_usage_errors() -> None:
    result = cli("run")
    assert result.returncode == 2
    assert "Missing argument" in result.stderr
    assert cli("nonsense").returncode == 2
