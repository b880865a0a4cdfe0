"""What names of files side by side end in: labels, and channels that nothing declares."""

import pytest

from monai_mriprep.dataset.file_endings import (
    before_label,
    begins_with,
    channel_suffixes,
    sorted_by_role,
    without_labels,
)


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("case_1_seg", "case_1"),
        ("BraTS-GLI-00000-000-seg", "BraTS-GLI-00000-000"),
        ("W39_1998.09.19_Segm", "W39_1998.09.19"),
        ("scan.seg", "scan"),
        ("mask", ""),
        ("patient001_frame01_gt", "patient001_frame01"),
        ("case_t1", None),
        ("unmask", None),
        ("seg_1", None),
    ],
)
def test_the_name_of_a_label_ends_like_one(stem, expected):
    assert before_label(stem) == expected


def test_files_are_sorted_by_role():
    assert sorted_by_role(["a/t1.mha", "a/seg.mha", "seg/t1.mha"]) == (("a/t1.mha", "seg/t1.mha"), ("a/seg.mha",))


def test_a_stem_begins_with_the_longest():
    assert begins_with({"case", "case_1"}, "case_1_t1") == "case_1"
    assert begins_with({"case"}, "case-t1") == "case"
    assert begins_with({"case"}, "cases") == ""


def test_labels_beside_their_images_are_left_out_and_others_are_not():
    names = ["a_t1.mha", "a_t2.mha", "a_seg.mha", "b.mha", "b_mask.mha", "alone_mask.mha"]

    assert without_labels(names) == ("a_t1.mha", "a_t2.mha", "b.mha", "alone_mask.mha")


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        ({"a": ["a/image.mha"], "b": ["b/image.mha"]}, ()),
        ({"x/B_1": ["x/B_1/B_1_flair.mha", "x/B_1/B_1_t1.mha"]}, ("t1", "flair")),
        ({"B-1-0": ["B-1-0/B-1-0-t2w.mha", "B-1-0/B-1-0-t1c.mha"]}, ("t1c", "t2w")),
        ({"a": ["a/t1_n4.mha", "a/t2_n4.mha"], "b": ["b/t1_n4.mha", "b/t2_n4.mha"]}, ("t1_n4", "t2_n4")),
        ({"a": ["a/P7_T1_pre.mha", "a/P7_T1_post.mha"], "b": ["b/P8_T1_pre.mha", "b/P8_T1_post.mha"]}, ("post", "pre")),
        ({"a": ["a/abc_t1.mha", "a/abc_t2.mha"]}, ("t1", "t2")),
        ({"a": ["a_t1.mha", "a_t2.mha"], "b": ["b_T1.mha"], "c": ["c_t1.mha"]}, ("t1",)),
        ({"a": ["a_t1.mha", "a_x.mha"], "b": ["b_T1.mha", "b_x.mha"]}, ("t1", "x")),
        ({"a": ["a/t1.mha", "a/t2.mha"], "b": ["b/t1.mha"], "c": ["c/t2.mha"]}, ("t1", "t2")),
        ({"a": ["a/t1.mha", "a/odd.mha"], "b": ["b/t1.mha", "b/t2.mha"], "c": ["c/t1.mha", "c/t2.mha"]}, ("t1", "t2")),
    ],
    ids=[
        "one each",
        "named by the folder",
        "hyphens",
        "shared ending",
        "other beginning",
        "longer beginning",
        "letters",
        "letters of half",
        "one file",
        "odd file",
    ],
)
def test_the_channels_of_cases_are_what_their_files_end_in(cases, expected):
    assert channel_suffixes(cases) == expected
