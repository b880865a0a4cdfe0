"""Random patches: those that MONAI crops of the loaded volumes, drawn by the same seeds; nothing else is read."""

from __future__ import annotations

import pickle
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor, load_decathlon_datalist
from monai.data.meta_obj import set_track_meta
from monai.data.utils import list_data_collate
from monai.transforms import Compose, Invertd, RandCropByLabelClassesd, RandFlipd, SpatialPadd
from monai.transforms.utils import allow_missing_keys_mode
from monai.utils.misc import set_determinism

from monai_mriprep import LoadNpzd, RandPatchd, Recipe, preprocess
from monai_mriprep.errors import GeometryError, LabelError, MriprepWarning, NpzError, ResamplingError
from monai_mriprep.formats.npz import encode_npz, read_npz
from monai_mriprep.formats.read import read_header
from monai_mriprep.transforms import RandPatchD, RandPatchDict, rand_patch
from monai_mriprep.transforms.tensors import grid_of
from monai_mriprep.volume import class_index
from tests.oracles import SYNTHETIC_TARGET, dictionary
from tests.runs import FOLDER_OF_0_1_0

CASE = "10001_0002"
KEYS = ["image", "label"]
SIZES = {"inside": (3, 8, 6), "one axis is shorter": (40, 8, 7), "all axes are": (64, 65, 66)}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:no available indices:UserWarning"),
    pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning"),
]


@pytest.fixture(scope="module")
def out(synthetic, tmp_path_factory) -> Path:
    """A run whose index has every voxel of each class, as MONAI looks for them."""
    root = tmp_path_factory.mktemp("patches") / "out"
    recipe = Recipe(target_spacing=SYNTHETIC_TARGET, orientation="PLI", crop="nonzero")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(class_index, "PER_CLASS", 10**6)
        patched.setattr(class_index, "IN_ALL", 10**7)
        assert not preprocess(synthetic, root, recipe, workers=0).failed
    return root


@pytest.fixture
def paths(out) -> dict[str, str]:
    return paths_of(out)


def paths_of(out: Path, case: str = CASE) -> dict[str, str]:
    folders = {"image": "imagesTr", "label": "labelsTr"}
    return {key: str(next((out / folder).glob(f"{case}*"))) for key, folder in folders.items()}


def of_monai(size: tuple[int, ...], ratios, num_samples: int, seed: int) -> Compose:
    crop = RandCropByLabelClassesd(
        KEYS, "label", size, ratios and [*ratios], num_classes=4, num_samples=num_samples, allow_smaller=True
    )
    chain = Compose([LoadNpzd(KEYS), crop, SpatialPadd(KEYS, size)])
    crop.set_random_state(seed)  # Compose has given it another one
    return chain


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("ratios", [None, (1, 2, 3, 0)])
def test_the_patches_are_those_that_monai_crops_and_pads_by_the_same_seed(paths, size, ratios):
    for seed in range(3):
        ours = RandPatchd(KEYS, size, ratios, num_samples=3)
        ours.set_random_state(seed)
        expected = of_monai(size, ratios, 3, seed)(paths)
        found = ours(paths)
        assert len(found) == len(expected) == 3
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            for key in KEYS:
                assert torch.equal(one[key].as_tensor(), other[key].as_tensor())
                assert one[key].dtype == other[key].dtype
                assert one[key].shape[1:] == size
                np.testing.assert_allclose(one[key].affine, other[key].affine, atol=1e-9)
                assert one[key].meta["patch_index"] == number
                for name in ("original_affine", "spatial_shape", "array_axes", "target_spacing", "filename_or_obj"):
                    assert_equal(one[key].meta[name], other[key].meta[name])


