"""Images and labels side by side, in folders of cases or in one folder."""

import pytest

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.recognise import recognise
from monai_mriprep.dataset.side_by_side import layout_by_case, side_by_side
from monai_mriprep.errors import DatasetError
from tests.dataset.files import touch


def test_a_layout_by_case_tells_its_channels_and_the_options_for_them(tmp_path):
    images = ["a/t2.mha", "a/t1.mha", "b/t1.mha", "b/t2.mha"]

    layout = layout_by_case("kind", tmp_path, images, ["a/seg.mha"], lambda name: name[0])

    assert layout.suffixes == ("t1", "t2")
    assert layout.options == ("--channels", "t1,t2")
    assert layout.seen == "kind: 4 image files of 2 cases, which end in t1, t2, 1 label"
    assert layout.images == layout.labels == tmp_path


def test_one_image_a_folder_needs_no_option(tmp_path):
    layout = side_by_side(tmp_path, ["a/image.mha", "a/mask.mha", "b/image.mha", "b/mask.mha"])

    assert (layout.kind, layout.suffixes, layout.options) == ("one folder a case", (), ())
    assert layout.seen == "one folder a case: 2 image files of 2 cases, 2 labels"
    assert layout.cases().cases[0] == CaseFiles("a", ("a/image.mha",), "a/mask.mha")


def test_brats_is_known_by_its_folders_at_any_depth(tmp_path):
    names = [
        f"{grade}/Brats18_{grade}_1/Brats18_{grade}_1_{ending}.nii.gz"
        for grade in ("HGG", "LGG")
        for ending in ("flair", "seg", "t1", "t1ce", "t2")
    ]

    layout = side_by_side(tmp_path, names)

    assert (layout.kind, layout.options) == ("one folder a case (BraTS)", ("--channels", "t1,t1ce,t2,flair"))
    assert [case.name for case in layout.cases(["t1ce"]).cases] == ["Brats18_HGG_1", "Brats18_LGG_1"]
    with pytest.raises(DatasetError, match="add --channels t1,t1ce,t2,flair"):
        layout.cases()


def test_a_channel_that_some_cases_lack_is_a_channel(tmp_path):
    names = ["a/t1.mha", "a/t2.mha", "a/seg.mha", "b/t1.mha", "b/seg.mha"]

    layout = side_by_side(tmp_path, names)

    assert layout.options == ("--channels", "t1,t2")
    assert layout.cases(["t1", "t2"]).cases[1] == CaseFiles("b", ("b/t1.mha", "b/t2.mha"), "b/seg.mha")


def test_a_volume_beside_the_folders_is_a_case_without_a_label(tmp_path):
    layout = side_by_side(tmp_path, ["a/t1.mha", "a/seg.mha", "atlas.mha"])

    grouping = layout.cases()
    assert layout.kind == "one folder a case"
    assert [case.name for case in grouping.cases] == ["a"]
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["atlas.mha"]


def test_a_folder_with_several_labels_holds_several_cases(tmp_path):
    patient = [f"p1/p1_{frame}{ending}.nii.gz" for frame in ("frame01", "frame12") for ending in ("", "_gt")]

    layout = side_by_side(tmp_path, [*patient, "p1/p1_4d.nii.gz", "p1/x.nii.gz", "p2/frame01.nii.gz", "p2/seg.nii.gz"])

    grouping = layout.cases()
    assert layout.kind == "folders of several cases"
    assert grouping.cases == (
        CaseFiles("p1_frame01", ("p1/p1_frame01.nii.gz",), "p1/p1_frame01_gt.nii.gz"),
        CaseFiles("p1_frame12", ("p1/p1_frame12.nii.gz",), "p1/p1_frame12_gt.nii.gz"),
        CaseFiles("p2", ("p2/frame01.nii.gz",), "p2/seg.nii.gz"),
    )
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["p1_4d.nii.gz", "x.nii.gz"]


def test_cases_of_one_name_in_two_folders_are_two(tmp_path):
    names = [f"{patient}/{frame}{ending}.mha" for patient in "ab" for frame in ("f1", "f2") for ending in ("", "_gt")]

    grouping = side_by_side(tmp_path, names).cases()

    assert [(case.name, case.image, case.label) for case in grouping.cases] == [
        (f"{patient}_{frame}", (f"{patient}/{frame}.mha",), f"{patient}/{frame}_gt.mha")
        for patient in "ab"
        for frame in ("f1", "f2")
    ]


def test_many_images_of_a_folder_are_no_channels(tmp_path):
    layout = side_by_side(tmp_path, [f"train/{name}.mha" for name in "abcdefghijklmnopqrstuvwxyz"])

    assert layout.options == ()
    with pytest.raises(
        DatasetError, match=r"has several images \(a\.mha, .*h\.mha, \.\.\.\).* add --channels NAME,NAME, with what"
    ):
        layout.cases(with_labels=False)


