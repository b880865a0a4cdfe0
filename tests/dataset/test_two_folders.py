"""Our layout, nnU-Net's and the Decathlon's: what their `dataset.json` adds."""

import pytest

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.two_folders import folder_of_images, folder_of_tests, named_folders, two_folders
from monai_mriprep.errors import DatasetError
from tests.dataset.files import declare, nnunet, touch


def test_images_beside_labels_are_taken_by_these_names_unless_it_is_unclear_which(tmp_path):
    names = ["images/a.mha", "masks/a.mha"]
    touch(tmp_path, *names, "labels/a.mha")

    assert named_folders(tmp_path, names).labels == tmp_path / "masks"
    for other in ("labels/a.mha", "image/a.mha"):
        assert named_folders(tmp_path, [*names, other]) is None


@pytest.mark.parametrize(("images", "labels"), [("Images", "Labels"), ("image", "MASK")])
def test_their_letters_and_number_do_not_count(tmp_path, images, labels):
    names = [f"{images}/a.mha", f"{labels}/a.mha"]
    touch(tmp_path, *names)

    layout = named_folders(tmp_path, names)

    assert (layout.images, layout.labels) == (tmp_path / images, tmp_path / labels)


def test_our_layout_declares_nothing(tmp_path):
    touch(tmp_path, "ImagesTr/10000_0001_0000.mha", "LabelsTr/10000_0001.mha")

    layout = two_folders(tmp_path)

    assert (layout.images, layout.labels) == (tmp_path / "ImagesTr", tmp_path / "LabelsTr")
    assert (layout.kind, layout.channels, layout.label_values) == ("ImagesTr and LabelsTr", (), None)
    assert layout.seen == "ImagesTr and LabelsTr: 1 image file in ImagesTr, 1 label in LabelsTr"
    assert layout.cases().cases == (CaseFiles("10000_0001_0000", ("10000_0001_0000.mha",), "10000_0001.mha"),)


def test_nnunet_raw_declares_its_channels_and_labels(tmp_path):
    layout = two_folders(nnunet(tmp_path, labels={"background": 0, "whole": [1, 2], "ignore": 3}))

    assert (layout.kind, layout.channels) == ("nnU-Net raw", ("T2", "ADC"))
    assert layout.label_values.values == (0, 1, 2, 3)
    assert layout.seen == (
        "nnU-Net raw: 4 image files in imagesTr, 2 labels in labelsTr; channels T2, ADC; 2 classes and 3 for what is "
        "ignored"
    )
    assert layout.cases().cases[0] == CaseFiles("a", ("a_0000.nii.gz", "a_0001.nii.gz"), "a.nii.gz")


def test_one_declared_channel_changes_no_name(tmp_path):
    touch(nnunet(tmp_path, channels=("T2",)), "imagesTr/10000_0001.mha", "labelsTr/10000_0001_seg.mha")

    layout = two_folders(tmp_path)

    assert layout.channels == ()
    assert [case.name for case in layout.cases().cases] == ["10000_0001", "a_0000", "b_0000"]


def test_of_several_channels_the_ending_counts(tmp_path):
    touch(nnunet(tmp_path, ending=".nrrd"), "imagesTr/a_0000.mha.nrrd.json", "imagesTr/c_0000.mha", "labelsTr/c.mha")

    layout = two_folders(tmp_path)

    assert [case.name for case in layout.cases().cases] == ["a", "b"]
    assert layout.label_names == ("a.nrrd", "b.nrrd")
    said = "1 file in {} left out: dataset.json says that names end in .nrrd"
    assert layout.cases().notes == (said.format("imagesTr"), said.format("labelsTr"))
    assert folder_of_images(tmp_path / "imagesTr").cases(with_labels=False).notes == (said.format("imagesTr"),)


def test_an_ending_that_is_not_read_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"end in '\.png', which is not read"):
        two_folders(nnunet(tmp_path, ending=".png"))


