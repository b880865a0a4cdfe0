"""The system calls: bare names in open folders, and nothing in the room that passes them by."""

from __future__ import annotations

import ast
import os
import stat
from pathlib import Path

import pytest

from monai_mriprep import store
from monai_mriprep.store import calls

ROOM = Path(store.__path__[0])

CHANGING = {
    *("open", "write", "pwrite", "fsync", "fdatasync", "rename", "renames", "replace", "link", "symlink", "unlink"),
    *("remove", "removedirs", "mkdir", "makedirs", "rmdir", "listdir", "scandir", "stat", "lstat", "truncate", "chmod"),
}
ALLOWED = {
    ("folder.py", "open"),  # the output folder itself, by the path that the user has named
    ("lock.py", "pwrite"),  # the name of the lock's holder, which may be missing
}
OF_PATHS = {
    *("open", "write_text", "write_bytes", "read_bytes", "rename", "replace", "unlink", "mkdir", "rmdir", "touch"),
    *("symlink_to", "hardlink_to", "iterdir", "glob", "rglob", "exists", "is_file", "is_dir", "stat", "chmod"),
}
OF_FOLDERS = {"replace", "is_file", "rename"}
"""Methods of `Folder` and `str` that have the name of one of a path."""


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_nothing_in_the_room_passes_by_the_calls(path):
    """Else the tests that let the n-th call fail would miss some."""
    if path.name == "calls.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    of_os = {node.attr for node in used if isinstance(node.value, ast.Name) and node.value.id == "os"}
    assert {(path.name, name) for name in of_os & CHANGING} <= ALLOWED
    methods = {
        node.attr for node in used if not (isinstance(node.value, ast.Name) and node.value.id in ("os", "calls"))
    }
    expected = {"mkdir"} if path.name == "store.py" else set()  # the output folder itself
    assert methods & OF_PATHS - OF_FOLDERS == expected


@pytest.fixture
def folder(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_everything_is_relative_to_the_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    calls.make_folder("sub", folder)
    sub = calls.open_folder("sub", folder)
    file = calls.open_file("a", os.O_WRONLY | os.O_CREAT, folder)
    calls.write(file, b"content")
    calls.fsync(file)
    calls.close(file)
    calls.link("a", folder, "b", sub)
    calls.rename("a", folder, "c", sub)
    assert sorted(calls.names(sub)) == ["b", "c"]
    assert stat.S_ISREG(calls.status("c", sub).st_mode)
    assert (tmp_path / "sub" / "b").read_text() == "content"
    calls.unlink("b", sub)
    calls.unlink("c", sub)
    calls.close(sub)
    calls.remove_folder("sub", folder)
    assert calls.names(folder) == []


def test_no_link_is_followed(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("content")
    (tmp_path / "to_folder").symlink_to(outside)
    (tmp_path / "to_file").symlink_to(outside / "file")
    for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_EXCL):
        with pytest.raises(OSError):  # noqa: PT011 - ELOOP, or EEXIST
            calls.open_file("to_file", flags, folder)
    with pytest.raises(OSError):  # noqa: PT011 - ENOTDIR or ELOOP
        calls.open_folder("to_folder", folder)
    assert stat.S_ISLNK(calls.status("to_file", folder).st_mode)
    calls.link("to_file", folder, "second", folder)
    assert stat.S_ISLNK(calls.status("second", folder).st_mode), "of the link, not of what it leads to"
    assert (outside / "file").stat().st_nlink == 1


def test_a_pipe_does_not_block(folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.close(calls.open_file("pipe", os.O_RDONLY, folder))
    with pytest.raises(OSError, match="No such device"):
        calls.open_file("pipe", os.O_WRONLY, folder)


def test_a_child_of_another_program_inherits_nothing(folder, tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "sub").mkdir()
    for descriptor in (calls.open_file("a", os.O_RDONLY, folder), calls.open_folder("sub", folder)):
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)


def test_all_is_written_where_one_call_writes_a_part(folder, tmp_path, monkeypatch):
    """As on a disk that is nearly full."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:3]))
    file = calls.open_file("a", os.O_WRONLY | os.O_CREAT, folder)
    for content in (b"0123456789", bytearray(b"abc"), memoryview(b"de"), b""):
        calls.write(file, content)
    os.close(file)
    assert (tmp_path / "a").read_bytes() == b"0123456789abcde"