def assert_equal(one: object, other: object) -> None:
    assert type(one) is type(other)
    assert np.array_equal(one, other)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_patch_says_where_it_starts_in_the_volume(paths, size):
    whole = LoadNpzd("image")(paths)["image"]
    (sample,) = RandPatchd("image", size)(paths)
    patch = sample["image"]
    start = patch.meta["patch_start"]
    assert start.dtype == torch.int64
    assert torch.equal(patch.affine[:3, 3], whole.affine[:3, :3] @ start.double() + whole.affine[:3, 3])
    padded = np.pad(whole[0].numpy(), 70)
    z, y, x = (slice(70 + first, 70 + first + length) for first, length in zip(start.tolist(), size, strict=True))
    assert np.array_equal(patch[0].numpy(), padded[z, y, x])


def test_classes_come_by_their_ratios_and_any_of_their_voxels_is_a_centre(paths):
    """A patch of one voxel is its centre."""
    picks = RandPatchd("label", 1, (0, 3, 1), num_samples=500)
    picks.set_random_state(3)
    found = picks(paths)
    values = np.array([int(sample["label"]) for sample in found])
    assert abs((values == 1).mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 500)
    assert set(values) == {1, 2}
    centres = {tuple(sample["label"].meta["patch_start"].tolist()) for sample in found}
    assert len(centres) > 250


def test_no_label_is_read_to_place_a_patch(paths, monkeypatch):
    read = []
    part = rand_patch.read_npz_part
    monkeypatch.setattr(rand_patch, "read_npz", None)
    monkeypatch.setattr(rand_patch, "read_npz_part", lambda path, roi: [read.append(path), part(path, roi)][1])
    (sample,) = RandPatchd("image", (4, 5, 6))(paths)
    assert read == [Path(paths["image"])]
    assert sample["label"] == paths["label"]


def with_facts(path: str, place: Path, **changes: object) -> str:
    """A copy of a file with other facts in its comment; None takes one out."""
    volume = read_npz(path)
    facts = {name: value for name, value in {**volume.facts, **changes}.items() if value is not None}
    place.write_bytes(b"".join(encode_npz(replace(volume, facts=facts))))
    return str(place)


def test_where_the_comment_has_no_index_the_label_is_read(paths, tmp_path):
    without = {**paths, "label": with_facts(paths["label"], tmp_path / "a.npz", classes=None)}
    ours = RandPatchd(KEYS, (4, 5, 6), (1, 0, 4), 20)
    ours.set_random_state(0)
    samples = ours(without)
    assert [int(sample["label"][0, 2, 2, 3]) for sample in samples].count(2) > 5
    (tmp_path / "moved").mkdir()
    ours.set_random_state(0)
    moved = ours({**without, "label": shutil.copy(without["label"], tmp_path / "moved")})
    for sample, other in zip(samples, moved, strict=True):
        assert torch.equal(sample["image"].meta["patch_start"], other["image"].meta["patch_start"])
    old = paths_of(FOLDER_OF_0_1_0.with_name("folder_of_0_8_0") / "out", "10001_0001")
    assert [sample["image"].shape for sample in RandPatchd(KEYS, 3, num_samples=2)(old)] == [(1, 3, 3, 3)] * 2


def test_a_class_that_is_missing_is_warned_of_once(paths):
    ours = RandPatchd(KEYS, 4, (1, 1, 1, 1, 0, 2), num_samples=2)
    with pytest.warns(MriprepWarning) as caught:
        _ = ours(paths), ours(paths)
    assert [str(warning.message).partition(": ")[2] for warning in caught] == [
        "no voxel of class 5; its ratio is left to the other classes, here and in others"
    ]
    assert caught[0].filename == __file__


def test_of_a_case_without_any_class_that_has_a_ratio_patches_lie_anywhere_and_it_is_named_once(out, paths):
    ours = RandPatchd(KEYS, 4, (0, 0, 0, 0, 1, 2), num_samples=40)
    other = paths_of(out, "10001_0001")
    with pytest.warns(MriprepWarning) as caught:
        samples, _, _ = ours(paths), ours(other), ours(paths)
    assert [str(warning.message) for warning in caught] == [
        f"{one['label']}: no voxel of a class that has a ratio; its patches lie anywhere" for one in (paths, other)
    ]
    assert len({tuple(sample["image"].meta["patch_start"].tolist()) for sample in samples}) > 30
    assert {sample[key].shape for sample in samples for key in KEYS} == {(1, 4, 4, 4)}


