"""Labels of cases whose images are grouped: by name, by case, by a pattern; and what is said where that fails."""

import shlex
from pathlib import Path

import pytest

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.case_labels import pair_cases
from monai_mriprep.errors import DatasetError, PairingError

FOLDERS = (Path("images"), Path("labels"))


def folder(name: str) -> str:
    return name.rpartition("/")[0]


def test_names_are_paired_by_the_passes_over_stems():
    images = {"10000_0001_t2w": ("10000_0001_t2w.mha",), "b": ("b_t1.mha", "b_t2.mha"), "c": ("c.mha",)}

    grouping = pair_cases(images, ["10000_0001_seg.mha", "b_seg.mha", "d.mha"], FOLDERS)

    assert grouping.cases == (
        CaseFiles("10000_0001_t2w", ("10000_0001_t2w.mha",), "10000_0001_seg.mha"),
        CaseFiles("b", ("b_t1.mha", "b_t2.mha"), "b_seg.mha"),
    )
    assert [orphan.path for orphan in grouping.orphans] == [Path("images/c.mha"), Path("labels/d.mha")]


def test_cases_are_equal_or_different():
    images = {"x/a_1": ("x/a_1/t1.mha",), "x/b": ("x/b/t1.mha",)}

    grouping = pair_cases(images, ["x/a_2/seg.mha", "x/b/seg.mha"], FOLDERS, folder)

    assert grouping.cases == (CaseFiles("b", ("x/b/t1.mha",), "x/b/seg.mha"),)
    assert [orphan.reason for orphan in grouping.orphans] == [
        "'t1.mha' is skipped: no label was found; looked for under 'a_1'",
        "'seg.mha' is skipped: no image was found; looked for under 'a_2'",
    ]


def test_a_pattern_sees_the_folders_of_the_first_image_and_the_label():
    images = {"a/1": ("a/1/t1.mha", "a/1/t2.mha")}

    grouping = pair_cases(images, ["l/a-1.mha", "l/odd.mha"], FOLDERS, folder, "(?P<case>[0-9])(/t1)?$")

    assert grouping.cases == (CaseFiles("1", images["a/1"], "l/a-1.mha"),)
    assert "the pattern '(?P<case>[0-9])(/t1)?$' does not match its stem" in grouping.orphans[0].reason


def test_two_labels_of_a_case_are_refused_by_name():
    with pytest.raises(DatasetError, match=r"'a/1_seg\.mha' and 'a/2_seg\.mha' are both labels of one case"):
        pair_cases({"a": ("a/t1.mha",)}, ["a/1_seg.mha", "a/2_seg.mha"], FOLDERS, folder)


@pytest.mark.parametrize(
    ("image", "other", "label"),
    [
        ("a/t2.mha", "a/kidney_mask.mha", "a/liver_mask.mha"),
        ("a/a_t1.mha", "a/a_gt.mha", "a/a_seg.mha"),
        ("a/P-1-t2.mha", "a/P-1.gt.mha", "a/P-1.seg.mha"),
        ("a/c.mha", "a/c_gt.mha", "a/c-seg.mha"),
        ("a/sub-1_T1w.mha", "x/m/a/sub-1_desc-brain_mask.mha", "x/m/a/sub-1_space-T1w_dseg.mha"),
    ],
    ids=["folder", "BraTS", "other dash", "image is the case", "BIDS"],
)
def test_the_pattern_that_is_suggested_takes_the_second_label(image, other, label):
    images, labels = {"a": (image, "t3.mha")}, [other, label]
    with pytest.raises(DatasetError, match="are both labels") as caught:
        pair_cases(images, labels, FOLDERS, lambda name: "a")
    _, words = str(caught.value).split("such as ")
    option, setting = shlex.split(words)

    grouping = pair_cases(images, labels, FOLDERS, lambda name: "a", setting.removeprefix("pattern="))

    assert option == "--set"
    assert [case.label for case in grouping.cases] == [label]
    assert [orphan.path for orphan in grouping.orphans] == [FOLDERS[1] / other]


def test_labels_in_a_folder_of_their_own_are_paired_by_the_pattern_that_is_suggested():
    images = {f"i/P-{n}_1": (f"i/P-{n}_1/P-{n}_1_t1.mha",) for n in (7, 10)}
    labels = ["l/P-7_1_segm.mha", "l/P-10_1_segm.mha"]
    with pytest.raises(DatasetError, match="beside no image of theirs") as caught:
        pair_cases(images, labels, FOLDERS, folder)
    _, setting = shlex.split(str(caught.value).split("such as ")[1])
    assert setting == "pattern=(?P<case>P-[0-9]+_[0-9]+)"

    grouping = pair_cases(images, labels, FOLDERS, folder, setting.removeprefix("pattern="))

    assert [(case.name, case.label) for case in grouping.cases] == [("P-7_1", labels[0]), ("P-10_1", labels[1])]


def test_labels_of_no_case_are_left_over_and_no_conflict():
    labels = ["x/odd_seg.mha", "y/odd_seg.mha"]

    grouping = pair_cases({"a": ("a/t1.mha",)}, labels, FOLDERS, lambda _: "")

    assert [orphan.path for orphan in grouping.unpaired_labels] == [Path("labels") / name for name in labels]


def test_a_conflict_that_is_none_of_channels_is_told_as_ever():
    images = {"a_x": ("a_x.mha",), "a_y": ("a_y.mha",), "b": ("b.mha",), "c": ("c.mha",)}

    with pytest.raises(PairingError, match="claimed by 2 images") as caught:
        pair_cases(images, ["a_z.mha", "b.mha", "c.mha"], FOLDERS)
    assert "--channels" not in str(caught.value)
