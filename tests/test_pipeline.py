"""The whole recipe as one `Compose`: every choice against the oracle, and the same bits wherever it runs."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import CacheDataset, Dataset
from monai.data.utils import list_data_collate

from monai_mriprep.errors import RecipeError
from monai_mriprep.pipeline import build_transforms
from monai_mriprep.recipe import Normalization, Recipe
from tests.oracles import SYNTHETIC, SYNTHETIC_TARGET, dictionary, reference, relative_error

pytestmark = pytest.mark.filterwarnings("ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning")

OPTIONS = [
    {},
    {"grid": "nnunet"},
    {"boundary": "mirror"},
    {"grid": "nnunet", "boundary": "mirror", "clip": True},
    {"clip": True},
    {"order": 1},
    {"order": 0},
    {"order": (0, 3, 3)},
    {"order": (1, 3, 2), "boundary": "mirror", "grid": "nnunet"},
    {"foreground": "native"},
    {"foreground": "native", "clip": True, "grid": "nnunet"},
    {"order": (0, 1, 1), "foreground": "resampled"},
]


def recipe_of(foreground: str = "carried", **options: object) -> Recipe:
    return Recipe(normalization=Normalization(foreground=foreground), **options)


@pytest.mark.parametrize("case", SYNTHETIC)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_equals_the_oracle(synthetic, case, options):
    paths = dictionary(synthetic, case)
    found = build_transforms(recipe_of(**options), SYNTHETIC_TARGET)(paths)
    expected = reference(Path(paths["image"]), Path(paths["label"]), SYNTHETIC_TARGET, **options)
    assert set(found) == {"image", "label"}
    assert relative_error(found["image"][0].numpy(), expected.image) < 1e-6
    assert np.array_equal(found["label"][0].numpy(), expected.label)
    assert (found["image"].dtype, found["label"].dtype) == (torch.float32, torch.int8)
    for volume in found.values():
        np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-9)


def test_the_choice_of_foreground_matters(synthetic):
    """Else the tests above could not tell one from the other."""
    paths = dictionary(synthetic, "10001_0002")
    images = {
        kind: build_transforms(recipe_of(foreground=kind), SYNTHETIC_TARGET)(paths)["image"].as_tensor()
        for kind in ("carried", "native", "resampled")
    }
    assert float((images["carried"] - images["native"]).abs().max()) > 1e-3
    assert float((images["carried"] - images["resampled"]).abs().max()) > 0.1


def test_the_same_bits_here_in_a_cache_and_in_a_worker(synthetic, threads):
    steps = build_transforms(target=SYNTHETIC_TARGET)
    data = [dictionary(synthetic, case) for case in SYNTHETIC]
    threads(2)
    here = [steps(item) for item in data]
    threads(1)
    others = [
        [steps(item) for item in data],
        [pickle.loads(pickle.dumps(steps))(item) for item in data],
        list(CacheDataset(data, steps, progress=False)),
        list(DataLoader(Dataset(data, steps), batch_size=None, num_workers=2, collate_fn=_as_it_is)),
    ]
    for found in others:
        for one, other in zip(here, found, strict=True):
            for key in ("image", "label"):
                assert one[key].numpy().tobytes() == other[key].numpy().tobytes()
                assert torch.equal(one[key].affine, other[key].affine)


def _as_it_is(item: object) -> object:
    return item


def test_results_are_collated_with_their_metadata(synthetic):
    data = [dictionary(synthetic, "10001_0001")] * 2
    dataset = Dataset(data, build_transforms(target=SYNTHETIC_TARGET))
    (batch,) = DataLoader(dataset, batch_size=2, num_workers=1, collate_fn=list_data_collate)
    assert batch["image"].shape[:2] == (2, 1)
    assert batch["image"].affine.shape == (2, 4, 4)
    assert batch["image"].meta["filename_or_obj"] == [data[0]["image"]] * 2


def test_inference_takes_the_image_alone(synthetic):
    paths = dictionary(synthetic, "10002_0001")
    both = build_transforms(target=SYNTHETIC_TARGET)(paths)
    alone = build_transforms(target=SYNTHETIC_TARGET, stage="inference")({"image": paths["image"]})
    assert set(alone) == {"image"}
    assert torch.equal(alone["image"].as_tensor(), both["image"].as_tensor())


def test_the_target_of_the_recipe_is_the_default(synthetic):
    paths = dictionary(synthetic, "10002_0001")
    found = build_transforms(Recipe(target_spacing=SYNTHETIC_TARGET))(paths)
    np.testing.assert_allclose(found["image"].pixdim, SYNTHETIC_TARGET)


def test_without_any_target_the_error_says_so():
    with pytest.raises(RecipeError, match="no target spacing"):
        build_transforms()


@pytest.mark.parametrize("names", [{"stage": "test"}, {"source": "files"}])
def test_unknown_names_are_refused(names):
    with pytest.raises(RecipeError, match="stage must be training or inference"):
        build_transforms(target=SYNTHETIC_TARGET, **names)
