"""What every transform owes its users, run over all of them."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import CacheDataset, Dataset, PersistentDataset
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import list_data_collate
from monai.transforms.compose import Compose
from monai.transforms.transform import Transform
from monai.transforms.utils import allow_missing_keys_mode

from monai_mriprep import transforms
from monai_mriprep.recipe import Recipe
from monai_mriprep.steps import steps_of
from monai_mriprep.transforms import (
    AnisotropyAwareSpacingd,
    ApplyStepsd,
    CastLabeld,
    LoadNpzd,
    LoadVolumed,
    MatchGeometryd,
    NonZeroMaskd,
    NormalizeNonZerod,
    ResampleNormalized,
    SaveNpzd,
    StemPaird,
)
from monai_mriprep.types import ROLES
from tests.oracles import SYNTHETIC_TARGET, dictionary

CASE = "10001_0002"
BOTH = ["image", "label"]
LOADED = LoadVolumed(BOTH)
CARRIED = AnisotropyAwareSpacingd([*BOTH, "foreground"], target=SYNTHETIC_TARGET)
ALL_STEPS = ApplyStepsd(
    {role.name: role for role in ROLES},
    steps_of(Recipe(orientation="RAS", crop="nonzero", crop_margin=2.0), SYNTHETIC_TARGET),
)

CONTRACTS = {
    "StemPaird": lambda root, out: ([], StemPaird(root / "LabelsTr")),
    "LoadVolumed": lambda root, out: ([], LOADED),
    "MatchGeometryd": lambda root, out: ([LOADED], MatchGeometryd()),
    "NonZeroMaskd": lambda root, out: ([LOADED], NonZeroMaskd()),
    "AnisotropyAwareSpacingd": lambda root, out: ([LOADED, NonZeroMaskd()], CARRIED),
    "AnisotropyAwareSpacingd, a table": lambda root, out: (
        [LOADED],
        AnisotropyAwareSpacingd(
            BOTH, statistics=root / "mri_statistics.csv", axis_order="zyx", grid="nnunet", boundary="mirror"
        ),
    ),
    "AnisotropyAwareSpacingd, nothing to do": lambda root, out: (
        [LOADED],
        AnisotropyAwareSpacingd(BOTH, target=(6.0, 0.9, 0.8), clip=True),
    ),
    "ResampleNormalized": lambda root, out: ([LOADED], ResampleNormalized(BOTH, target=SYNTHETIC_TARGET)),
    "ApplyStepsd": lambda root, out: ([LOADED], ALL_STEPS),
    "NormalizeNonZerod": lambda root, out: ([LOADED], NormalizeNonZerod("image")),
    "NormalizeNonZerod, a mask": lambda root, out: (
        [LOADED, NonZeroMaskd(), CARRIED],
        NormalizeNonZerod(["image"], mask_key="foreground"),
    ),
    "CastLabeld": lambda root, out: ([LOADED], CastLabeld("label")),
    "SaveNpzd": lambda root, out: ([LOADED], SaveNpzd(BOTH, out)),
    "LoadNpzd": lambda root, out: ([LOADED, SaveNpzd(BOTH, out), Outputs(out)], LoadNpzd(BOTH)),
}

pytestmark = pytest.mark.filterwarnings("ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning")


class Outputs(Transform):
    """Exchange the volumes for the paths of what was written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, data: dict) -> dict:
        return {
            "image": str(self.root / "imagesTr" / f"{CASE}_t2w.npz"),
            "label": str(self.root / "labelsTr" / f"{CASE}_seg.npz"),
        }


@pytest.fixture(params=CONTRACTS)
def contract(request, synthetic, tmp_path) -> tuple[dict, list, Transform]:
    """The paths of a case, what goes before, and the transform itself.

    Compose counts as random, so MONAI would not cache what stands in one inside another.
    """
    before, transform = CONTRACTS[request.param](synthetic, tmp_path / "out")
    return dictionary(synthetic, CASE), before, transform


def assert_same(one: object, other: object) -> None:
    """Equal in type, bits, place and metadata."""
    assert type(one) is type(other)
    if isinstance(one, MetaTensor):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert torch.equal(one.as_tensor(), other.as_tensor())
        assert_same(dict(one.meta), dict(other.meta))
        assert_same(one.applied_operations, other.applied_operations)
    elif isinstance(one, dict):
        assert list(map(str, one)) == list(map(str, other))
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    else:
        assert np.array_equal(one, other)


RANDOM = {"RandPatchd"}
"""Has a contract of its own: `test_rand_patch`."""


def test_every_transform_is_under_contract():
    named = {name for name in transforms.__all__ if name.endswith("d")}
    assert {name.partition(",")[0] for name in CONTRACTS} == named - RANDOM


