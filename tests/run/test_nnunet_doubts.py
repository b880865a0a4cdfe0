"""Where nnU-Net would have decided otherwise, told at the end of a run and in its report."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep import Recipe, preprocess
from monai_mriprep.errors import MriprepWarning
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.report.html.folder import page_of_folder
from monai_mriprep.run.nnunet_doubts import _Crop, _of_mask, _of_target, asks_nnunet, nnunet_doubts
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import open_store
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


PRESET, MASKED = Recipe(preset="nnunet"), Recipe(preset="nnunet", normalization={"foreground": "filled"})
TARGET = (3.36, 1.0, 1.0)
CUT, WHOLE = 24, 36


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> dict[int, list[Done]]:
    """Of a run, by the rows and columns that are not zero."""
    found = {}
    for kept in (CUT, WHOLE):
        folder = tmp_path_factory.mktemp("run")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            preprocess(written(folder / "in", kept), folder / "out", PRESET, workers=0, report=False)
        found[kept] = list(done_records(folder / "out").values())
    return found


def test_in_python_it_is_a_warning_and_the_report_has_it(tmp_path):
    recipe = Recipe(preset="nnunet", transpose=[2, 0, 1])
    with pytest.warns(MriprepWarning, match="so nnU-Net would normalise inside the mask"):
        found = preprocess(written(tmp_path / "in", CUT), tmp_path / "out", recipe, workers=0).warnings
    with open_store(tmp_path / "out") as store:
        notes = page_of_folder(store, read_index(store.root)).notes
    expected = [
        MASK.format("40.0%", "less than", "inside the mask"),
        "by the sizes after the crop, nnU-Net would take the target spacing (4, 1, 1) mm (z y x) where this is "
        "(3.36, 1, 1); to take it, set",
    ]
    for messages in (found, notes):
        assert [message.partition(" `")[0] for message in messages if "nnU-Net would" in message] == expected


def test_where_nnunet_would_decide_the_same_nothing_is_said(records):
    assert list(nnunet_doubts(PRESET, TARGET, "computed", records[WHOLE])) == []


def test_the_mask_where_nnunet_would_take_none(records):
    (message,) = nnunet_doubts(MASKED, TARGET, "computed", records[WHOLE])
    assert message.startswith(MASK.format("90.0%", "at least", "over all of it"))
    assert "`normalization: {foreground: crop}`" in message


@pytest.mark.parametrize(("source", "rule"), [("recipe", "nnunet"), ("table", "nnunet"), ("computed", "published")])
def test_a_target_that_is_no_guess_of_nnunets_is_not_compared(records, source, rule):
    recipe = Recipe(preset="nnunet", target_rule=rule)
    assert len(list(nnunet_doubts(recipe, TARGET, source, records[CUT]))) == 1


def test_recipes_that_are_not_nnunets_are_let_alone(records):
    recipe = Recipe(preset="nnunet", normalization={"foreground": "native"})
    assert list(nnunet_doubts(recipe, TARGET, "computed", records[CUT])) == []
    assert asks_nnunet(PRESET)
    assert not asks_nnunet(Recipe(normalization={"foreground": "crop"}))


def test_a_test_set_has_no_say_and_what_is_not_done_does_not_count(records):
    assert list(nnunet_doubts(PRESET, TARGET, "training", records[CUT])) == []
    assert len(list(nnunet_doubts(PRESET, TARGET, "computed", [*records[CUT], None]))) == 2
    assert list(nnunet_doubts(PRESET, TARGET, "computed", [None])) == []
    unreadable = records[CUT][0].model_copy(update={"recorded_trace": {}})
    vars(unreadable).pop("trace")  # which the copy has kept
    assert list(nnunet_doubts(PRESET, TARGET, "computed", [unreadable])) == []


def crop(share: float = 1.0, slices: int = 10, z: float = 4.0) -> _Crop:
    return _Crop(share, (slices, *SHAPE[1:]), (z, 1.0, 1.0))


def test_one_scan_is_not_the_median():
    few = [crop(0.5), crop(0.5), crop(0.6)]
    (message,) = _of_mask(PRESET, few)
    assert "leaves 50.0% of the median scan" in message
    assert list(_of_target(TARGET, [crop(), crop(z=3.2), crop(slices=99)])) == []


def test_a_target_that_differs_by_the_rounding_of_headers_is_the_same():
    crops = [crop(), crop(z=3.2), crop()]
    assert list(_of_target((3.36 + 1e-9, 1.0, 1.0), crops)) == []
    assert list(_of_target((3.37, 1.0, 1.0), crops)) != []
