"""The two folders of a dataset, and what is listed in one: order, what is ignored and what is refused."""

import pytest

from monai_mriprep.dataset.folders import find_folders, list_volumes, volume_tree
from monai_mriprep.errors import DatasetError


def test_list_volumes_ignores_what_is_no_volume(tmp_path):
    for name in ("b10.mha", "b9.nii.gz", ".hidden.mha", "._b9.nii.gz", "notes.txt", ".mha"):
        (tmp_path / name).touch()
    (tmp_path / "folder.mha").mkdir()

    assert [path.name for path in list_volumes(tmp_path)] == ["b9.nii.gz", "b10.mha"]


def test_list_volumes_keeps_broken_links_for_the_header_to_report(tmp_path):
    (tmp_path / "loop.mha").symlink_to("loop.mha")
    (tmp_path / "gone.mha").symlink_to("nowhere.mha")

    assert [path.name for path in list_volumes(tmp_path)] == ["gone.mha", "loop.mha"]


def test_two_files_with_one_stem_are_refused_by_name(tmp_path):
    for name in ("a.mha", "a.nii.gz", "b.mha"):
        (tmp_path / name).touch()

    with pytest.raises(DatasetError, match=r"'a\.mha' and 'a\.nii\.gz'"):
        list_volumes(tmp_path)


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("Case_1.mha", "case_1.nii", "'Case_1.mha' and 'case_1.nii'"),
        ("M\u00fcller.mha", "Mu\u0308ller.mha", r"'Mu\u0308ller.mha' and 'M\xfcller.mha'"),
    ],
)
def test_stems_that_macos_or_windows_would_take_for_one_are_refused_together(tmp_path, one, other, shown):
    for name in (one, other, "b.mha"):
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system takes the two names for one")

    with pytest.raises(DatasetError, match="macOS and Windows") as caught:
        list_volumes(tmp_path)

    assert shown in str(caught.value)
    assert "b.mha" not in str(caught.value)


@pytest.mark.parametrize(("images", "labels"), [("ImagesTr", "LabelsTr"), ("imagesTr", "labelsTr")])
def test_find_folders_takes_both_spellings(tmp_path, images, labels):
    (tmp_path / images).mkdir()
    (tmp_path / labels).mkdir()

    folders = find_folders(tmp_path)

    assert (folders.images, folders.labels) == (tmp_path / images, tmp_path / labels)


def test_find_folders_follows_links(tmp_path):
    real = tmp_path / "real"
    for name in ("ImagesTr", "LabelsTr"):
        (real / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)

    assert find_folders(tmp_path / "link").images.is_dir()


def test_find_folders_names_what_it_looked_for(tmp_path):
    (tmp_path / "ImagesTr").mkdir()

    with pytest.raises(DatasetError, match="LabelsTr or labelsTr"):
        find_folders(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        find_folders(tmp_path / "nowhere")


def test_both_spellings_at_once_are_refused(tmp_path):
    for name in ("ImagesTr", "imagesTr", "LabelsTr"):
        (tmp_path / name).mkdir(exist_ok=True)
    if (tmp_path / "ImagesTr").samefile(tmp_path / "imagesTr"):
        pytest.skip("this file system ignores case")

    with pytest.raises(DatasetError, match="both ImagesTr and imagesTr"):
        find_folders(tmp_path)


def test_a_loop_of_links_is_a_named_error(tmp_path):
    (tmp_path / "ImagesTr").symlink_to("ImagesTr")

    with pytest.raises(DatasetError, match=r"ImagesTr cannot be followed"):
        find_folders(tmp_path)


def test_a_tree_lists_the_volumes_of_all_folders(tmp_path):
    names = ("c10/x.mha", "c9/x.nii.gz", "c9/deep/er/y.mha", ".hidden/x.mha", "c9/.x.mha", "z.mha", "c9/notes.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c9" / "folder.mha").mkdir()
    (tmp_path / "c9" / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("c10")

    tree = volume_tree(tmp_path)

    assert tree == (("c9/deep/er/y.mha", "c9/x.nii.gz", "c10/x.mha", "link/x.mha", "z.mha"), None)


def test_a_tree_that_leads_back_into_itself_ends(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.mha").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to("a")

    assert volume_tree(tmp_path).names == ("a/x.mha", "link/x.mha")


def test_a_tree_without_volumes_tells_where_dicom_files_are(tmp_path):
    for name in ("p1/notes.txt", "p2/s1/IM1", "p3/s1/IM1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" if "IM" in name else b"")

    assert volume_tree(tmp_path) == ((), tmp_path / "p2" / "s1")
    (tmp_path / "a.mha").touch()
    assert volume_tree(tmp_path) == (("a.mha",), None)
