"""BIDS: entities of images and of derivatives."""

import pytest

from monai_mriprep.dataset.bids import bids
from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.errors import DatasetError


def test_subject_session_and_run_are_the_case(tmp_path):
    names = [
        "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_acq-mprage_space-orig_label-lesion_mask.nii.gz",
        "derivatives/other/sub-01/ses-1/anat/sub-01_ses-1_label-GM_probseg.nii.gz",
        "sourcedata/sub-01/ses-1/anat/sub-01_ses-1_acq-mprage_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_acq-mprage_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_mod-T1w_defacemask.nii.gz",
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
    ]

    layout = bids(tmp_path, names)

    assert layout.options == ("--channels", "T1w,FLAIR")
    grouping = layout.cases(["T1w", "FLAIR"])
    assert grouping.cases == (CaseFiles("sub-01_ses-1", (names[4], names[3]), names[0]),)
    assert grouping.notes == ()
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["sub-01_ses-2_T1w.nii.gz"]


@pytest.mark.parametrize(
    ("images", "cases"),
    [
        (["sub-1_T1w", "sub-2_T1w"], ["sub-1", "sub-2"]),
        (["sub-1_run-1_T1w", "sub-1_run-2_T1w"], ["sub-1_run-1", "sub-1_run-2"]),
        (["sub-1_run-1_T1w"], ["sub-1_run-1"]),
        (["sub-1_acq-a_T1w", "sub-1_acq-b_T1w"], ["sub-1_acq-a", "sub-1_acq-b"]),
        (["sub-1_acq-a_inv-1_T1w", "sub-1_acq-a_inv-2_T1w"], ["sub-1_acq-a_inv-1", "sub-1_acq-a_inv-2"]),
    ],
    ids=["subject", "run", "one run", "acquisition", "all"],
)
def test_as_many_entities_count_as_tell_the_images(tmp_path, images, cases):
    names = [f"x/sub-1/anat/{image}.nii" for image in images]
    labels = [f"derivatives/l/sub-1/anat/{image.rpartition('_')[0]}_desc-manual_dseg.nii.gz" for image in images]

    grouping = bids(tmp_path, [*names, *labels]).cases()

    assert grouping.cases == tuple(map(CaseFiles, cases, ((name,) for name in names), labels))


def test_acquisitions_tell_cases_and_what_else_differs_between_sequences_does_not(tmp_path):
    names = [f"sub-1/anat/sub-1_acq-{a}_{rest}.nii" for a in "xy" for rest in ("T1w", "rec-z_FLAIR")]

    layout = bids(tmp_path, [*names, "derivatives/l/sub-1/anat/sub-1_acq-y_msk.nii"])

    assert layout.options == ("--channels", "T1w,FLAIR")
    assert layout.cases(["T1w", "FLAIR"]).cases == (
        CaseFiles("sub-1_acq-y", (names[2], names[3]), "derivatives/l/sub-1/anat/sub-1_acq-y_msk.nii"),
    )


def test_a_label_beside_its_image_is_none_of_the_images(tmp_path):
    names = ["sub-1/anat/sub-1_T1w.nii", "sub-1/anat/sub-1_label-lesion_dseg.nii", "derivatives/atlas/brain_mask.nii"]

    grouping = bids(tmp_path, names).cases()

    assert grouping.cases == (CaseFiles("sub-1", (names[0],), names[1]),)
    assert grouping.orphans == ()


def test_labels_of_several_programs_are_refused_by_name_unless_a_pattern_takes_one(tmp_path):
    image = "sub-1/anat/sub-1_T1w.nii.gz"
    brain = "derivatives/brain/sub-1/anat/sub-1_desc-brain_mask.nii.gz"
    lesion = "derivatives/manual/sub-1/anat/sub-1_label-lesion_mask.nii.gz"
    layout = bids(tmp_path, [brain, lesion, image])

    with pytest.raises(DatasetError, match=r"desc-brain_mask.* and .*label-lesion_mask.* are both labels"):
        layout.cases()
    pattern = "(?P<case>sub-[^_/]+)(_label-lesion_mask|_T1w)$"
    assert layout.cases(pattern=pattern).cases == (CaseFiles("sub-1", (image,), lesion),)


def test_maps_of_diffusion_are_images_and_diffusion_series_are_not(tmp_path):
    """ISLES 2022 has its labels on the grid of the first."""
    case = "sub-1/ses-1/{}/sub-1_ses-1_{}.nii.gz"
    names = [case.format("anat", "FLAIR"), case.format("dwi", "adc"), case.format("dwi", "dwi")]
    label = "derivatives/sub-1/ses-1/sub-1_ses-1_msk.nii.gz"

    layout = bids(tmp_path, [label, *names, case.format("func", "bold")])

    assert layout.cases(["dwi", "adc"]).cases == (CaseFiles("sub-1_ses-1", (names[2], names[1]), label),)
    assert layout.options == ("--channels", "FLAIR,adc,dwi")
    assert layout.seen == "BIDS: 3 image files of 1 case, which end in FLAIR, adc, dwi, 1 label; left out: 1 in func"

    (tmp_path / "sub-1/ses-1/dwi").mkdir(parents=True)
    (tmp_path / case.format("dwi", "dwi")).with_suffix("").with_suffix(".bvec").touch()
    layout = bids(tmp_path, [label, *names])
    assert layout.options == ("--channels", "FLAIR,adc")
    assert layout.seen.endswith("; left out: 1 in dwi")


def test_other_names_are_of_another_layout(tmp_path):
    assert bids(tmp_path, ["sub-1/t1.nii.gz", "sub-1/anat/t1.nii.gz", "sub-1_T1w.nii.gz"]) is None