def test_in_one_folder_labels_tell_the_cases(tmp_path):
    names = [
        "a.mha",
        "a.seg.nrrd",
        "b_x_t1.mha",
        "b_x_gt.mha",
        "c-1-t1.mha",
        "c-1-mask.mha",
        "lonely.mha",
        "d_mask.mha",
    ]

    grouping = side_by_side(tmp_path, names).cases()

    assert grouping.cases == (
        CaseFiles("a", ("a.mha",), "a.seg.nrrd"),
        CaseFiles("b_x", ("b_x_t1.mha",), "b_x_gt.mha"),
        CaseFiles("c-1", ("c-1-t1.mha",), "c-1-mask.mha"),
    )
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["lonely.mha"]
    assert [orphan.path.name for orphan in grouping.unpaired_labels] == ["d_mask.mha"]


def test_numbers_of_cases_are_not_mixed_up_with_one_another(tmp_path):
    names = ["p_1_t1.mha", "p_1_seg.mha", "p_11_t1.mha", "p_11_seg.mha", "p_2_t1.mha", "p_3_seg.mha"]

    grouping = side_by_side(tmp_path, names).cases()

    assert [case.name for case in grouping.cases] == ["p_1", "p_11"]
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["p_2_t1.mha"]


def test_channels_in_one_folder_are_declared_or_refused(tmp_path):
    names = [f"{case}_{ending}.mha" for case in ("a", "b") for ending in ("flair", "seg", "t1")]
    layout = side_by_side(tmp_path, [*names, "c_flair.mha", "c_t1.mha"])

    assert (layout.suffixes, layout.options) == (("t1", "flair"), ("--channels", "t1,flair"))
    grouping = layout.cases(["t1", "flair"])
    assert grouping.cases[1] == CaseFiles("b", ("b_t1.mha", "b_flair.mha"), "b_seg.mha")
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["c_t1.mha"]
    with pytest.raises(
        DatasetError, match=r"case 'a' has several images \(a_flair\.mha, a_t1\.mha\).*--channels t1,flair"
    ):
        layout.cases()


@pytest.mark.parametrize("folder", ["{0}/", ""], ids=["folders", "flat"])
def test_channels_may_come_after_a_dot(tmp_path, folder):
    names = [f"{folder.format(case)}{case}.{end}.mha" for case in ("A.1", "B") for end in ("T1", "T2", "seg")]

    layout = side_by_side(tmp_path, names)

    assert layout.options == ("--channels", "T1,T2")
    assert layout.cases(["T1", "T2"]).cases == (
        CaseFiles("A.1", (names[0], names[1]), names[2]),
        CaseFiles("B", (names[3], names[4]), names[5]),
    )


def test_unicode_forms_of_one_name_are_one_case(tmp_path):
    grouping = side_by_side(tmp_path, ["M\u00fcller_t1.mha", "Mu\u0308ller_seg.mha"]).cases()

    assert grouping.cases == (CaseFiles("M\u00fcller", ("M\u00fcller_t1.mha",), "Mu\u0308ller_seg.mha"),)


def test_several_labels_of_one_case_are_refused_by_name(tmp_path):
    layout = side_by_side(tmp_path, ["a/t1.mha", "a/lesion_seg.mha", "a/organ_seg.mha"])

    with pytest.raises(DatasetError, match=r"'a/lesion_seg\.mha' and 'a/organ_seg\.mha' are both labels"):
        layout.cases()


def test_the_name_of_a_folder_is_not_the_beginning_of_another(tmp_path):
    names = ["case/t1.mha", "case/seg.mha", "case_1/t1.mha", "case_2/x_t1.mha", "case_2/x_seg.mha", "case_2/y_seg.mha"]

    grouping = side_by_side(tmp_path, names).cases()

    assert [case.name for case in grouping.cases] == ["case", "x"]
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["t1.mha"]
    assert [orphan.path.name for orphan in grouping.unpaired_labels] == ["y_seg.mha"]


def test_folders_above_are_part_of_names_where_those_alone_are_not_unique(tmp_path):
    names = [f"{patient}/{visit}/{file}.mha" for patient in "12" for visit in ("mid", "pre") for file in ("T2", "mask")]

    grouping = side_by_side(tmp_path, names).cases()

    assert [case.name for case in grouping.cases] == ["1_mid", "1_pre", "2_mid", "2_pre"]
    assert grouping.cases[0] == CaseFiles("1_mid", ("1/mid/T2.mha",), "1/mid/mask.mha")
    assert [case.label_output for case in grouping.cases][:2] == ["1_mid.npz", "1_pre.npz"]


def test_the_image_of_another_scan_is_not_that_of_a_label_whose_own_image_is_missing(tmp_path):
    root = touch(tmp_path, "p_seg.mha", "p_1_t1.mha", "q_seg.mha", "q_t1.mha")

    grouping = recognise(root).cases(("t1",))

    assert [(case.name, case.image, case.label) for case in grouping.cases] == [("q", ("q_t1.mha",), "q_seg.mha")]
    assert [orphan.path.name for orphan in grouping.unpaired_labels] == ["p_seg.mha"]
