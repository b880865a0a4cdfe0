"""Single flipped bits in the records: what changes a restored file is noticed, and the volumes alone restore it.

``make campaign`` makes it 1,500 flips instead of 150: a minute and a half.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import RecordError
from monai_mriprep.formats.npz import read_npz
from monai_mriprep.recipe import Recipe
from monai_mriprep.restore.command import restore_each
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.repair import repair_output
from tests.runs import write_cases
from tests.stress.conftest import count

FLIPS = count(150, 1500)
CASES = tuple(f"case_{number}" for number in range(4))

pytestmark = [pytest.mark.stress, pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Every case done twice, by two recipes, so that an older record is there to be taken by mistake."""
    root = tmp_path_factory.mktemp("flips")
    dataset = write_cases(root / "dataset", len(CASES), shape=(5, 7, 9))
    for recipe in (Recipe(order=1), Recipe(orientation="RAS", crop="nonzero", target_spacing=(2.0, 1.0, 0.8))):
        assert len(preprocess(dataset, root / "out", recipe, redo=True, workers=0).done) == len(CASES)
    return root / "out"


@pytest.fixture(scope="module")
def predictions(finished, tmp_path_factory) -> Path:
    """What a network might say of each case: its class numbers, in a file named by the image."""
    folder = tmp_path_factory.mktemp("predictions")
    for case in CASES:
        np.save(folder / f"{case}.npy", read_npz(finished / "labelsTr" / f"{case}.npz").array)
    return folder


@pytest.fixture
def out(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "out")


def restored(out: Path, predictions: Path, place: Path) -> dict[str, bytes]:
    """The restored files, by name; those that are refused are left out."""
    shutil.rmtree(place, ignore_errors=True)
    try:
        summary = restore_each(out, predictions, place)
    except RecordError:  # no record is left
        return {}
    return {path.name: path.read_bytes() for path in summary.restored}


def flipped(text: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(text)
    changed[position] ^= 1 << bit
    return bytes(changed)


def positions(text: bytes, rng: np.random.Generator, count: int) -> list[int]:
    """Anywhere; and the end of every line, its digest, and what stands around it."""
    ends = [place for place, byte in enumerate(text) if byte == ord("\n")]
    odd = [end - back for end in ends for back in (0, 1, 2, 18, 30)]
    chosen = rng.choice(odd, min(len(odd), count // 5), replace=False).tolist()
    return chosen + rng.integers(0, len(text), count - len(chosen)).tolist()


def test_every_flip_that_changes_what_restore_writes_is_noticed_and_repaired(out, predictions, tmp_path):
    manifest = out / "manifest.jsonl"
    text, rng = manifest.read_bytes(), np.random.default_rng(5)
    expected = restored(out, predictions, tmp_path / "back")
    assert len(expected) == len(CASES)
    changing = 0
    for position in positions(text, rng, FLIPS):
        manifest.write_bytes(flipped(text, position, int(rng.integers(8))))
        found = restored(out, predictions, tmp_path / "back")
        if found != expected:
            changing += 1
            assert verify_output(out, workers=1).problems, position
        repair_output(out)
        assert restored(out, predictions, tmp_path / "back") == expected, position
    print(f"{FLIPS} flips, {changing} of them changed what restore writes")  # noqa: T201
    assert changing > FLIPS // 10


def test_a_flip_in_run_json_changes_nothing_that_is_restored_and_breaks_nothing(out, predictions, tmp_path):
    description = out / "run.json"
    text, rng = description.read_bytes(), np.random.default_rng(6)
    expected = restored(out, predictions, tmp_path / "back")
    for position in rng.integers(0, len(text), FLIPS // 5).tolist():
        description.write_bytes(flipped(text, position, int(rng.integers(8))))
        verify_output(out, workers=1)
        report = repair_output(out)
        assert (report.rebuilt, report.problems) == ((), ())
        assert restored(out, predictions, tmp_path / "back") == expected
