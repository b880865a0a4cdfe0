"""Which layout a folder has, what a run of it needs, and what is said of a folder that fits none."""

import pytest

from monai_mriprep.dataset.recognise import recognise, recognise_images
from monai_mriprep.errors import DatasetError
from tests.dataset.files import nnunet, touch
from tests.layouts import LAYOUTS, names_alone, write_layout

EXPECTED = {
    "ours": ("ImagesTr and LabelsTr", "", 1, ["10000_0001_0000", "10000_0002_0000"]),
    "nnU-Net": ("nnU-Net raw", "", 2, ["10000_0001", "10000_0002"]),
    "numbered": ("imagesTr and labelsTr", "", 2, ["10000_0001", "10000_0002"]),
    "Decathlon": ("Medical Segmentation Decathlon", "", 1, ["BRATS_001", "BRATS_002"]),
    "BraTS 2021": ("one folder a case (BraTS)", "t1,t1ce,t2,flair", 4, ["BraTS2021_00000", "BraTS2021_00002"]),
    "BraTS 2023": ("one folder a case (BraTS)", "t1n,t1c,t2w,t2f", 4, ["BraTS-GLI-00000-000", "BraTS-GLI-00002-000"]),
    "folder a case": ("one folder a case", "", 1, ["case_2", "case_10"]),
    "PI-CAI": ("PI-CAI", "t2w,adc,hbv", 3, ["10000_1000000", "10001_1000001"]),
    "BIDS": ("BIDS", "T1w,FLAIR", 2, ["sub-01_ses-1", "sub-02_ses-1"]),
    "flat": ("flat folder", "", 1, ["case_2", "case_10"]),
    "flat with channels": ("flat folder", "t1,flair", 2, ["case_2", "case_10"]),
    "named folders": ("images and masks", "", 1, ["case_2", "case_10"]),
}
"""The kind of each layout, the channels that its options name, the number of its files, and its cases."""
FLAT_OUTPUTS = ("ours", "nnU-Net", "numbered", "Decathlon", "PI-CAI", "flat", "flat with channels", "named folders")


def channels_of(layout) -> list[str] | None:
    """What its options declare."""
    return layout.options[1].split(",") if layout.options else None


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_recognised_and_run_with_its_options(tmp_path, name):
    kind, channels, files, cases = EXPECTED[name]
    root = write_layout(name, tmp_path, names_alone)

    layout = recognise(root)

    assert (layout.kind, ",".join(channels_of(layout) or [])) == (kind, channels)
    assert layout.seen.startswith(kind)
    grouping = layout.cases(channels_of(layout))
    assert [case.name for case in grouping.cases] == cases
    assert {len(case.image) for case in grouping.cases} == {files}
    assert (*grouping.unpaired_images, *grouping.unpaired_labels) == ()
    for case in grouping.cases:
        assert all((layout.images / file).is_file() for file in case.image)
        assert (layout.labels / case.label).is_file()
    assert all("/" not in case.label for case in grouping.cases) == (name in FLAT_OUTPUTS)
    if channels:
        with pytest.raises(DatasetError, match=f"add --channels {channels}"):
            layout.cases()


@pytest.mark.parametrize("name", LAYOUTS)
def test_of_each_layout_the_images_alone_may_be_taken(tmp_path, name):
    root = write_layout(name, tmp_path, names_alone)
    if name == "numbered":
        with pytest.raises(DatasetError, match="holds no folder ImagesTs or imagesTs"):
            recognise_images(root)
        return

    layout = recognise_images(root)

    assert layout.labels is None
    grouping = layout.cases(EXPECTED[name][1].split(",") if EXPECTED[name][1] else None, with_labels=False)
    tests = {"ours": ["10001_0001_0000"], "nnU-Net": ["10001_0001"], "Decathlon": ["BRATS_485"]}
    assert [case.name for case in grouping.cases] == tests.get(name, EXPECTED[name][3])
    assert {len(case.image) for case in grouping.cases} == {EXPECTED[name][2]}
    assert all(case.label is None for case in grouping.cases)


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


def test_links_are_followed(tmp_path):
    write_layout("BraTS 2023", tmp_path / "real", names_alone)
    (tmp_path / "root").mkdir()
    for folder in (tmp_path / "real").iterdir():
        (tmp_path / "root" / folder.name).symlink_to(folder)

    assert [case.name for case in recognise(tmp_path / "root").cases(["t1c"]).cases] == EXPECTED["BraTS 2023"][3]


def test_a_folder_inside_the_named_one_may_hold_the_images(tmp_path):
    touch(tmp_path, "images/a.mha", "images/b.mha")

    assert recognise_images(tmp_path).images == tmp_path / "images"


# --- What fits no layout ----------------------------------------------------------------------------------------------


def write_dicom(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM")


def test_a_tree_of_dicom_series_is_told_how_to_convert_it(tmp_path):
    root = tmp_path / "my scans"
    write_dicom(root / "patient 1" / "study" / "series" / "IM0001")

    for recognise_it in (recognise, recognise_images):
        with pytest.raises(DatasetError) as caught:
            recognise_it(root)
        assert "holds DICOM files (in " in str(caught.value)
        assert f"dcm2niix -z y -o '{root}_nifti' '{root}'" in str(caught.value)


def test_series_in_folders_of_one_folder_are_images(tmp_path):
    write_dicom(tmp_path / "case_1" / "IM0001")

    assert [case.name for case in recognise_images(tmp_path).cases(with_labels=False).cases] == ["case_1"]


def test_a_folder_that_fits_none_says_what_was_looked_for_and_found(tmp_path):
    touch(tmp_path, *(f"{name}/notes.txt" for name in "abcdef"), "report.pdf")

    with pytest.raises(
        DatasetError, match=r"looked for ImagesTr and LabelsTr .* BIDS.*; found a, b, c, d, e and 2 more"
    ):
        recognise(tmp_path)
    with pytest.raises(DatasetError, match=r"holds no volume .*; found a, b, c, d, e and 2 more"):
        recognise_images(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        recognise(tmp_path / "nowhere")


@pytest.mark.parametrize("names", [["a.mha", "b.mha"], ["a/t1.mha", "b/t1.mha"]], ids=["one folder", "folders"])
def test_images_without_labels_are_pointed_to_the_way_of_a_test_set(tmp_path, names):
    touch(tmp_path, *names)

    with pytest.raises(DatasetError, match=r"has no labels, which end in _seg, .*monai-mriprep run .* --like"):
        recognise(tmp_path)


@pytest.mark.parametrize(("images", "labels"), [("images", "Masks"), ("ImagesTr", "LabelsTr")])
def test_folders_that_are_datasets_are_named(tmp_path, images, labels):
    touch(tmp_path, *(f"{part}/{kind}/a.mha" for part in ("train", "test") for kind in (images, labels)), "notes/x.mha")

    with pytest.raises(DatasetError, match="images and labels are in test, train: name such a folder itself"):
        recognise(tmp_path)
    assert [case.name for case in recognise(tmp_path / "test").cases().cases] == ["a"]


def test_ours_without_its_labels_is_refused_as_ever(tmp_path):
    touch(tmp_path, "ImagesTr/a.mha")

    with pytest.raises(DatasetError, match="has no folder LabelsTr or labelsTr"):
        recognise(tmp_path)
