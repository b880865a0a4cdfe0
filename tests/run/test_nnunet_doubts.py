"""Where nnU-Net would have decided otherwise, told at the end of a run and in its report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import Recipe, preprocess
from monai_mriprep.errors import MriprepWarning
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.run.nnunet_doubts import nnunet_doubts
from tests.runs import done_records

pytestmark = pytest.mark.filterwarnings("ignore:.*:monai_mriprep.errors.MriprepWarning")

SHAPE = (10, 36, 40)
MASK = "the crop leaves {} of the median scan, {} 75%, so nnU-Net would normalise {}; to do so, set"


def written(root: Path, kept: int, **spacings: float) -> Path:
    """Cases by their slice spacing; of each, so many rows and columns are not zero."""
    for name in ("ImagesTr", "LabelsTr"):
        (root / name).mkdir(parents=True)
    for case, z in (spacings or {"a": 4.0, "b": 4.0, "c": 3.2}).items():
        image = np.zeros(SHAPE, np.int16)
        image[:, :kept, :kept] = np.random.default_rng(1).integers(1, 99, (SHAPE[0], kept, kept))
        write_metaimage(root / "ImagesTr" / f"{case}.mha", image, (z, 1.0, 1.0))
        write_metaimage(root / "LabelsTr" / f"{case}.mha", (image > 50).astype(np.int16), (z, 1.0, 1.0))
    return root


def run(root: Path, output: Path, **keys) -> tuple[str, ...]:
    return preprocess(root, output, Recipe(**{"preset": "nnunet", **keys}), workers=0, report=False).warnings


def of_nnunet(warnings: tuple[str, ...]) -> list[str]:
    return [message for message in warnings if "nnU-Net" in message]


@pytest.mark.parametrize("transpose", ["none", [2, 0, 1]])
def test_mask_and_target_are_compared_with_nnunets_own(tmp_path, transpose):
    found = of_nnunet(run(written(tmp_path / "in", kept=24), tmp_path / "out", transpose=transpose))
    assert [message.partition(" `")[0] for message in found] == [
        MASK.format("40.0%", "less than", "inside the mask"),
        "by the sizes after the crop, nnU-Net would take the target spacing (4, 1, 1) mm (z y x) where this is "
        "(3.36, 1, 1); to take it, set",
    ]


def test_where_nnunet_would_decide_the_same_nothing_is_said(tmp_path):
    assert of_nnunet(run(written(tmp_path / "in", kept=36), tmp_path / "out")) == []


def test_the_mask_where_nnunet_would_take_none(tmp_path):
    keys = {"normalization": {"foreground": "filled"}}
    (message,) = of_nnunet(run(written(tmp_path / "in", kept=36), tmp_path / "out", **keys))
    assert message.startswith(MASK.format("90.0%", "at least", "over all of it"))
    assert "`normalization: {foreground: crop}`" in message


@pytest.mark.parametrize("keys", [{"target_spacing": (3, 1, 1)}, {"target_rule": "published"}])
def test_a_target_that_is_no_guess_of_nnunets_is_not_compared(tmp_path, keys):
    assert len(of_nnunet(run(written(tmp_path / "in", kept=24), tmp_path / "out", **keys))) == 1


def test_recipes_that_are_not_nnunets_are_let_alone(tmp_path):
    keys = {"normalization": {"foreground": "native"}}
    assert of_nnunet(run(written(tmp_path / "in", kept=24), tmp_path / "out", **keys)) == []


def test_a_test_set_has_no_say(tmp_path):
    recipe = Recipe(preset="nnunet")
    preprocess(written(tmp_path / "in", kept=24), tmp_path / "out", recipe, workers=0, report=False)
    records = done_records(tmp_path / "out").values()
    assert list(nnunet_doubts(recipe, (3.36, 1.0, 1.0), "training", records)) == []
    assert len(list(nnunet_doubts(recipe, (3.36, 1.0, 1.0), "computed", [*records, None]))) == 2
    assert list(nnunet_doubts(recipe, (3.36, 1.0, 1.0), "computed", [None])) == []


def test_in_python_it_is_a_warning_and_the_report_has_it(tmp_path):
    with pytest.warns(MriprepWarning, match="so nnU-Net would normalise inside the mask"):
        preprocess(written(tmp_path / "in", kept=24), tmp_path / "out", Recipe(preset="nnunet"), workers=0)
    from monai_mriprep.report.html.folder import page_of_folder
    from monai_mriprep.store.manifest import read_index
    from monai_mriprep.store.store import open_store

    with open_store(tmp_path / "out") as store:
        notes = page_of_folder(store, read_index(store.root)).notes
    assert len([note for note in notes if "nnU-Net would" in note]) == 2
