"""A file is known by its bytes, a folder by the names in it."""

from __future__ import annotations

import hashlib

from monai_mriprep.formats.digest import sha256_of, sha256_of_content


def test_a_file_is_known_by_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()


def test_of_an_open_file_what_is_not_read_yet(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    with (tmp_path / "a").open("rb") as file:
        file.read(4)
        assert sha256_of_content(file) == hashlib.sha256((b"abc" * 1_000_000)[4:]).hexdigest()
        assert sha256_of_content(file) == hashlib.sha256().hexdigest()


def test_a_folder_is_known_by_the_names_in_it(tmp_path):
    (tmp_path / "b").write_bytes(b"1")
    first = sha256_of(tmp_path)
    (tmp_path / "b").write_bytes(b"2")
    assert sha256_of(tmp_path) == first
    (tmp_path / "a").touch()
    assert sha256_of(tmp_path) != first
