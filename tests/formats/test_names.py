"""Names of volumes: stems, suffixes, order, and folders of DICOM slices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.formats.names import SUFFIXES, natural_key, real_path, stem


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b/10000_0001_0000.mha", "10000_0001_0000"),
        ("x.nii.gz", "x"),
        ("x.NII.GZ", "x"),
        ("x.Mha", "x"),
        ("a.b.nrrd", "a.b"),
        ("x.mha.nii", "x.mha"),
        ("x.gz", "x.gz"),
        ("notes.txt", "notes.txt"),
    ],
)
def test_stem_drops_the_volume_suffix_only(name, expected):
    assert stem(name) == expected


@given(st.text(st.characters(blacklist_characters="/\0", codec="utf-8"), min_size=1), st.sampled_from(SUFFIXES))
def test_stem_undoes_adding_a_suffix(name, suffix):
    assert stem(name + suffix) == name


def test_natural_key_compares_numbers_by_value():
    names = ["case_10", "case_2", "case_02", "a", "10", "9"]

    assert sorted(names, key=natural_key) == ["9", "10", "a", "case_02", "case_2", "case_10"]


@given(st.lists(st.text(max_size=8), max_size=6))
def test_natural_key_orders_any_names(names):
    backwards = names[::-1]

    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


def test_a_link_to_itself_leads_nowhere_else(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("folder")

    assert real_path(tmp_path / "loop").name == "loop"
    assert real_path(tmp_path / "link" / "x") == real_path(tmp_path) / "folder" / "x"


def test_natural_key_takes_numbers_of_any_length():
    names = ["9" * 5000, "1" + "0" * 5000, "0" * 6000 + "8"]

    assert sorted(names, key=natural_key) == [names[2], names[0], names[1]]
