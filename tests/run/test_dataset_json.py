"""``dataset.json``, as MONAI reads it and as users of nnU-Net know it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from monai.data.decathlon_datalist import load_decathlon_datalist

from monai_mriprep import LoadNpzd, load_recipe, preprocess
from monai_mriprep.errors import RecordError
from monai_mriprep.formats.write import write_metaimage
from monai_mriprep.run.dataset_json import listed_cases
from monai_mriprep.store.store import open_store
from tests.runs import left_over, write_case, write_cases

RECIPE = load_recipe(None, ["target_spacing=[3, 1, 1]"])


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_cases(tmp_path / "dataset", 3)


def described(output: Path) -> dict:
    return json.loads((output / "dataset.json").read_text())


def test_monai_reads_it_and_the_files_load(dataset, tmp_path):
    preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    pairs = load_decathlon_datalist(tmp_path / "out/dataset.json", is_segmentation=True, data_list_key="training")
    assert [pair["case"] for pair in pairs] == ["case_0", "case_1", "case_2"]
    for pair in pairs:
        loaded = LoadNpzd(["image", "label"])(pair)
        assert loaded["image"].shape == loaded["label"].shape == (1, 4, 8, 9)
        assert Path(pair["image"]).parent == tmp_path / "out/imagesTr"
        assert Path(pair["label"]).parent == tmp_path / "out/labelsTr"


def test_it_has_the_keys_of_nnunet(dataset, tmp_path):
    preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    content = described(tmp_path / "out")
    assert content["channel_names"] == {"0": "MRI"}
    assert content["labels"] == {"background": 0, "label_1": 1, "label_2": 2}
    assert content["numTraining"] == 3
    assert content["file_ending"] == ".npz"
    assert content["training"][0] == {
        "case": "case_0",
        "image": "imagesTr/case_0.npz",
        "label": "labelsTr/case_0.npz",
    }


def test_image_and_label_may_have_other_stems(tmp_path, synthetic):
    with pytest.warns(match="no label"):
        preprocess(synthetic, tmp_path / "out", workers=0)
    first = described(tmp_path / "out")["training"][0]
    assert first["image"] == "imagesTr/10001_0001_t2w.npz"
    assert first["label"] == "labelsTr/10001_0001_seg.npz"


def test_a_resumed_run_writes_it_again_and_with_what_is_new(dataset, tmp_path):
    preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    before = (tmp_path / "out/dataset.json").read_bytes()
    (tmp_path / "out/dataset.json").unlink()
    assert not preprocess(dataset, tmp_path / "out", RECIPE, workers=0).done
    assert (tmp_path / "out/dataset.json").read_bytes() == before
    write_case(dataset, "case_10", seed=10)
    preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    assert [pair["case"] for pair in described(tmp_path / "out")["training"]][-2:] == ["case_2", "case_10"]


def test_a_failed_case_is_not_in_it(dataset, tmp_path):
    write_metaimage(dataset / "LabelsTr/case_1.mha", np.zeros((4, 8, 9), np.int16), (3.0, 1.0, 2.0))
    assert len(preprocess(dataset, tmp_path / "out", RECIPE, workers=0).failed) == 1
    assert [pair["case"] for pair in described(tmp_path / "out")["training"]] == ["case_0", "case_2"]
    assert described(tmp_path / "out")["numTraining"] == 2


def test_another_recipe_is_not_mixed_in(dataset, tmp_path):
    """A case that the new recipe could not do has no files of the old one any more: they are retired."""
    preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    write_metaimage(dataset / "LabelsTr/case_1.mha", np.zeros((4, 8, 9), np.int16), (3.0, 1.0, 2.0))
    summary = preprocess(
        dataset, tmp_path / "out", load_recipe(None, ["target_spacing=[2, 1, 1]"]), workers=0, redo=True
    )
    assert summary.retired == ("case_1",)
    assert not (tmp_path / "out/imagesTr/case_1.npz").exists()
    assert (tmp_path / "out/retired/imagesTr/case_1.npz").exists()
    assert (tmp_path / "out/retired/labelsTr/case_1.npz").exists()
    assert [pair["case"] for pair in described(tmp_path / "out")["training"]] == ["case_0", "case_2"]


def test_a_case_whose_files_were_taken_away_is_not_in_it(dataset, tmp_path):
    preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / "case_0.mha").unlink()
    (tmp_path / "out/labelsTr/case_0.npz").unlink()
    with pytest.warns(match="left the dataset: case_0"):
        preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    assert [pair["case"] for pair in described(tmp_path / "out")["training"]] == ["case_1", "case_2"]


def test_it_leaves_nothing_behind(dataset, tmp_path):
    preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    assert left_over(tmp_path / "out") == []


@pytest.mark.parametrize("content", [None, "", "{}", '{"training": [1]}', '{"training": [{"image": "a"}]}'])
def test_what_is_not_ours_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    why = "No such file or directory" if content is None else "it is not a run's"
    message = rf"dataset\.json: cannot be read \({why}.*`run` writes"
    with open_store(tmp_path) as store, pytest.raises(RecordError, match=message):
        listed_cases(store)


def test_a_case_that_has_left_the_dataset_or_failed_since_is_not_in_it(dataset, tmp_path):
    preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    (dataset / "ImagesTr/case_0.mha").unlink()
    write_metaimage(dataset / "LabelsTr/case_1.mha", np.zeros((4, 8, 9), np.int16), (3.0, 1.0, 2.0))
    with pytest.warns(match="no image"), pytest.warns(match="left the dataset: case_0"):
        preprocess(dataset, tmp_path / "out", RECIPE, workers=0)
    assert [pair["case"] for pair in described(tmp_path / "out")["training"]] == ["case_2"]
