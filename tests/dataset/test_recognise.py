"""Which layout a folder has, and what is said of one that fits none."""

import pytest

from monai_mriprep.dataset.recognise import recognise, recognise_images
from monai_mriprep.errors import DatasetError
from tests.dataset.files import nnunet, touch


def test_a_folder_with_one_dataset_leads_to_it(tmp_path):
    nnunet(tmp_path / "Dataset005_Prostate")

    layout = recognise(tmp_path)

    assert (layout.root, layout.kind) == (tmp_path / "Dataset005_Prostate", "nnU-Net raw")
    assert layout.seen.endswith(f"; in {tmp_path / 'Dataset005_Prostate'}")


def test_of_several_datasets_one_is_to_be_named(tmp_path):
    nnunet(tmp_path / "Dataset005_Prostate")
    nnunet(tmp_path / "Dataset001_Brain")

    with pytest.raises(DatasetError, match="2 datasets: Dataset001_Brain, Dataset005_Prostate; name one, such as"):
        recognise(tmp_path)


def test_of_a_dataset_its_test_images_alone_are_taken(tmp_path):
    nnunet(tmp_path)
    with pytest.raises(DatasetError, match="holds no folder ImagesTs or imagesTs"):
        recognise_images(tmp_path)
    touch(tmp_path, "imagesTs/c_0000.nii.gz", "imagesTs/c_0001.nii.gz")

    for root in (tmp_path, tmp_path / "imagesTs"):
        layout = recognise_images(root)
        assert (layout.images, layout.labels, layout.channels) == (tmp_path / "imagesTs", None, ("T2", "ADC"))
        assert [case.name for case in layout.cases(with_labels=False).cases] == ["c"]