def test_patches_go_back_to_where_they_lay_in_the_scan(synthetic, paths):
    """As what MONAI crops of the whole volume, padded or not."""
    for size in SIZES.values():
        ours = RandPatchd(KEYS, size)
        ours.set_random_state(1)
        (sample,), (crop,) = ours(paths), of_monai(size, None, 1, 1)(paths)
        expected = LoadNpzd(KEYS).inverse(crop)
        compose = Compose([ours])
        back = Invertd(KEYS, compose, orig_keys=KEYS, nearest_interp=[False, True], to_tensor=False)(sample)
        for key in KEYS:
            assert torch.equal(back[key].as_tensor(), expected[key].as_tensor())
            assert grid_of(back[key]) == read_header(dictionary(synthetic, CASE)[key]).grid
            assert back[key].applied_operations == []
            assert "patch_start" not in back[key].meta


def drawn(data: Dataset, workers: int) -> torch.Tensor:
    loader = DataLoader(data, batch_size=2, num_workers=workers, shuffle=True)
    return torch.cat([batch["image"].meta["patch_start"] for batch in loader])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.stress)])
def test_equal_seeds_give_equal_patches(out, workers):
    cases = [paths_of(out, case) for case in (CASE, "10001_0001", "10002_0001")] * 2
    found = []
    for seed in (5, 5, 6):
        set_determinism(seed)
        data = Dataset(cases, Compose([RandPatchd(KEYS, (4, 5, 6), num_samples=2), RandFlipd(KEYS, 0.5)]))
        found.append(drawn(data, workers))
    set_determinism(None)
    assert found[0].shape == (12, 3)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert len(found[0].unique(dim=0)) > 6  # nor do workers draw the same


def test_a_pickled_copy_draws_the_same(paths):
    ours = RandPatchd(KEYS, (4, 5, 6), num_samples=3)
    ours.set_random_state(2)
    copy = pickle.loads(pickle.dumps(ours))
    for one, other in zip(ours(paths), copy(paths), strict=True):
        assert torch.equal(one["image"].as_tensor(), other["image"].as_tensor())


def test_a_cache_does_not_keep_patches(paths):
    cached = CacheDataset([paths], RandPatchd("image", 1), progress=False)
    starts = {tuple(cached[0][0]["image"].meta["patch_start"].tolist()) for _ in range(20)}
    assert len(starts) > 10


def test_patches_are_collated_and_the_input_stays_as_it_was(paths):
    data = {**paths, "case": ["a"]}
    samples = RandPatchd(KEYS, (4, 5, 6), num_samples=2)(data)
    assert data == {**paths, "case": ["a"]}
    assert samples[0]["case"] == ["a"]
    assert samples[0]["case"] is not samples[1]["case"] is not data["case"]
    batch = list_data_collate([samples, samples])
    assert batch["image"].shape == (4, 1, 4, 5, 6)
    assert batch["image"].affine.shape == (4, 4, 4)


def test_plain_tensors_where_nothing_is_tracked(paths):
    set_track_meta(False)
    try:
        (sample,) = RandPatchd("image", (4, 5, 6))(paths)
    finally:
        set_track_meta(True)
    assert type(sample["image"]) is torch.Tensor
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = RandPatchd(KEYS, (4, 5, 6))
    with ours.trace_transform(False):
        assert ours(paths)[0]["image"].applied_operations == []


def test_a_whole_axis_and_one_number_for_all(paths):
    shape = read_npz(paths["label"]).array.shape[1:]
    (sample,) = RandPatchd(KEYS, (4, 0, -1))(paths)
    assert tuple(sample["image"].shape) == (1, 4, *shape[1:])
    (sample,) = RandPatchd(KEYS, 5)(paths)
    assert tuple(sample["image"].shape) == (1, 5, 5, 5)


