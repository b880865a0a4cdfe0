"""How files become cases: what declares channels, what is paired with what, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.dataset.pairing import pair_by_stem
from monai_mriprep.errors import DatasetError, PairingError
from tests.dataset.files import touch

ROOT = Path("root")


def flat(images, labels=(), **fields) -> Layout:
    """Images and labels in two folders."""
    return Layout("flat", ROOT, ROOT / "imagesTr", ROOT / "labelsTr", tuple(images), tuple(labels), **fields)


def tree(images, labels=(), **fields) -> Layout:
    """Images and labels in a folder for each case."""
    of_folder = fields.pop("case_of", lambda name: name.rpartition("/")[0])
    return Layout("tree", ROOT, ROOT, ROOT, tuple(images), tuple(labels), case_of=of_folder, **fields)


# --- Two folders, nothing declared: as ever ---------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [None, "^(?P<case>[0-9]+_[0-9]+)"])
@pytest.mark.parametrize("channels", [None, ["T2"]])
def test_undeclared_files_are_paired_by_their_stems(tmp_path, pattern, channels):
    images = ["10000_0001_0000.mha", "10001_0001_t2w_ax.mha", "10002_0001.nii.gz", "10002_0002.mha", "alone.mha"]
    labels = ["10000_0001.mha", "10001_0001_seg.mha", "10002_0001.mha", "10002_0002.nrrd", "20000_0001.mha"]
    touch(tmp_path, *(f"i/{name}" for name in images), *(f"l/{name}" for name in labels))
    layout = Layout("x", tmp_path, tmp_path / "i", tmp_path / "l", tuple(images), tuple(labels))

    grouping = layout.cases(channels, pattern)

    pairing = pair_by_stem(tmp_path / "i", tmp_path / "l", pattern)
    assert [(case.name, *case.image, case.label) for case in grouping.cases] == [
        (pair.case, pair.image.name, pair.label.name) for pair in pairing
    ]
    assert grouping.unpaired_images == pairing.unpaired_images
    assert grouping.unpaired_labels == pairing.unpaired_labels
    assert grouping.channels == tuple(channels or ())
    assert len(grouping.cases) == 4


def test_two_studies_of_a_patient_are_two_cases():
    names = ["10000_0001.mha", "10000_0002.mha"]

    for channels in (None, ["T2"]):
        grouping = flat(names, names).cases(channels)
        assert grouping.cases == (
            CaseFiles("10000_0001", ("10000_0001.mha",), "10000_0001.mha"),
            CaseFiles("10000_0002", ("10000_0002.mha",), "10000_0002.mha"),
        )


def test_images_of_one_label_are_refused_as_ever_where_a_pattern_pairs():
    with pytest.raises(PairingError, match="claimed by 2 images"):
        flat(["a_0000.mha", "a_0001.mha"], ["a.mha"]).cases(pattern="^(?P<case>a)")


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ("case_1_seg", "claimed by 2 images.* or, if they are channels"),
        ("case_1", "no image has a label; if several are"),
    ],
    ids=["conflict", "no pair"],
)
def test_images_that_may_be_channels_of_one_label_name_the_option(label, problem):
    layout = flat(["case_1_flair.mha", "case_1_t1.mha"], [f"{label}.mha"])

    with pytest.raises(DatasetError, match=f"{problem}.* add --channels t1,flair$"):
        layout.cases()
    assert layout.cases(["t1", "flair"]).cases[0].label == f"{label}.mha"


def test_without_labels_every_image_is_a_case():
    grouping = flat(["10000_0001_0000.mha", "b.mha"], ["b.mha"]).cases(with_labels=False)

    assert grouping.cases == (CaseFiles("10000_0001_0000", ("10000_0001_0000.mha",)), CaseFiles("b", ("b.mha",)))
    assert grouping.unpaired_images == grouping.unpaired_labels == ()


def test_a_test_set_has_no_labels_to_pair():
    layout = Layout("x", ROOT, ROOT, None, ("a.mha",))

    assert layout.cases(with_labels=False).cases == (CaseFiles("a", ("a.mha",)),)
    with pytest.raises(DatasetError, match="it is a test set"):
        layout.cases()


def test_folders_of_images_alone_are_told_from_those_that_hold_more():
    assert flat([]).own_folders == (ROOT / "imagesTr", ROOT / "labelsTr")
    assert Layout("x", ROOT, ROOT, None, ()).own_folders == (ROOT,)
    assert tree([]).own_folders == ()


# --- Declared channels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [{"channels": ("T2", "ADC")}, {}], ids=["dataset.json", "recipe"])
def test_declared_channels_make_one_case(declared):
    images = ["10000_0001_0000.mha", "10000_0001_0001.mha", "b_0000.mha", "b_0001.mha"]
    layout = flat(images, ["10000_0001.mha", "b.mha"], **declared)

    grouping = layout.cases(None if declared else ["T2", "ADC"])

    assert grouping.cases == (
        CaseFiles("10000_0001", ("10000_0001_0000.mha", "10000_0001_0001.mha"), "10000_0001.mha"),
        CaseFiles("b", ("b_0000.mha", "b_0001.mha"), "b.mha"),
    )
    assert (grouping.channels, grouping.notes) == (("T2", "ADC"), ())


def test_some_of_the_declared_channels_may_be_taken():
    layout = flat(["a_0000.mha", "a_0001.mha"], ["a.mha"], channels=("T2", "ADC"))

    grouping = layout.cases(["adc"])

    assert grouping.cases == (CaseFiles("a", ("a_0001.mha",), "a.mha"),)
    assert grouping.notes == ("a_0000.mha is left out: not of the channel adc",)


def test_some_of_the_named_files_may_be_taken():
    images = [f"{case}_{channel}.mha" for case in "abc" for channel in ("flair", "t1", "t1ce")]

    grouping = flat(images, ["a_seg.mha", "b_seg.mha"]).cases(["t1ce"])

    assert [case.image for case in grouping.cases] == [("a_t1ce.mha",), ("b_t1ce.mha",)]
    assert grouping.notes == ("a_flair.mha and 5 more images are left out: not of the channel t1ce",)
    assert [orphan.path for orphan in grouping.unpaired_images] == [ROOT / "imagesTr" / "c_t1ce.mha"]
    assert "no label was found; looked for under 'c'" in grouping.unpaired_images[0].reason


def test_a_pattern_is_searched_for_in_the_first_channel():
    images = ["7_x_t1.mha", "7_x_t2.mha", "8_x_t1.mha", "8_x_t2.mha"]

    grouping = flat(images, ["7-y.mha", "9-y.mha"]).cases(["t1", "t2"], "^(?P<case>[0-9])")

    assert grouping.cases == (CaseFiles("7_x", ("7_x_t1.mha", "7_x_t2.mha"), "7-y.mha"),)
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["8_x_t1.mha"]
    assert [orphan.path.name for orphan in grouping.unpaired_labels] == ["9-y.mha"]


def test_where_no_file_ends_in_a_channel_each_file_holds_them_all():
    grouping = flat(["BRATS_001.nii.gz"], ["BRATS_001.nii.gz"], channels=("FLAIR", "T1w")).cases()

    assert grouping.cases == (CaseFiles("BRATS_001", ("BRATS_001.nii.gz",), "BRATS_001.nii.gz"),)
    assert grouping.channels == ("FLAIR", "T1w")


def test_numbers_that_a_label_has_too_are_those_of_cases():
    names = ["case_0000.mha", "case_0001.mha"]

    grouping = flat(names, names, channels=("FLAIR", "T1w")).cases()

    assert [case.name for case in grouping.cases] == ["case_0000", "case_0001"]


def test_a_case_without_a_channel_keeps_the_name_that_its_file_would_have():
    layout = flat(["a_0000.mha", "a_0001.mha", "b_0001.mha"], ["a.mha", "b.mha"], channels=("T2", "ADC"))

    assert layout.cases().cases[1] == CaseFiles("b", ("b_0000.mha", "b_0001.mha"), "b.mha")


# --- Numbers beside a label -------------------------------------------------------------------------------------------


def test_numbered_files_beside_a_label_are_its_channels():
    images = [f"{case}_{number:04d}.mha" for case in ("10000_0001", "10000_0002") for number in range(3)]

    grouping = flat(images, ["10000_0001.mha", "10000_0002.mha"]).cases()

    assert [case.name for case in grouping.cases] == ["10000_0001", "10000_0002"]
    assert [len(case.image) for case in grouping.cases] == [3, 3]
    assert grouping.channels == ("0000", "0001", "0002")


def test_numbers_of_channels_are_those_of_the_files():
    grouping = flat(["a_0001.mha", "a_0003.mha"], ["a.mha"]).cases()

    assert grouping.cases == (CaseFiles("a", ("a_0001.mha", "a_0003.mha"), "a.mha"),)
    assert grouping.channels == ("0001", "0003")


def test_a_number_of_a_channel_has_four_digits():
    with pytest.raises(DatasetError, match=r"no image has a label; if several .* --channels 1,2"):
        flat(["case_1.mha", "case_2.mha"], ["case.mha"]).cases()


def test_unicode_forms_of_one_name_are_channels_of_one_case():
    images = [f"Mu\u0308ller_000{number}.mha" for number in range(2)]

    assert flat(images, ["M\u00fcller.mha"]).cases().cases[0].image == tuple(images)
    composed = flat([name.replace("u\u0308", "\u00fc") for name in images], ["Mu\u0308ller.mha"])
    assert composed.cases().channels == ("0000", "0001")


def test_an_image_with_a_label_of_its_own_is_no_channel_of_another():
    with pytest.raises(DatasetError, match=r"\(1 in p_0002; 2 in p\), .*: add --channels 0000,0001,"):
        flat(["p_0000.mha", "p_0001.mha", "p_0002.mha"], ["p.mha", "p_0002.mha"]).cases()


def test_a_label_that_an_image_of_its_name_has_is_free_for_no_channels():
    grouping = flat(["a.mha", "a_0000.mha", "a_0001.mha"], ["a.mha"]).cases()

    assert grouping.cases == (CaseFiles("a", ("a.mha",), "a.mha"),)
    assert [orphan.path.name for orphan in grouping.unpaired_images] == ["a_0000.mha", "a_0001.mha"]


def test_different_numbers_of_files_are_refused_with_the_names_of_cases_and_the_remedy():
    images = ["a_0000.mha", "a_0001.mha", "b_0000.mha", "c.mha"]
    layout = flat(images, ["a.mha", "b.mha", "c.mha"])

    with pytest.raises(DatasetError, match=r"\(1 in b, c; 2 in a\), .*: add --channels 0000,0001"):
        layout.cases()
    with_missing = layout.cases(["0000", "0001"])
    assert [case.image for case in with_missing.cases] == [("a_0000.mha", "a_0001.mha"), ("b_0000.mha", "b_0001.mha")]
    assert [orphan.path.name for orphan in with_missing.unpaired_labels] == ["c.mha"]


def test_as_many_files_of_other_numbers_are_refused_too():
    with pytest.raises(DatasetError, match=r"\(2 in a, b\), .*: add --channels 0000,0001,0002"):
        flat(["a_0000.mha", "a_0001.mha", "b_0000.mha", "b_0002.mha"], ["a.mha", "b.mha"]).cases()


# --- A folder for each case -------------------------------------------------------------------------------------------


def test_a_case_is_named_by_its_folder():
    images, labels = ["x/case_2/image.mha", "x/case_10/image.mha"], ["x/case_2/seg.mha", "x/case_10/seg.mha"]

    grouping = tree(images, labels).cases()

    assert grouping.cases == (
        CaseFiles("case_2", (images[0],), labels[0]),
        CaseFiles("case_10", (images[1],), labels[1]),
    )


def test_folders_are_equal_or_of_different_cases():
    grouping = tree(["case_a/image.mha"], ["case_b/seg.mha"]).cases()

    assert grouping.cases == ()
    assert [orphan.path for orphan in grouping.unpaired_images] == [ROOT / "case_a/image.mha"]
    assert [orphan.path for orphan in grouping.unpaired_labels] == [ROOT / "case_b/seg.mha"]
    assert "looked for under 'case_a'" in grouping.unpaired_images[0].reason


def test_several_images_of_a_folder_are_refused_with_the_option_to_paste():
    layout = tree(["a/t1.mha", "a/t2.mha", "b/t1.mha"], ["a/seg.mha"], proposed={"channels": ("t1", "t2")})

    with pytest.raises(
        DatasetError,
        match=r"case 'a' has several images \(t1\.mha, t2\.mha\), .* \(1 in b; 2 in a\): add --channels t1,t2$",
    ):
        layout.cases()
    assert [case.image for case in layout.cases(["t1", "t2"], with_labels=False).cases] == [
        ("a/t1.mha", "a/t2.mha"),
        ("b/t1.mha", "b/t2.mha"),
    ]


def test_two_labels_of_a_folder_are_refused_unless_a_pattern_takes_one():
    layout = tree(["a/t1.mha"], ["a/lesion_seg.mha", "a/organ_seg.mha"])

    with pytest.raises(DatasetError, match=r"'a/lesion_seg\.mha' and 'a/organ_seg\.mha' are both labels"):
        layout.cases()
    grouping = layout.cases(pattern="^(?P<case>.+)/(t1|organ_seg)$")
    assert grouping.cases == (CaseFiles("a", ("a/t1.mha",), "a/organ_seg.mha"),)
    assert [orphan.path.name for orphan in grouping.unpaired_labels] == ["lesion_seg.mha"]


def test_folders_of_one_name_are_refused():
    with pytest.raises(DatasetError, match=r"would both become a\.npz"):
        tree(["HGG/a/t1.mha", "LGG/a/t1.mha"]).cases(with_labels=False)


def test_listed_files_are_the_channels_in_their_order():
    given = {"a": ("x/1.mha", "x/2.mha")}
    layout = tree(["x/1.mha", "x/2.mha"], ["y/a.mha"], case_of=lambda _: "a", given=given, channels=("T2", "ADC"))

    assert layout.cases().cases == (CaseFiles("a", ("x/1.mha", "x/2.mha"), "y/a.mha"),)
    assert layout.cases(["ADC"]).cases == (CaseFiles("a", ("x/2.mha",), "y/a.mha"),)


def test_of_a_test_set_nobody_is_told_to_declare_what_its_training_set_decides():
    layout = replace(tree(["a/t1.mha", "a/t2.mha"], [], proposed={"channels": ("t1", "t2")}), labels=None)

    with pytest.raises(DatasetError, match=r"several images .* its training set has one channel") as caught:
        layout.cases(with_labels=False)
    assert "--channels" not in str(caught.value)
    with pytest.raises(DatasetError, match=r"ends in a channel's: t1n, t1c; they are those of its training") as caught:
        layout.cases(["t1n", "t1c"], with_labels=False)
    assert "--channels" not in str(caught.value)


def test_channels_that_no_name_ends_in_are_told_with_those_that_names_end_in():
    layout = tree(["a/t1.mha", "a/t2.mha"], ["a/seg.mha"], proposed={"channels": ("t1", "t2")})

    with pytest.raises(DatasetError, match=r"\(t1.mha, t2.mha\), .* ends in a channel's: x, y; give --channels t1,t2$"):
        layout.cases(["x", "y"])
