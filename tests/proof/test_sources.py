"""Names of sources below a dataset, and what of them is not as locked."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from monai_mriprep.formats.digest import sha256_of
from monai_mriprep.proof import sources
from monai_mriprep.proof.locked import LockedSource
from monai_mriprep.proof.sources import Difference, changed_files, name_in, place_of_data


@pytest.mark.parametrize(
    ("roots", "path", "name"),
    [
        (["/data/scans"], "/data/scans/ImagesTr/a.mha", "ImagesTr/a.mha"),
        (["/data/scans"], "/data/scans/a.mha", "a.mha"),
        (["/data/scans"], "/data/scans2/a.mha", None),
        (["/data/scans"], "/data/scans/../other/a.mha", None),
        (["/new", "/data/scans"], "/data/scans/a/b/c.mha", "a/b/c.mha"),
        (["s3://bucket/scans"], "s3://bucket/scans/ImagesTr/a.mha", "ImagesTr/a.mha"),
        (["s3://bucket/scans"], "s3://bucket/scans/a.mha", "a.mha"),
        (["s3://bucket/scans"], "s3://bucket/other/a.mha", None),
        (["s3://bucket/scans"], "/data/scans/a.mha", None),
        (["s3://bucket/scans"], "scans/a.mha", None),
        (["/data/scans"], "a.mha", None),
        (["/data/scans"], "", None),
    ],
    ids=[
        "inside",
        "directly",
        "beside",
        "around",
        "second",
        "object",
        "top object",
        "other object",
        "mixed",
        "relative",
        "bare",
        "empty",
    ],
)
def test_a_name_is_relative_to_the_dataset(roots, path, name):
    assert name_in(roots, path) == name


def test_a_dataset_that_has_left_a_link_is_found_by_both_names(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "old").symlink_to("new")
    for root in ("old", "new"):
        assert name_in([str(tmp_path / "new")], str(tmp_path / root / "a.mha")) == "a.mha"
    assert name_in([str(tmp_path / "old")], str(tmp_path / "old/a.mha")) == "a.mha", "it was no link then"


def locked(folder: Path, path: str, **given: object) -> LockedSource:
    place = folder / path
    size = None if place.is_dir() else place.stat().st_size
    return LockedSource(path=path, size=size, sha256=sha256_of(place), **given)


def test_a_file_is_missing_or_has_another_size_kind_or_content(tmp_path, monkeypatch):
    file = tmp_path / "a.mha"
    file.write_bytes(b"voxels")
    source = locked(tmp_path, "a.mha")
    assert list(changed_files(tmp_path, source)) == []

    def problem() -> str:
        ((kind, subject, text),) = changed_files(tmp_path, source)
        assert (kind, subject) == ("source", "a.mha")
        return text

    file.write_bytes(b"voxelz")
    assert problem() == "has changed: its SHA-256 is another one"
    file.write_bytes(b"more voxels")
    assert problem() == "has 11 bytes, and had 6"
    file.unlink()
    assert problem() == "is missing"
    file.mkdir()
    assert problem() == "is a folder, and was none"
    file.rmdir()
    file.symlink_to("/dev/null")
    assert problem() == "is no regular file"
    file.unlink()
    file.write_bytes(b"voxels")

    def broken(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sources, "sha256_of", broken)
    assert problem() == "cannot be read (Input/output error)"


def test_a_folder_of_slices_is_known_by_its_names_and_its_slices(tmp_path):
    series = tmp_path / "series"
    series.mkdir()
    for name in ("1.dcm", "2.dcm"):
        (series / name).write_bytes(name.encode())
    data = [{"name": name, "size": 5, "sha256": sha256_of(series / name)} for name in ("1.dcm", "2.dcm")]
    source = locked(tmp_path, "series", data=data)
    assert list(changed_files(tmp_path, source)) == []
    (series / "2.dcm").write_bytes(b"other")
    assert list(changed_files(tmp_path, source)) == [
        Difference("source", "series/2.dcm", "has changed: its SHA-256 is another one")
    ]
    (series / "3.dcm").write_bytes(b"more")
    assert "holds other files" in next(changed_files(tmp_path, source)).problem
    for path in series.iterdir():
        path.unlink()
    series.rmdir()
    assert next(changed_files(tmp_path, source)) == Difference("source", "series", "is no folder, and was one")


def test_voxels_lie_beside_the_header_or_beside_what_it_links_to(tmp_path):
    for name in ("store", "dataset"):
        (tmp_path / name).mkdir()
    (tmp_path / "store/a.mhd").touch()
    (tmp_path / "store/a.raw").touch()
    (tmp_path / "dataset/a.mhd").symlink_to(tmp_path / "store/a.mhd")
    assert place_of_data(tmp_path / "dataset/a.mhd", "a.raw") == tmp_path / "store/a.raw"
    (tmp_path / "dataset/a.raw").touch()
    assert place_of_data(tmp_path / "dataset/a.mhd", "a.raw") == tmp_path / "dataset/a.raw"
    assert place_of_data(tmp_path / "dataset/a.mhd", "b.raw") == tmp_path / "dataset/b.raw"
    (tmp_path / "dataset/b.raw").mkdir()
    (tmp_path / "store/b.raw").touch()
    assert place_of_data(tmp_path / "dataset/a.mhd", "b.raw") == tmp_path / "store/b.raw"
