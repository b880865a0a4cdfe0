"""Files in a dataset's folders that are not read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import SimpleITK

from monai_mriprep.dataset.unread_files import unread_files
from monai_mriprep.errors import DatasetError
from tests.formats.dicom_series import write_series


class Folders(NamedTuple):
    images: Path
    labels: Path


@pytest.fixture
def folders(tmp_path) -> Folders:
    for name in ("ImagesTr", "LabelsTr"):
        (tmp_path / name).mkdir()
    return Folders(tmp_path / "ImagesTr", tmp_path / "LabelsTr")


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".hdr", ".mha"])
@pytest.mark.parametrize("compressed", [False, True])
def test_files_that_belong_to_a_volume_are_not_named(folders, suffix, compressed):
    image = SimpleITK.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
    SimpleITK.WriteImage(image, str(folders.images / f"a{suffix}"), useCompression=compressed)
    write_series(folders.labels / "series", np.zeros((3, 4, 5), np.int16))
    assert unread_files(folders) == ()


def test_slices_that_a_header_names_are_not_named(folders, write_mha):
    for name in ("front.raw", "back.raw", "other.raw"):
        (folders.images / name).write_bytes(bytes(24))
    write_mha(folders.images / "a.mhd", body=b"", data_file="LIST\nfront.raw\nback.raw")
    (sentence,) = unread_files(folders)
    assert sentence.startswith(f"{folders.images}: not read: other.raw; volumes end in")


def test_a_header_that_cannot_be_read_names_nothing_but_the_files_of_its_stem(folders):
    (folders.images / "a.mhd").write_text("damaged")
    for name in ("a.raw", "a.raw.gz", "b.raw"):
        (folders.images / name).write_bytes(bytes(24))
    (sentence,) = unread_files(folders)
    assert "not read: b.raw;" in sentence


def test_each_folder_has_its_sentence_and_hidden_files_have_none(folders):
    (folders.images / "notes.txt").touch()
    (folders.labels / "masks").mkdir()
    (folders.labels / ".hidden").touch()
    images, labels = unread_files(folders)
    assert f"{folders.images}: not read: notes.txt;" in images
    assert f"{folders.labels}: not read: masks;" in labels


def test_many_are_named_in_short(folders):
    for number in range(12):
        (folders.images / f"{number}.png").touch()
    (sentence,) = unread_files(folders)
    assert "not read: 0.png, 1.png, 2.png, 3.png, 4.png and 7 more;" in sentence


def test_a_folder_that_is_gone_is_an_error(folders):
    folders.labels.rmdir()
    with pytest.raises(DatasetError, match="LabelsTr"):
        unread_files(folders)
