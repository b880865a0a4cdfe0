"""A loader as the published ones for PANTHER are written, which knows nothing of this package, reads our output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data.dataloader import DataLoader
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import RandCropByLabelClassesd, SpatialPadd
from torch.utils.data import Dataset

from monai_mriprep import LoadNpzd, preprocess
from monai_mriprep.demo.phantoms import LESION, PANCREAS, make_demo_dataset

PATCH = (16, 48, 48)


class PantherDataset(Dataset):
    """Image and label by position in the sorted folders; `arr_0` and nothing else."""

    def __init__(self, root: Path) -> None:
        self.images = sorted(root.glob("imagesTr/*"))
        self.labels = sorted(root.glob("labelsTr/*"))
        keys = ["image", "label"]
        self.transform = Compose(
            [
                SpatialPadd(keys, PATCH),
                RandCropByLabelClassesd(
                    keys, label_key="label", spatial_size=PATCH, ratios=[0, 1, 1], num_classes=3, num_samples=2
                ),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[dict[str, torch.Tensor]]:
        image = np.load(self.images[index])["arr_0"]
        label = np.load(self.labels[index])["arr_0"]
        return self.transform({"image": torch.from_numpy(image), "label": torch.from_numpy(label)})


@pytest.fixture(scope="module")
def output_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("panther")
    make_demo_dataset(root / "dataset")
    assert len(preprocess(root / "dataset", root / "output", workers=0).done) == 6
    return root / "output"


pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


def test_every_file_is_taken_and_pairs_stay_pairs(output_root):
    data = PantherDataset(output_root)
    assert len(data) == len(data.labels) == 6
    for image, label in zip(data.images, data.labels, strict=True):
        assert image.stem == f"{label.stem}_0000"
        with np.load(image) as one, np.load(label) as other:
            assert sorted(one.files) == sorted(other.files) == ["arr_0", "spacing"]
            assert one["arr_0"].shape == other["arr_0"].shape
            assert (one["arr_0"].dtype, other["arr_0"].dtype) == (np.float32, np.int8)
            np.testing.assert_array_equal(one["spacing"], other["spacing"])


def test_patches_are_batched_with_classes_in_their_centres(output_root):
    data = PantherDataset(output_root)
    data.transform.set_random_state(0)
    found = set()
    for batch in DataLoader(data, batch_size=3):
        assert batch["image"].shape == batch["label"].shape == (6, 1, *PATCH)
        assert batch["image"].dtype == torch.float32
        assert torch.isfinite(batch["image"]).all()
        assert (batch["label"] > 0).flatten(1).any(1).all()
        found |= set(batch["label"].unique().tolist())
    assert found == {0, PANCREAS, LESION}


@pytest.mark.stress
def test_a_patch_is_cut_out_of_the_stored_volume(output_root):
    data = PantherDataset(output_root)
    data.transform.set_random_state(1)
    volumes = LoadNpzd(["image", "label"])({"image": data.images[2], "label": data.labels[2]})
    padded = SpatialPadd(["image", "label"], PATCH)(volumes)
    for patch in data[2]:
        windows = padded["label"][0].as_tensor().unfold(0, 16, 1).unfold(1, 48, 1).unfold(2, 48, 1)
        same = (windows == patch["label"][0].as_tensor()).flatten(3).all(-1).nonzero()
        (z, y, x) = same[0].tolist()
        box = padded["image"][0, z : z + 16, y : y + 48, x : x + 48]
        assert torch.equal(box.as_tensor(), patch["image"][0].as_tensor())