def test_input_and_transform_are_left_as_they_were(contract):
    paths, before, transform = contract
    data = Compose(before)(paths)
    snapshot, state = copy.deepcopy(data), pickle.dumps(transform)
    first = transform(data)
    assert first is not data
    assert_same(data, snapshot)
    assert_same(transform(data), first)
    assert pickle.dumps(transform) == state


def test_a_pickled_copy_does_the_same(contract):
    paths, before, transform = contract
    data = Compose(before)(paths)
    assert_same(pickle.loads(pickle.dumps(transform))(data), transform(data))


def test_works_in_compose_cache_and_worker(contract):
    paths, before, transform = contract
    steps = Compose([*before, transform])
    expected = steps(paths)
    assert_same(CacheDataset([paths], steps, progress=False)[0], expected)
    (found,) = DataLoader(Dataset([paths], steps), batch_size=None, num_workers=1, collate_fn=_as_it_is)
    assert_same(found, expected)


def _as_it_is(item: object) -> object:
    return item


@pytest.mark.parametrize("track_meta", [False, True])
def test_results_survive_a_persistent_cache(contract, tmp_path, track_meta):
    """MONAI's default keeps the tensors without metadata; with it, the affine comes back, too."""
    paths, before, transform = contract
    steps = Compose([*before, transform])
    expected = steps(paths)
    options = {"cache_dir": tmp_path / "cache", "track_meta": track_meta, "weights_only": not track_meta}
    PersistentDataset([paths], steps, **options)[0]  # makes it; the next one reads it
    assert len(list((tmp_path / "cache").iterdir())) == 1
    found = PersistentDataset([paths], steps, **options)[0]
    for key, value in expected.items():
        if not isinstance(value, torch.Tensor):
            assert found[key] == value
            continue
        assert torch.equal(torch.as_tensor(found[key]), value.as_tensor())
        assert isinstance(found[key], MetaTensor) is track_meta
        if track_meta:
            assert torch.equal(found[key].affine, value.affine)


def test_results_and_their_metadata_are_collated(contract):
    paths, before, transform = contract
    results = [transform(Compose(before)(paths)) for _ in range(2)]
    batch = list_data_collate(results)
    for key, value in results[0].items():
        if isinstance(value, MetaTensor):
            assert batch[key].shape == (2, *value.shape)
            assert torch.equal(batch[key].affine, torch.stack([value.affine] * 2))
            assert batch[key].meta["filename_or_obj"] == [value.meta["filename_or_obj"]] * 2


def test_a_missing_key_is_named_or_passed_over(contract):
    _, _, transform = contract
    with pytest.raises(KeyError):
        transform({})
    with allow_missing_keys_mode(transform):
        assert transform({}) == {}
    assert not transform.allow_missing_keys
    assert transform.backend


def test_names_as_in_monai():
    """A name with d, D or Dict works on dictionaries; one without on a single array."""
    for name in (name for name in transforms.__all__ if name.endswith("d")):
        for alias in (f"{name[:-1]}D", f"{name[:-1]}Dict"):
            assert getattr(transforms, alias) is getattr(transforms, name)
    of_one = {name for name in transforms.__all__ if not name.endswith(("d", "D", "Dict", "Reader"))}
    assert of_one == set(OF_ONE)


OF_ONE = {
    "LoadVolume": (LoadVolumed, {}),
    "LoadNpz": (LoadNpzd, {}),
    "NonZeroMask": (partial(NonZeroMaskd, mask_key="image"), {}),
    "AnisotropyAwareSpacing": (AnisotropyAwareSpacingd, {"target": SYNTHETIC_TARGET}),
    "ResampleNormalize": (ResampleNormalized, {"target": SYNTHETIC_TARGET}),
    "NormalizeNonZero": (NormalizeNonZerod, {}),
    "CastLabel": (CastLabeld, {}),
}


@pytest.mark.parametrize("name", OF_ONE)
def test_one_array_fares_as_one_key(synthetic, tmp_path, name):
    (of_keys, options), paths = OF_ONE[name], dictionary(synthetic, CASE)
    value = paths["label" if name == "CastLabel" else "image"]
    if name == "LoadNpz":
        value = Outputs(tmp_path)(SaveNpzd(BOTH, tmp_path)(LOADED(paths)))["image"]
    elif name != "LoadVolume":
        value = transforms.LoadVolume()(value)
    one, expected = getattr(transforms, name)(**options), of_keys("image", **options)({"image": value})["image"]
    assert_same(one(value), expected)
    if hasattr(one, "inverse") and name != "LoadNpz":  # what no run has written has no way back
        back = of_keys("image", **options).inverse({"image": expected})["image"]
        assert_same(one.inverse(one(value)), back)