def test_missing_keys(paths):
    ours = RandPatchd([*KEYS, "other"], 4)
    with pytest.raises(KeyError, match="other"):
        ours(paths)
    with allow_missing_keys_mode(ours):
        assert ours(paths)[0].keys() == paths.keys()
        with pytest.raises(ResamplingError, match=r"label: expected the path of an \.npz file, not missing"):
            ours({"image": paths["image"]})


def test_volumes_in_place_of_paths_are_refused(paths):
    with pytest.raises(ResamplingError, match=r"image: expected the path of an \.npz file, not MetaTensor"):
        RandPatchd(KEYS, 4)({**paths, "image": MetaTensor(torch.zeros(1, 2, 3, 4))})


def test_volumes_of_two_cases_are_refused(out, paths):
    """The other one may have no voxel there."""
    for seed in range(40):
        ours = RandPatchd(KEYS, 1)
        ours.set_random_state(seed)
        with pytest.raises(GeometryError, match="do not lie on one grid: the size differs"):
            ours({**paths, "image": paths_of(out, "10001_0001")["image"]})


def test_a_label_of_several_channels_is_refused(paths, tmp_path):
    volume = read_npz(paths["label"])
    two = replace(volume, array=np.concatenate([volume.array] * 2))
    (tmp_path / "a.npz").write_bytes(b"".join(encode_npz(two)))
    with pytest.raises(NpzError, match="has 2 channels; a label has one"):
        RandPatchd(KEYS, 4)({**paths, "label": tmp_path / "a.npz"})


def test_intensities_in_place_of_a_label_are_refused(paths):
    with pytest.raises(LabelError, match=rf"{paths['image']}: label value .* is not an integer"):
        RandPatchd("image", 4, label_key="image")(paths)


def test_an_index_that_the_label_cannot_have_is_refused(paths, tmp_path):
    bad = with_facts(paths["label"], tmp_path / "a.npz", classes={"1": [10**9, "AA=="]})
    with pytest.raises(NpzError, match=r"a\.npz: the index of its classes is not that of a label"):
        RandPatchd(KEYS, 4)({**paths, "label": bad})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"size": (1, 2)}, "size must be three whole numbers"),
        ({"size": (1.5, 2, 3)}, "size must be three whole numbers"),
        ({"size": "abc"}, "size must be three whole numbers"),
        ({"size": 4, "ratios": (0, 0)}, "ratios must be one number a class"),
        ({"size": 4, "num_samples": 0}, "num_samples must be 1 or more, not 0"),
    ],
)
def test_arguments_that_are_not_possible_are_refused_at_once(arguments, problem):
    with pytest.raises(ResamplingError, match=problem):
        RandPatchd(KEYS, **arguments)


@pytest.mark.stress
def test_patches_of_real_scans_are_those_of_their_volumes_and_hold_the_class_that_was_drawn(scans, tmp_path):
    size = (32, 128, 128)
    assert not preprocess(scans / "mixed", tmp_path / "out", workers=2, report=False).failed
    for case in load_decathlon_datalist(str(tmp_path / "out" / "dataset.json"), data_list_key="training"):
        volumes = {key: np.pad(np.load(case[key])["arr_0"], [(0, 0), *[(128, 128)] * 3]) for key in KEYS}
        for sample in RandPatchd(KEYS, size, (0, 1), num_samples=8)(case):
            start = [128 + first for first in sample["image"].meta["patch_start"].tolist()]
            z, y, x = (slice(first, first + length) for first, length in zip(start, size, strict=True))
            for key in KEYS:
                assert np.array_equal(sample[key].numpy(), volumes[key][:, z, y, x])
            assert (sample["label"] == 1).any()


def test_other_names():
    assert RandPatchD is RandPatchDict is RandPatchd