def test_version_1_numbers_its_files_and_the_decathlon_does_not(tmp_path):
    old, decathlon = tmp_path / "old", tmp_path / "Task01"
    touch(old, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")
    touch(decathlon, "imagesTr/._a.nii.gz", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "imagesTs/b.nii.gz")
    for root in (old, decathlon):
        declare(root, modality={"0": "FLAIR", "1": "T1w"}, labels={"0": "background", "1": "edema"}, training=[])

    first, second = two_folders(old), two_folders(decathlon)

    assert (first.kind, second.kind) == ("nnU-Net raw (version 1)", "Medical Segmentation Decathlon")
    assert first.cases().cases == (CaseFiles("a", ("a_0000.nii.gz", "a_0001.nii.gz"), "a.nii.gz"),)
    assert second.cases().cases == (CaseFiles("a", ("a.nii.gz",), "a.nii.gz"),)
    assert first.channels == second.channels == second.cases().channels == ("FLAIR", "T1w")
    assert second.test_images == decathlon / "imagesTs"


def test_a_dataset_may_list_its_files_wherever_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("SCANS", str(tmp_path / "scans"))
    touch(tmp_path / "scans", "a/a-t1n.mha", "a/a-t1c.mha", "a/a-seg.mha", "b/b-t1n.mha", "b/b-t1c.mha", "b/b-seg.mha")
    listed = {
        case: {
            "images": [f"$SCANS/{case}/{case}-t1n.mha", f"../scans/{case}/{case}-t1c.mha"],
            "label": f"$SCANS/{case}/{case}-seg.mha",
        }
        for case in ("b", "a")
    }
    declare(tmp_path / "Dataset226_X", channel_names={"0": "T1", "1": "T1C"}, labels={"background": 0}, dataset=listed)

    layout = two_folders(tmp_path / "Dataset226_X")

    assert layout.label_values.values == (0,)
    assert layout.images == layout.labels == tmp_path / "scans"
    assert layout.cases().cases == (
        CaseFiles("a", ("a/a-t1n.mha", "a/a-t1c.mha"), "a/a-seg.mha"),
        CaseFiles("b", ("b/b-t1n.mha", "b/b-t1c.mha"), "b/b-seg.mha"),
    )
    assert layout.input_folders == (tmp_path / "scans/a", tmp_path / "scans/b"), "an output may lie beside them"
    for channels, images in (("T1", "T1C", "T2"), 2), (("T1",), 2):
        names = {str(number): name for number, name in enumerate(channels)}
        declare(tmp_path / "Dataset226_X", channel_names=names, labels={"background": 0}, dataset=listed)
        with pytest.raises(DatasetError, match=f"case 'b' has {images} images for {len(channels)} channels"):
            two_folders(tmp_path / "Dataset226_X")


def test_a_dataset_json_that_is_broken_is_told(tmp_path):
    touch(tmp_path, "imagesTr/a.mha", "labelsTr/a.mha", "dataset.json")

    layout = two_folders(tmp_path)

    (note,) = layout.cases().notes
    assert note.startswith(f"{tmp_path / 'dataset.json'} is not read: JSONDecodeError")
    assert len(layout.cases().cases) == 1


def test_test_images_take_their_channels_from_the_dataset_around_them(tmp_path):
    touch(nnunet(tmp_path), "imagesTs/c_0000.nii.gz", "imagesTs/c_0001.nii.gz")

    assert folder_of_tests(tmp_path) == tmp_path / "imagesTs"
    layout = folder_of_images(tmp_path / "imagesTs")

    assert layout.labels is None
    assert layout.cases(["ADC"], with_labels=False).cases == (CaseFiles("c", ("c_0001.nii.gz",)),)
    assert layout.cases(with_labels=False).cases == (CaseFiles("c", ("c_0000.nii.gz", "c_0001.nii.gz")),)


def test_other_images_take_their_channels_from_their_own_folder(tmp_path):
    touch(nnunet(tmp_path, channels=("T2", "ADC")), "new/c_0000.nii.gz", "new/c_0001.nii.gz")

    assert folder_of_images(tmp_path / "new").channels == ()
    declare(tmp_path / "new", channel_names={"0": "ADC", "1": "T2"}, labels={})
    assert folder_of_images(tmp_path / "new").channels == ("ADC", "T2")


def test_a_folder_of_images_stands_for_itself(tmp_path):
    touch(tmp_path, "a_seg.mha", "a_t1.mha", "a_t2.mha", "b_t2.mha", "b_t1.mha", "notes.txt")

    layout = folder_of_images(tmp_path)

    assert layout.seen == f"folder of images: 4 image files in {tmp_path}"
    assert [case.name for case in layout.cases(with_labels=False).cases] == ["a_t1", "a_t2", "b_t1", "b_t2"]
    assert [case.name for case in layout.cases(["t1", "t2"], with_labels=False).cases] == ["a", "b"]


def test_one_declared_channel_and_several_files_a_case_contradict_each_other(tmp_path):
    declare(tmp_path, channel_names={"0": "T2"})
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz")
    layout = two_folders(tmp_path)

    with pytest.raises(DatasetError, match=r"declares one channel, T2, and each case has _0000, _0001"):
        layout.cases()
    for channels in (("0000", "0001"), ("0000",)):
        (case,) = layout.cases(channels).cases
        assert case.image == tuple(f"a_{number}.nii.gz" for number in channels)
