"""PI-CAI: patients, studies, and which of its folders of labels is meant."""

import pytest

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.picai import picai
from monai_mriprep.errors import DatasetError

USUAL = "picai_labels/csPCa_lesion_delineations/human_expert/resampled"
ORIGINAL = "picai_labels/csPCa_lesion_delineations/human_expert/original"
OTHER = "picai_labels/csPCa_lesion_delineations/AI/Bosma22a"
IMAGES = [
    f"images/{patient}/{patient}_{study}_{sequence}.mha"
    for patient, study in (("10000", "1000000"), ("10000", "1000001"), ("10001", "1000002"))
    for sequence in ("adc", "cor", "hbv", "sag", "t2w")
]


def test_patient_and_study_are_the_case(tmp_path):
    names = [*IMAGES, f"{USUAL}/10000_1000000.nii.gz", f"{USUAL}/10001_1000002.nii.gz", f"{OTHER}/10000_1000000.nii.gz"]
    names += [f"{USUAL}/10000_1000000_prob.nii.gz", f"{ORIGINAL}/10000_1000000.nii.gz"]

    layout = picai(tmp_path, names, with_labels=True)

    assert (layout.images, layout.labels) == (tmp_path, tmp_path / USUAL)
    assert layout.options == ("--channels", "t2w,adc,hbv", "--set", "geometry=resample")
    grouping = layout.cases(["t2w", "adc"])
    assert grouping.cases == (
        CaseFiles("10000_1000000", (IMAGES[4], IMAGES[0]), "10000_1000000.nii.gz"),
        CaseFiles("10001_1000002", (IMAGES[14], IMAGES[10]), "10001_1000002.nii.gz"),
    )
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["10000_1000001_t2w.mha"]
    assert grouping.notes == (f"{IMAGES[1]} and 8 more images are left out: not of the channels t2w, adc",)


def test_two_sequences_need_the_options_as_three_do(tmp_path):
    names = [name for name in IMAGES if "t2w" in name or "adc" in name]

    layout = picai(tmp_path, names, with_labels=False)

    assert layout.options == ("--channels", "t2w,adc", "--set", "geometry=resample")


def test_one_sequence_needs_no_option(tmp_path):
    names = [name for name in IMAGES if "t2w" in name] + ["predictions/10000_1000000.nii.gz"]

    layout = picai(tmp_path, [*names, "labels/10000_1000000.nii.gz"], with_labels=True)

    assert layout.options == ()
    assert [case.name for case in layout.cases().cases] == ["10000_1000000"]


def test_several_folders_of_labels_are_named(tmp_path):
    names = [*IMAGES, f"{OTHER}/10000_1000000.nii.gz", "labels/mine/10000_1000000.nii.gz"]

    with pytest.raises(DatasetError, match=f"labels/mine, {OTHER}. Leave one of them"):
        picai(tmp_path, names, with_labels=True)


def test_labels_that_are_not_there_are_asked_for_in_training_alone(tmp_path):
    with pytest.raises(DatasetError, match=r"no labels in a folder labels or picai_labels: clone .*/picai_labels into"):
        picai(tmp_path, IMAGES, with_labels=True)
    layout = picai(tmp_path, IMAGES, with_labels=False)
    assert len(layout.cases(["t2w"], with_labels=False).cases) == 3


def test_other_names_are_of_another_layout(tmp_path):
    assert picai(tmp_path, ["10000/10000_1_t1.mha", "10000/10000_1_seg.mha", "t2w.mha"], with_labels=True) is None
