"""The way back from preprocessed files: what `Invertd` makes of them is what it makes on the fly, and `restore`."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor, PersistentDataset, decollate_batch
from monai.data.utils import pad_list_data_collate
from monai.transforms import (
    Compose,
    Invertd,
    RandFlipd,
    RandSpatialCropd,
    SaveImaged,
    SpatialCropd,
    SpatialPadd,
    Transposed,
)

from monai_mriprep import AnisotropyAwareSpacingd, LoadNpzd, Recipe, build_transforms, preprocess
from monai_mriprep.errors import NpzError, RecordError, ResamplingError
from monai_mriprep.formats.npz import NpzVolume, encode_npz, read_npz
from monai_mriprep.formats.read import read_header
from monai_mriprep.restore.arrays import restore_array
from monai_mriprep.transforms import LoadNpz
from monai_mriprep.transforms.tensors import grid_of
from monai_mriprep.transforms.way_back import _recorded_trace, trace_of
from tests.oracles import SYNTHETIC, SYNTHETIC_TARGET, dictionary
from tests.runs import FOLDER_OF_0_1_0, done_records

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning"),
]

KEYS = ["image", "label"]
RECIPES = {"default": {}, "turned and cropped": {"orientation": "PLI", "crop": "nonzero", "grid": "nnunet"}}


class Output:
    """A finished run, and the same recipe on the fly."""

    def __init__(self, dataset: Path, root: Path, settings: dict) -> None:
        recipe = Recipe(target_spacing=SYNTHETIC_TARGET, **settings)
        assert not preprocess(dataset, root, recipe, workers=0).failed
        self.root, self.on_the_fly = root, build_transforms(recipe)
        self.cases = {name: dictionary(dataset, name) for name in SYNTHETIC}

    def paths(self, case: str) -> dict[str, str]:
        folders = {"image": "imagesTr", "label": "labelsTr"}
        return {key: str(next((self.root / folder).glob(f"{case}_*"))) for key, folder in folders.items()}


@pytest.fixture(scope="module", params=RECIPES.values(), ids=RECIPES)
def output(request, synthetic, tmp_path_factory) -> Output:
    return Output(synthetic, tmp_path_factory.mktemp("output"), request.param)


def predictions(image: torch.Tensor) -> dict[str, MetaTensor]:
    """What networks give: class numbers, class numbers in floats, a probability, and one for each of three classes."""
    values = torch.as_tensor(image)
    classes = (values * 2).round().clamp(0, 5)
    many = torch.cat([(turn * values).sin() for turn in (1, 2, 3)]).softmax(0)
    found = {"hard": classes.to(torch.uint8), "floats": classes, "one": many[:1], "many": many}
    return {key: MetaTensor(volume.clone()) for key, volume in found.items()}


def inverted(data: dict, transform) -> dict[str, MetaTensor]:
    """Each of the predictions for ``data["image"]``, back."""
    made = predictions(data["image"])
    nearest = [key == "floats" for key in made]
    invert = Invertd([*made], transform, orig_keys="image", nearest_interp=nearest, to_tensor=False)
    found = invert({**data, **made})
    return {key: found[key] for key in made}


def assert_same(found: dict[str, MetaTensor], expected: dict[str, MetaTensor]) -> None:
    for key, volume in expected.items():
        assert found[key].dtype == volume.dtype
        assert torch.equal(found[key].as_tensor(), volume.as_tensor()), key
        assert torch.equal(found[key].affine, volume.affine)


@pytest.mark.parametrize("case", SYNTHETIC)
def test_the_voxels_are_those_of_restore_and_of_invertd_on_the_fly(output, case):
    load = LoadNpzd(KEYS)
    data, computed = load(output.paths(case)), output.on_the_fly(output.cases[case])
    back, source = inverted(data, load), read_header(output.cases[case]["image"])
    assert_same(back, inverted(computed, output.on_the_fly))
    for key, volume in predictions(data["image"]).items():
        assert grid_of(back[key]) == source.grid
        probabilities = key in ("one", "many")
        restored = restore_array(volume.numpy(), trace_of(data["image"]), probabilities=probabilities)
        assert np.array_equal(back[key].numpy().reshape(restored.shape), restored)
    itk = SimpleITK.ReadImage(output.cases[case]["image"])
    assert tuple(back["hard"].shape[1:]) == itk.GetSize()[::-1]
    np.testing.assert_allclose(nibabel.affines.voxel_sizes(back["hard"].affine.numpy())[::-1], itk.GetSpacing())


def test_image_and_label_themselves_go_back_as_on_the_fly(output):
    case = next(iter(SYNTHETIC))
    load = build_transforms(source="npz")
    back = load.inverse(load(output.paths(case)))
    assert_same(back, output.on_the_fly.inverse(output.on_the_fly(output.cases[case])))
    for volume in back.values():
        assert volume.applied_operations == []
        assert not {"target_spacing", "grid_spacing"} & volume.meta.keys()
        assert volume.meta["spatial_shape"].tolist() == list(volume.shape[1:])
        assert torch.equal(volume.meta["original_affine"], volume.affine)
    one = LoadNpz()
    found = one(output.paths(case)["image"])
    assert torch.equal(one.inverse(found).as_tensor(), back["image"].as_tensor())


def test_traces_are_those_of_the_records(output):
    for record in done_records(output.root).values():
        for path in record.outputs.values():
            assert trace_of(LoadNpzd("x")({"x": output.root / path.path})["x"]) == record.trace


def test_what_random_transforms_have_done_is_undone_first(output):
    case = next(iter(SYNTHETIC))

    def chain(load):
        then = [RandFlipd(KEYS, prob=1, spatial_axis=0), RandSpatialCropd(KEYS, (6, 9, 8), random_size=False)]
        return Compose([load, *then]).flatten().set_random_state(seed=3)

    stored, computed = chain(LoadNpzd(KEYS)), chain(output.on_the_fly)
    data = stored(output.paths(case))
    assert data["image"].shape == (1, 6, 9, 8)
    assert_same(inverted(data, stored), inverted(computed(output.cases[case]), computed))
    back = inverted(data, LoadNpzd(KEYS))  # by our inverse alone, from where the patch lies
    assert_same({"hard": back["hard"]}, {"hard": inverted(data, stored)["hard"]})


@pytest.mark.parametrize("case", SYNTHETIC)
def test_a_part_is_a_crop_and_goes_back_as_one(output, case):
    roi = (slice(1, 7), slice(None, -2), slice(-9, None))
    load, paths = LoadNpzd(KEYS, roi=roi), output.paths(case)
    crop = Compose([LoadNpzd(KEYS), SpatialCropd(KEYS, roi_slices=roi)])
    part, cropped = load(paths), crop(paths)
    for key in KEYS:
        start = part[key].meta.pop("patch_start")
        assert (start.dtype, start.tolist()) == (torch.int64, [1, 0, LoadNpz()(paths[key]).shape[3] - 9])
        assert torch.equal(part[key].as_tensor(), cropped[key].as_tensor())
        np.testing.assert_allclose(part[key].affine, cropped[key].affine, rtol=0, atol=1e-12)
        kept, expected = ({**volume.meta, "affine": None} for volume in (part[key], cropped[key]))
        assert str(kept) == str(expected)
    assert_same(load.inverse(part), LoadNpzd(KEYS).inverse(cropped))
    for volume in inverted(part, load).values():
        assert grid_of(volume) == read_header(output.cases[case]["image"]).grid


def test_a_part_of_one_file_is_read_in_a_worker(output):
    paths = [output.paths(case)["image"] for case in SYNTHETIC]
    load = LoadNpz(roi=(slice(0, 4), slice(0, 5), slice(2, 8)))
    (batch,) = DataLoader(Dataset(paths, load), batch_size=3, num_workers=1)
    assert batch.shape == (3, 1, 4, 5, 6)
    assert batch.meta["patch_start"].tolist() == [[0, 0, 2]] * 3
    for path, found in zip(paths, batch, strict=True):
        assert torch.equal(found.as_tensor(), LoadNpz()(path).as_tensor()[:, :4, :5, 2:8])


@pytest.mark.parametrize("roi", [(slice(1),) * 2, (slice(None, None, 2),) * 3, slice(1), "roi", 3])
def test_a_roi_that_is_none_is_refused_where_the_transform_is_made(roi):
    with pytest.raises(ResamplingError, match="roi must be three slices, of z, y and x"):
        LoadNpzd(KEYS, roi=roi)


def test_a_roi_beside_the_volume_names_the_file(output):
    paths = output.paths(next(iter(SYNTHETIC)))
    with pytest.raises(NpzError, match=r"\.npz: it has .* voxels \(z y x\), and none in the roi .*; give another one"):
        LoadNpzd(KEYS, roi=(slice(900, None), slice(None), slice(None)))(paths)


@pytest.mark.parametrize("workers", [None, "fork", pytest.param("spawn", marks=pytest.mark.stress)])
def test_caches_workers_and_padded_batches_keep_the_way(output, workers, tmp_path):
    load = Compose([LoadNpzd(KEYS)])
    items = [output.paths(case) for case in SYNTHETIC]
    expected = [inverted(load(item), load) for item in items]
    options = {} if workers is None else {"num_workers": 1, "multiprocessing_context": workers}
    persistent = PersistentDataset(items, load, tmp_path, track_meta=True, weights_only=True)
    datasets = (
        [Dataset(items, load)] if workers else [persistent, persistent, CacheDataset(items, load, progress=False)]
    )
    for dataset in datasets:
        (batch,) = DataLoader(dataset, batch_size=3, collate_fn=pad_list_data_collate, **options)
        for case, item, found in zip(SYNTHETIC, decollate_batch(batch), expected, strict=True):
            padded = inverted(item, LoadNpzd(KEYS))
            grid = read_header(output.cases[case]["image"]).grid
            for key in ("hard", "floats"):  # sines have other last digits elsewhere in an array
                assert grid_of(padded[key]) == grid
                assert torch.equal(padded[key].as_tensor(), found[key].as_tensor())


def test_a_resampling_since_is_undone_by_its_own_inverse(output):
    chain = Compose([LoadNpzd(KEYS), AnisotropyAwareSpacingd(KEYS, (4, 2, 2)), SpatialPadd(KEYS, (20, 30, 30))])
    case = next(iter(SYNTHETIC))
    back = chain.inverse(chain(output.paths(case)))
    assert grid_of(back["label"]) == read_header(output.cases[case]["label"]).grid


def test_what_went_back_is_saved_on_the_grid_of_the_source(output, tmp_path):
    case, load = next(iter(SYNTHETIC)), LoadNpzd(KEYS)
    back = inverted(load(output.paths(case)), load)
    SaveImaged("hard", output_dir=tmp_path, output_ext=".nii.gz", separate_folder=False, print_log=False)(back)
    (saved,) = tmp_path.iterdir()
    assert nibabel.load(saved).shape == tuple(back["hard"].shape[1:])
    np.testing.assert_allclose(nibabel.load(saved).affine, back["hard"].affine, atol=1e-4)


# --- Where the comment does not tell ----------------------------------------------------------------------------------


def write(path: Path, facts: dict, affine=None) -> str:
    array = np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype(np.float32)
    affine = np.diag([3.0, 2, 1, 1]) if affine is None else affine
    path.write_bytes(b"".join(encode_npz(NpzVolume(array, np.array([3.0, 2, 1]), affine, facts))))
    return str(path)


@pytest.mark.parametrize("version", ["0_1_0", "0_2_0", "0_3_0", "0_4_0"])
def test_files_of_older_versions_go_back_by_their_record(version, tmp_path):
    root = shutil.copytree(FOLDER_OF_0_1_0.parent / f"folder_of_{version}" / "out", tmp_path / "out")
    for record in done_records(root).values():
        load = LoadNpzd("image")
        data = load({"image": str(root / record.outputs["image"].path)})
        back = inverted(data, load)
        assert grid_of(back["hard"]) == record.source_grid
        restored = restore_array(predictions(data["image"])["hard"].numpy(), record.trace)
        assert np.array_equal(back["hard"].numpy()[0], restored)


def test_an_older_file_that_was_taken_away_names_restore(tmp_path):
    source = next((FOLDER_OF_0_1_0 / "out/imagesTr").iterdir())
    path = shutil.copy(source, tmp_path / "away.npz")
    load = LoadNpzd("image")
    data = load({"image": path})
    for undo in (load.inverse, lambda data: inverted(data, load)):
        with pytest.raises(RecordError, match=r"away\.npz: its comment does not hold what was done .* `restore` there"):
            undo(data)


WRONG = {"no object": "rubbish", "a list": [1], "empty": {}, "halved": {"source": {"shape": [1, 2, 3]}, "steps": []}}


@pytest.mark.parametrize("trace", WRONG.values(), ids=WRONG)
def test_a_trace_that_is_none_loads_and_has_no_way_back(tmp_path, trace):
    load = LoadNpzd("image")
    data = load({"image": write(tmp_path / "a.npz", {"trace": trace, "role": 7})})
    assert data["image"].shape == (1, 4, 5, 6)
    with pytest.raises(RecordError, match=r"a\.npz: "):
        load.inverse(data)


def test_a_trace_of_another_grid_is_refused(output, tmp_path):
    facts = read_npz(output.paths(next(iter(SYNTHETIC)))["image"]).facts
    load = LoadNpzd("image")
    data = load({"image": write(tmp_path / "a.npz", dict(facts))})
    with pytest.raises(RecordError, match=r"a\.npz: what was done to it, as recorded, does not lead to its grid"):
        load.inverse(data)


def test_the_array_is_not_turned_behind_its_affine(output):
    data = Transposed("image", (0, 3, 2, 1))(LoadNpzd("image")(output.paths(next(iter(SYNTHETIC)))))
    with pytest.raises(ResamplingError, match="the file's shape the other way round"):
        AnisotropyAwareSpacingd("image", (3, 2, 2))(data)


def test_nothing_is_recorded_where_nothing_is_to_be_traced(output):
    load = LoadNpzd("image")
    with load.trace_transform(False):
        assert load(output.paths(next(iter(SYNTHETIC))))["image"].applied_operations == []


def test_a_file_beside_no_records_is_told_of_them_wherever_it_lies():
    with pytest.raises(RecordError, match="so it goes back only by its record"):
        _recorded_trace(Path("/a.npz"))
