"""What names end in, and files that become the channels of a case."""

import pytest

from monai_mriprep.dataset.channels import (
    case_name,
    channel_endings,
    chosen_channels,
    files_by_case,
    group_by_channel,
    plain,
    usual_order,
)
from monai_mriprep.errors import DatasetError


def folder(name: str) -> str:
    return name.rpartition("/")[0]


def test_plain_keeps_the_folders():
    assert plain("a.b/case_t1.NII.GZ") == "a.b/case_t1"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["flair", "t1", "t1ce", "t2"], ("t1", "t1ce", "t2", "flair")),
        (["t1c", "t1n", "t2f", "t2w"], ("t1n", "t1c", "t2w", "t2f")),
        (["adc", "hbv", "t2w", "x10", "x9"], ("t2w", "adc", "hbv", "x9", "x10")),
        (["FLAIR", "T2w", "T1w"], ("T1w", "T2w", "FLAIR")),
    ],
    ids=["BraTS 2021", "BraTS 2023", "PI-CAI", "BIDS"],
)
def test_channels_stand_in_the_order_in_which_people_list_them(names, expected):
    assert usual_order(names) == expected


@pytest.mark.parametrize(
    ("names", "channels", "declared", "expected"),
    [
        (["a_t1.mha", "a_t2.mha"], ["t1", "t2"], [], ("t1", "t2")),
        (["a-t1c.mha"], ["t1c"], [], ("t1c",)),
        (["1.2.840.t1.mha"], ["t1"], [], ("t1",)),
        (["A_T1.mha"], ["t1"], [], ("t1",)),
        (["A_T1.mha", "b_t2.mha"], ["T1", "T2"], [], ("T1", "T2")),
        (["a_T2*.mha", "a_T1+C.mha"], ["T1+C", "T2*"], [], ("T1+C", "T2*")),
        (["a/T1.mha", "a/Gd_T1.mha"], ["T1", "Gd_T1"], [], ("T1", "Gd_T1")),
        (["a_0000.mha", "a_0001.mha"], ["T2", "ADC"], [], ("0000", "0001")),
        (["a_0000.mha", "a_0001.mha"], ["0001"], [], ("0001",)),
        (["a_0000.mha", "a_0001.mha"], ["adc"], ["T2", "ADC"], ("0001",)),
        (["a_0000.mha", "a_0001.mha"], ["ADC", "T2"], ["T2", "ADC"], ("0001", "0000")),
        (["a_T2_0000.mha", "a_T2_0001.mha"], ["T2", "ADC"], ["T2", "ADC"], ("0000", "0001")),
        (["BRATS_001.mha", "BRATS_002.mha"], ["FLAIR", "T1w"], ["FLAIR", "T1w"], ()),
        (["a_0000.mha", "b_0000.mha"], ["T2"], [], ()),
        (["10000_0001.mha", "10000_0002.mha"], ["T2"], [], ()),
        (["case/t1.mha", "case/t2.mha"], ["t1", "t2"], [], ("t1", "t2")),
    ],
)
def test_endings_are_names_else_numbers_else_none(names, channels, declared, expected):
    assert channel_endings(names, channels, declared) == expected


@pytest.mark.parametrize("declared", [[], ["T2", "ADC"]], ids=["recipe", "dataset.json"])
def test_more_numbers_than_channels_are_unclear(declared):
    names = [f"a_000{number}.mha" for number in range(4)]

    with pytest.raises(DatasetError, match=r"numbered 0000, 0001, 0002, 0003.*channels are T2, ADC.*number 0002"):
        channel_endings(names, ["T2", "ADC"], declared)


@pytest.mark.parametrize("names", [["a_0000.mha", "a_0001.mha"], ["a.mha"]], ids=["numbered", "all in one"])
@pytest.mark.parametrize("channels", [["T2", "flair"], ["T2"]], ids=["half of them", "one"])
def test_what_the_dataset_declares_is_not_taken_for_other_channels(names, channels):
    with pytest.raises(DatasetError, match=r"none of those that the dataset.json declares, FLAIR, T1w, and"):
        channel_endings(names, channels, ["FLAIR", "T1w"])


def test_files_that_hold_all_channels_have_one_order():
    for channels in (["T1w", "FLAIR"], ["T1w"]):
        with pytest.raises(DatasetError, match=r"holds the channels FLAIR, T1w, in this order.*file for each channel"):
            channel_endings(["BRATS_001.nii.gz"], channels, ["FLAIR", "T1w"])
    assert channel_endings(["BRATS_001.nii.gz"], ["flair", "t1w"], ["FLAIR", "T1w"]) == ()


