"""Addresses in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_mriprep.errors import RemoteError
from monai_mriprep.remote.address import address_of, checked_name, last_part


@pytest.mark.parametrize("place", ["s3://bucket/scans", "s3://bucket/scans/", Path("s3://bucket/scans")])
def test_an_address_is_known_though_a_path_has_lost_a_slash(place):
    assert address_of(place) == "s3://bucket/scans"


@pytest.mark.parametrize("place", ["/data/scans", "scans", Path("a:b/c"), "C:/scans", "data/s3:/x", "s3:"])
def test_a_path_is_no_address(place):
    assert address_of(place) is None


def test_a_password_in_an_address_is_refused_and_not_told():
    with pytest.raises(RemoteError, match="holds a user or a password") as raised:
        address_of("sftp://me:secret@host/scans")
    assert "secret" not in str(raised.value)


def test_the_last_part_is_what_a_folder_would_be_called():
    assert last_part("s3://bucket/a/Dataset001_Liver") == "Dataset001_Liver"
    assert last_part("s3://bucket") == "bucket"


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "a//b", "a/./b", "a\0b", ".."])
def test_an_object_that_no_file_can_be_called_is_refused(name):
    with pytest.raises(RemoteError, match="which no file can be called"):
        checked_name("s3://bucket", name)


def test_other_names_stay():
    assert checked_name("s3://bucket", "imagesTr/a b.ä.nii.gz") == "imagesTr/a b.ä.nii.gz"


@pytest.mark.parametrize("place", ["s3://bucket/..", "s3://bucket/a/../b", "s3://./scans"])
def test_parts_that_lead_elsewhere_are_refused(place):
    with pytest.raises(RemoteError, match=r"takes \. and \.\. for names"):
        address_of(place)
