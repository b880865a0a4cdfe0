"""What the package logs, that it logs it once, and what it says of its version."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import preprocess, restore
from monai_mriprep.errors import MriprepWarning
from tests.runs import write_troubled_cases

NAME = "monai_mriprep"


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_troubled_cases(tmp_path / "data")


def said(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if (r.name, r.levelname) == (NAME, level)]


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_logs_each_thing_once(dataset, tmp_path, caplog, workers):
    with caplog.at_level(logging.INFO, NAME):
        preprocess(dataset, tmp_path / "out", workers=workers)
    warnings = said(caplog, "WARNING")
    assert sum("'lonely.mha' is skipped" in text for text in warnings) == 1
    assert sum("negative label voxels became 0" in text for text in warnings) == 1
    (failed,) = said(caplog, "ERROR")
    assert "case_2: FAILED: " in failed
    done = [text for text in said(caplog, "INFO") if " in " in text and text.startswith("[")]
    assert len(done) == 2
    assert any("target spacing (3, 1, 1)" in text for text in said(caplog, "INFO"))


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_a_changed_recipe_is_logged(dataset, tmp_path, caplog):
    preprocess(dataset, tmp_path / "out", workers=0)
    (dataset / "mri_statistics.csv").write_text("median_spacing,10th_percentile_spacing\n[3 2 2],[3 2 2]\n")
    with caplog.at_level(logging.INFO, NAME):
        preprocess(dataset, tmp_path / "out", workers=0, redo=True)
    assert [text for text in said(caplog, "INFO") if text.startswith("redo: ") and text.endswith("(2 cases)")]


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_restored_and_refused_predictions_are_logged(dataset, tmp_path, caplog):
    preprocess(dataset, tmp_path / "out", workers=0)
    (tmp_path / "predictions").mkdir()
    np.savez(tmp_path / "predictions" / "case_0.npz", np.zeros((4, 8, 9), np.uint8))
    np.savez(tmp_path / "predictions" / "case_1.npz", np.zeros((1, 2, 3), np.uint8))
    caplog.clear()
    with caplog.at_level(logging.INFO, NAME), pytest.warns(MriprepWarning, match="not restored"):
        restore(tmp_path / "out", tmp_path / "predictions", tmp_path / "back")
    assert [text for text in said(caplog, "INFO") if text.startswith("case_0.npz: ")]
    (refused,) = said(caplog, "ERROR")
    assert refused.startswith("refused: ")
    assert "case_1.npz" in refused


def test_a_script_without_logging_hears_nothing_of_it(dataset, tmp_path):
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        f"import monai_mriprep; monai_mriprep.preprocess({str(dataset)!r}, {str(tmp_path / 'out')!r}, workers=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("", "")


# --- Version ----------------------------------------------------------------------------------------------------------


def test_version_costs_nothing_heavy():
    code = (
        "import sys, monai_mriprep\n"
        "assert 'importlib.metadata' not in sys.modules\n"
        "from monai_mriprep.cli import main\n"
        "sys.argv = ['monai-mriprep', '--version']\n"
        "try:\n    main()\n"
        "finally:\n"
        "    print(monai_mriprep.__version__)\n"
        "    print({'torch', 'monai', 'itk', 'pandas', 'scipy', 'numpy'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    printed, version, heavy = done.stdout.splitlines()
    assert printed == f"monai-mriprep {version}"
    assert version[0].isdigit()
    assert heavy == "set()"


@pytest.mark.stress
def test_a_source_tree_without_metadata_has_a_version_and_runs(dataset, tmp_path, monkeypatch):
    """Nothing is installed there: the package lies in a folder of the path."""
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import importlib.metadata as m, sys\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'monai-mriprep': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "import monai_mriprep; print(monai_mriprep.__version__)\n"
        f"monai_mriprep.preprocess({str(dataset)!r}, {str(tmp_path / 'out')!r}, workers=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "0+unknown\n"
    assert '"monai-mriprep": "0+unknown"' in (tmp_path / "out" / "run.json").read_text()