@pytest.mark.parametrize(
    ("names", "channels", "declared"),
    [
        (["a_t1.mha"], ["t1", "flaer"], []),
        (["a_0000.mha"], ["t1", "flaer"], []),
        (["a_0000.mha"], ["t1", "flaer"], ["t1", "flaer"]),
    ],
    ids=["name", "position", "declared"],
)
def test_a_channel_that_no_case_has_is_refused(names, channels, declared):
    with pytest.raises(DatasetError, match=r"not one image is of the channel flaer: no name ends in .* misspelt"):
        channel_endings(names, channels, declared)


def test_files_are_grouped_by_what_comes_before_the_ending():
    names = ["a_t1.mha", "a_t1ce.mha", "b-t1.mha", "b-t1ce.mha", "10_t1.mha", "10_t1ce.mha", "notes.mha", "t1.mha"]

    found = group_by_channel(names, ["t1ce", "t1"])

    assert found.cases == {
        "10": ("10_t1ce.mha", "10_t1.mha"),
        "a": ("a_t1ce.mha", "a_t1.mha"),
        "b": ("b-t1ce.mha", "b-t1.mha"),
    }
    assert found.others == ("notes.mha", "t1.mha")


@pytest.mark.parametrize("endings", [["T1", "Gd_T1"], ["Gd_T1", "T1"]])
def test_of_two_endings_the_longer_one_counts(endings):
    in_folders = group_by_channel(["a/Gd_T1.mha", "a/T1.mha"], endings, folder)
    in_one = group_by_channel(["a_Gd_T1.mha", "a_T1.mha"], endings)

    assert in_folders.cases == {"a": tuple(f"a/{ending}.mha" for ending in endings)}
    assert in_one.cases == {"a": tuple(f"a_{ending}.mha" for ending in endings)}


def test_grouped_cases_are_in_natural_order():
    found = group_by_channel(["x10_t1.mha", "x9_t1.mha"], ["t1"])

    assert list(found.cases) == ["x9", "x10"]


def test_a_missing_file_has_the_name_that_it_would_have():
    names = ["a_t1.nii.gz", "b_T2.nii.gz", "c/t1.mha", "d/x-t2.mha"]

    found = group_by_channel(names, ["t1", "t2"], lambda name: folder(name) or name[0])

    assert found.cases == {
        "a": ("a_t1.nii.gz", "a_t2.nii.gz"),
        "b": ("b_t1.nii.gz", "b_T2.nii.gz"),
        "c": ("c/t1.mha", "c/t2.mha"),
        "d": ("d/x-t1.mha", "d/x-t2.mha"),
    }
    assert group_by_channel(["a_flair.mha"], ["t1", "flair"]).cases == {"a": ("a_t1.mha", "a_flair.mha")}


def test_the_case_of_letters_counts_where_there_are_both():
    for names in (["a/x_T1.mha", "a/x_t1.mha"], ["a/x_t1.mha", "a/x_T1.mha"]):
        found = group_by_channel(names, ["t1"], folder)
        assert found == ({"a": ("a/x_t1.mha",)}, ("a/x_T1.mha",))


def test_two_files_of_one_channel_are_refused_with_the_names_of_both():
    with pytest.raises(DatasetError, match=r"'a/x_t1\.mha' and 'a/y_t1\.mha' would be one channel"):
        group_by_channel(["a/x_t1.mha", "a/y_t1.mha"], ["t1"], folder)


def test_unicode_forms_of_one_name_are_one_case():
    found = group_by_channel(["M\u00fcller_t1.mha", "Mu\u0308ller_t2.mha"], ["t1", "t2"])

    assert found.cases == {"M\u00fcller": ("M\u00fcller_t1.mha", "Mu\u0308ller_t2.mha")}


def test_listed_files_are_chosen_by_the_names_of_their_channels():
    cases = {"a": ("x.mha", "y.mha")}

    assert chosen_channels(cases, ["ADC", "T2"], ["T2", "ADC"]) == {"a": ("y.mha", "x.mha")}
    assert chosen_channels(cases, ["adc", "T2"], ["T2", "ADC"]) == {"a": ("y.mha", "x.mha")}
    assert chosen_channels(cases, [], ["T2", "ADC"]) == cases
    with pytest.raises(DatasetError, match=r"channel hbv is none of those that the dataset\.json declares, T2, ADC"):
        chosen_channels(cases, ["T2", "hbv"], ["T2", "ADC"])


def test_a_case_is_named_by_its_innermost_folder():
    assert (case_name("x/y/case_1"), case_name("case_1")) == ("case_1", "case_1")


def test_files_by_case_are_in_natural_order():
    found = files_by_case(["b10/x", "b9/y", "b10/z"], lambda name: name.rpartition("/")[0])

    assert list(found.items()) == [("b9", ("b9/y",)), ("b10", ("b10/x", "b10/z"))]
