"""An open folder: only bare names, no link followed, only regular files for files."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import nullcontext
from pathlib import Path

import pytest

from monai_mriprep.errors import OutputError, RecordError
from monai_mriprep.store.folder import Folder, opened, temporary_name, what_it_is
from monai_mriprep.store.layout import is_staged
from tests.store.faults import Crash, crash_at, fail_at, note, refuse


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    with opened(tmp_path / "folder") as folder:
        yield folder


@pytest.fixture
def staging(tmp_path):
    (tmp_path / "staging").mkdir()
    with opened(tmp_path / "staging") as staging:
        yield staging


def make(place: Path, what: str, target: Path) -> None:
    """Put what is no file in a place."""
    if what == "folder":
        place.mkdir()
    elif what == "link":
        place.symlink_to(target)
    elif what == "pipe":
        os.mkfifo(place)
    else:
        os.mknod(place, stat.S_IFSOCK | 0o600)


NO_FILES = ("folder", "link", "pipe", "socket")
BY_NAME = {
    "folder": lambda folder, name: folder.folder(name),
    "make_folder": lambda folder, name: folder.make_folder(name),
    "status": lambda folder, name: folder.status(name),
    "require": lambda folder, name: folder.require(name),
    "is_file": lambda folder, name: folder.is_file(name),
    "is_folder": lambda folder, name: folder.is_folder(name),
    "read": lambda folder, name: folder.read(name),
    "create": lambda folder, name: folder.create(name, [b"x"]),
    "sync_file": lambda folder, name: folder.sync_file(name),
    "move": lambda folder, name: folder.move(name, folder, "a"),
    "move to": lambda folder, name: folder.move("a", folder, name),
    "link": lambda folder, name: folder.link(name, folder, "a"),
    "link to": lambda folder, name: folder.link("a", folder, name),
    "remove": lambda folder, name: folder.remove(name),
    "remove_folder": lambda folder, name: folder.remove_folder(name),
    "replace": lambda folder, name: folder.replace(name, [b"x"], folder),
    "create_whole": lambda folder, name: folder.create_whole(name, [b"x"], folder),
    "appending": lambda folder, name: folder.appending(name),
    "updating": lambda folder, name: folder.updating(name),
}


@pytest.mark.parametrize("name", ["../victim", "sub/victim", "/tmp/victim", "..", ""])
@pytest.mark.parametrize("act", BY_NAME.values(), ids=BY_NAME)
def test_every_method_refuses_a_name_that_leads_elsewhere(folder, tmp_path, act, name):
    (tmp_path / "victim").write_text("content")
    (tmp_path / "folder" / "sub").mkdir()
    (tmp_path / "folder" / "sub" / "victim").write_text("content")
    (tmp_path / "folder" / "a").write_text("a")
    with pytest.raises(RecordError, match="is not the bare name of a file"):
        act(folder, name)
    assert (tmp_path / "victim").read_text() == (tmp_path / "folder" / "sub" / "victim").read_text() == "content"
    assert sorted(os.listdir(folder.path)) == ["a", "sub"]  # noqa: PTH208


def test_every_method_that_takes_a_name_is_tested_above():
    others = {"close", "names", "reading", "sync"}  # `reading` is what `read` calls
    methods = {name for name, value in vars(Folder).items() if callable(value) and not name.startswith("_")}
    assert methods - others == {name.removesuffix(" to") for name in BY_NAME}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("act", ["read", "sync_file", "appending", "updating", "create"])
def test_what_is_no_regular_file_is_neither_opened_nor_waited_for(folder, tmp_path, what, act):
    target = tmp_path / "target"
    target.write_text("content")
    make(folder.path / "a", what, target)
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on what it is
        BY_NAME[act](folder, "a")
    assert not folder.is_file("a")
    assert target.read_text() == "content"
    assert os.path.lexists(folder.path / "a"), "it is not removed either"


@pytest.mark.parametrize("what", ["file", "link", "pipe", "socket"])
def test_what_is_no_folder_is_not_opened_as_one(folder, tmp_path, what):
    target = tmp_path / "target"
    target.mkdir()
    (folder.path / "a").touch() if what == "file" else make(folder.path / "a", what, target)
    assert not folder.is_folder("a")
    assert not folder.make_folder("a")
    with pytest.raises(OSError):  # noqa: PT011 - ENOTDIR or ELOOP
        folder.folder("a")


def test_a_folder_that_is_replaced_by_a_link_is_not_left(folder, tmp_path):
    """What is done goes to the folder that was opened, wherever its name leads."""
    (tmp_path / "elsewhere").mkdir()
    folder.path.rename(tmp_path / "moved")
    folder.path.symlink_to(tmp_path / "elsewhere")
    folder.create("a", [b"content"])
    assert (tmp_path / "moved" / "a").read_bytes() == b"content"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_small_file_and_one_that_is_too_large(folder):
    folder.create("a", [b"01", bytearray(b"23"), memoryview(b"45")])
    assert folder.read("a") == folder.read("a", 6) == b"012345"
    with pytest.raises(OSError, match="it holds more than 5 bytes"):
        folder.read("a", 5)
    with folder.reading("a") as file:
        file.seek(4)
        assert file.read() == b"45"
    with pytest.raises(FileNotFoundError):
        folder.read("b")


def test_a_file_is_created_once(folder):
    folder.create("a", [b"first"])
    with pytest.raises(FileExistsError):
        folder.create("a", [b"second"])
    assert folder.read("a") == b"first"


def test_it_is_synced_when_asked(folder, monkeypatch):
    seen = note(monkeypatch)
    folder.create("a", [b"x"])
    assert seen == []
    folder.create("b", [b"x"], sync=True)
    folder.sync_file("a")
    folder.sync()
    place = f"{folder.path.parent.name}/folder"
    assert seen == [("sync", "folder/b"), ("sync", "folder/a"), ("sync", place)]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_file_system_that_cannot_sync_folders_is_used_all_the_same(folder, monkeypatch, code):
    """A disk that fails is another thing."""
    refuse(monkeypatch, "fsync", lambda descriptor: descriptor == folder.descriptor, code)
    with pytest.raises(OSError, match="error") if code == errno.EIO else nullcontext():
        folder.sync()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_file_that_cannot_be_written_is_not_left(folder, monkeypatch, code):
    for number in range(3):  # open, write, fsync
        with monkeypatch.context() as patch:
            fail_at(patch, number, code)
            with pytest.raises(OSError, match=os.strerror(code)):
                folder.create("a", [b"x"], sync=True)
        assert folder.names() == []


@pytest.mark.parametrize("fault", ["crash", "EIO"])
def test_a_replaced_file_has_the_old_or_the_new_content_whatever_fails(folder, staging, monkeypatch, fault):
    """And after an error no temporary file is left."""
    found = []
    for number in range(20):
        folder.remove("a")
        folder.create("a", [b"old"])
        with monkeypatch.context() as patch:
            crash_at(patch, number) if fault == "crash" else fail_at(patch, number, errno.EIO)
            try:
                folder.replace("a", [b"new"], staging)
            except (Crash, OSError):
                pass
            else:
                break
        found.append(folder.read("a"))
        assert found[-1] in (b"old", b"new")
        assert fault == "crash" or staging.names() == []
    assert found == [b"old"] * 4 + [b"new"], "to open, write, sync and move it; to sync the folder"
    assert folder.read("a") == b"new"


def test_a_replaced_file_is_synced_before_it_is_moved_and_its_folder_after(folder, staging, monkeypatch):
    seen = note(monkeypatch)
    folder.replace("a", [b"new"], staging)
    kinds = [kind for kind, _ in seen]
    assert kinds == ["sync", "move", "sync"]
    assert seen[1] == ("move", "folder/a")
    assert seen[2][1].endswith("/folder")


@pytest.mark.parametrize("links", [True, errno.EPERM, errno.ENOSYS], ids=["links", "no links", "no such call"])
def test_of_several_that_create_a_whole_file_the_first_one_does(folder, staging, monkeypatch, links):
    if links is not True:
        refuse(monkeypatch, "link", lambda *_: True, links)
    assert folder.create_whole("a", [b"1", b"2"], staging)
    assert not folder.create_whole("a", [b"3"], staging)
    assert folder.read("a") == b"12"
    assert staging.names() == []


@pytest.mark.parametrize("fault", [crash_at, fail_at])
def test_a_file_that_is_created_whole_is_whole_or_not_there_whatever_fails(folder, staging, monkeypatch, fault):
    for number in range(20):
        with monkeypatch.context() as patch:
            fault(patch, number, *((errno.EIO,) if fault is fail_at else ()))
            try:
                folder.create_whole("a", [b"1", b"2"], staging)
            except (Crash, OSError):
                place = folder.path / "a"
                assert not place.exists() or place.read_bytes() == b"12"
            else:
                break
        (folder.path / "a").unlink(missing_ok=True)
    assert number > 4


def test_moves_and_second_names(folder, staging):
    staging.create("a", [b"a"])
    folder.create("b", [b"b"])
    staging.link("a", folder, "second")
    staging.move("a", folder, "b")
    assert (staging.names(), folder.names()) == ([], ["b", "second"])
    assert folder.read("b") == folder.read("second") == b"a"
    with pytest.raises(FileExistsError):
        folder.link("b", folder, "second")
    with pytest.raises(FileNotFoundError):
        folder.move("none", folder, "b")


def test_what_is_gone_is_removed_already(folder):
    folder.remove("none")
    folder.remove_folder("none")
    assert folder.status("none") is None
    with pytest.raises(FileNotFoundError):
        folder.require("none")


def test_a_folder_is_removed_if_it_is_empty(folder):
    assert folder.make_folder("sub")
    assert not folder.make_folder("sub")
    sub = folder.folder("sub")
    sub.create("a", [])
    folder.remove_folder("sub")
    assert folder.names() == ["sub"]
    sub.remove("a")
    sub.close()
    folder.remove_folder("sub")
    assert folder.names() == []


def test_an_error_of_the_disk_is_not_taken_for_absence(folder, monkeypatch):
    refuse(monkeypatch, "status", lambda *_: True, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        folder.status("a")


def test_appending_and_updating_make_the_file(folder):
    for opener, content in ((folder.appending, b"abxy"), (folder.updating, b"xy")):
        name = opener.__name__
        folder.create(name, [b"ab"])
        for each in (name, f"new {name}"):
            descriptor = opener(each)
            os.write(descriptor, b"xy")
            os.close(descriptor)
        assert folder.read(name) == content
        assert folder.read(f"new {name}") == b"xy"


def test_the_folder_that_the_user_names_may_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder.path)
    with opened(tmp_path / "link") as again:
        again.create("a", [])
    assert folder.names() == ["a"]


@pytest.mark.parametrize("what", ["nothing", "file"])
def test_a_folder_that_is_none_is_named(tmp_path, what):
    path = tmp_path / "a"
    if what == "file":
        path.touch()
    with pytest.raises(OutputError, match=rf"{path}: the output folder cannot be opened \("), opened(path):
        pass


def test_every_descriptor_is_closed(folder, staging, monkeypatch, tmp_path):
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    folder.create("a", [b"x"], sync=True)
    folder.sync_file("a")
    folder.replace("a", [b"y"], staging)
    folder.read("a")
    make(folder.path / "pipe", "pipe", tmp_path)
    for act in ("read", "sync_file", "appending"):
        with pytest.raises(OSError, match=r"no regular file|No such device"):
            BY_NAME[act](folder, "pipe")
    for number in range(8):
        with monkeypatch.context() as patch:
            fail_at(patch, number, errno.EIO)
            try:
                folder.replace("a", [b"z"], staging)
            except OSError:
                continue
    with opened(folder.path):
        assert count() == before + 1
    assert count() == before


def test_a_temporary_name_is_given_once():
    names = {temporary_name("npz") for _ in range(1000)}
    assert len(names) == 1000
    assert all(map(is_staged, names))


def test_what_a_name_is_in_words(tmp_path):
    expected = {"folder": "a folder", "link": "a link", "pipe": "a pipe", "socket": "a device"}
    for what, words in expected.items():
        make(tmp_path / what, what, tmp_path)
        assert what_it_is((tmp_path / what).lstat().st_mode) == words
    (tmp_path / "file").touch()
    assert what_it_is((tmp_path / "file").stat().st_mode) == "a file"
