"""An output folder that nobody has to be trusted with: what stands in the way, other disks, copies made of links."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from monai_mriprep.errors import DiskFullError, OutputError
from monai_mriprep.store.layout import FILES, FOLDERS, ROLE_FOLDERS
from monai_mriprep.store.record_lines import append_lines
from monai_mriprep.store.store import make_store, open_store
from tests.store.faults import CHANGES, Crash, crash_at, fail_at, note, refuse
from tests.store.pairs import left_in


@pytest.fixture
def bare(tmp_path):
    """An output folder in which nothing is yet."""
    make_store(tmp_path / "out")
    with open_store(tmp_path / "out") as store:
        yield store


@pytest.fixture
def mounted(tmp_path):
    """Mount file systems of their own."""
    folders: list[Path] = []

    def mount(folder: Path, options: str = "size=1m") -> Path:
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        folders.append(folder)
        return folder

    yield mount
    for folder in reversed(folders):
        subprocess.run(["umount", "-l", str(folder)], check=True)


def tree(folder: Path) -> dict[str, bytes | str]:
    """All that is in a folder: a file with its content, a link with its target, else what it is."""

    def content(path: Path) -> bytes | str:
        if path.is_symlink():
            return f"link to {path.readlink()}"
        return path.read_bytes() if path.is_file() else stat.filemode(path.lstat().st_mode)[0]

    return {str(path.relative_to(folder)): content(path) for path in sorted(folder.rglob("*"))}


OF_TRAINING = (*ROLE_FOLDERS.values(), ".partial")

# --- What stands in the way -------------------------------------------------------------------------------------------


def test_the_folders_are_made_once_and_survive_a_power_cut(bare, monkeypatch):
    seen = note(monkeypatch)
    assert bare.prepare() == ()
    assert sorted(tree(bare.root.path)) == sorted(OF_TRAINING)
    assert seen == [("sync", f"{bare.root.path.parent.name}/out")]
    assert bare.prepare() == ()
    assert len(seen) == 1
    (bare.root.path / "labelsTr").rmdir()
    assert bare.prepare() == ()
    assert len(seen) == 2, "where only one was made, too"


PLANTED = {
    "link": lambda place, target: place.symlink_to(target),
    "dangling link": lambda place, target: place.symlink_to(target / "none"),
    "pipe": lambda place, target: os.mkfifo(place),
    "device": lambda place, target: os.mknod(place, stat.S_IFSOCK | 0o600),
    "file": lambda place, target: place.write_text("of somebody"),
    "folder": lambda place, target: (place.mkdir(), (place / "file").write_text("of somebody")),
}


WRONG = [
    *((name, what) for name in FOLDERS for what in PLANTED if what != "folder"),
    *((name, what) for name in FILES for what in PLANTED if what != "file"),
]


@pytest.mark.parametrize(("name", "what"), WRONG)
def test_what_stands_in_the_way_is_set_aside_and_named(bare, tmp_path, name, what):
    outside, root = tmp_path / "outside", bare.root.path
    outside.mkdir()
    (outside / "file").write_text("foreign")
    PLANTED[what](root / name, outside)
    before, planted = tree(outside), tree(root)
    (message,) = bare.prepare()
    kind = what.removeprefix("dangling ")
    aside = f"{name}.set-aside"
    assert message == f"{root / name} is a {kind}, which cannot be used here; it is set aside as {root / aside}"
    kept = {key.replace(name, aside, 1): value for key, value in planted.items()}
    assert {key: value for key, value in tree(root).items() if key.startswith(aside)} == kept
    assert tree(outside) == before
    assert bare.has_folder(name) == (name in OF_TRAINING)
    assert bare.prepare() == (), "it is done once"


def test_all_of_them_at_once(bare, tmp_path):
    for name in (*FOLDERS, *FILES):
        (bare.root.path / name).symlink_to(tmp_path)
    assert len(bare.prepare()) == len(FOLDERS) + len(FILES)


def test_nothing_that_was_set_aside_is_replaced(bare):
    root = bare.root.path
    for number in range(3):
        (root / "run.json").mkdir()
        (root / "run.json" / str(number)).touch()
        bare.prepare()
    found = [
        f"{name}/{number}"
        for number, name in enumerate(("run.json.set-aside", "run.json.set-aside.2", "run.json.set-aside.3"))
    ]
    assert [name for name in tree(root) if "/" in name] == found


def test_what_is_set_aside_from_a_folder_goes_to_the_top(store):
    """Nothing else than volumes may lie in the two folders."""
    (store.root.path / "imagesTr" / "a.npz").mkdir()
    message = store.set_aside(store.folder("imagesTr"), "a.npz")
    assert message.endswith(
        f"is a folder, which cannot be used here; it is set aside as {store.root.path}/a.npz.set-aside"
    )
    assert tree(store.root.path / "imagesTr") == {}
    with pytest.raises(FileNotFoundError):
        store.set_aside(store.folder("imagesTr"), "a.npz")


@pytest.mark.parametrize("call", ["rename", "make_folder", "fsync"])
@pytest.mark.parametrize(("code", "error"), [(errno.EACCES, OutputError), (errno.ENOSPC, DiskFullError)])
def test_a_folder_that_cannot_be_written_to_is_named(bare, monkeypatch, call, code, error):
    (bare.root.path / "run.json").mkdir()
    refuse(monkeypatch, call, lambda *_: True, code)
    with pytest.raises(error, match=rf"{bare.root.path}: .*\({os.strerror(code)}\); mend it, or choose another"):
        bare.prepare()


def test_a_read_only_disk_is_named(tmp_path, mounted):
    disk = mounted(tmp_path / "disk")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with open_store(disk) as store, pytest.raises(OutputError, match="Read-only file system"):
        store.prepare()


# --- A copy made of links ---------------------------------------------------------------------------------------------


def test_a_manifest_with_a_second_name_becomes_our_own(store, tmp_path):
    append_lines(store.root, ["of both"])
    (tmp_path / "copy.jsonl").hardlink_to(store.root.path / "manifest.jsonl")
    store.own_manifest()
    append_lines(store.root, ["of ours"])
    assert (tmp_path / "copy.jsonl").read_text() == "of both\n"
    assert (store.root.path / "manifest.jsonl").read_text() == "of both\nof ours\n"


def test_a_manifest_of_our_own_is_left_as_it_is(store, monkeypatch):
    store.own_manifest()
    append_lines(store.root, ["of ours"])
    for name in CHANGES:
        refuse(monkeypatch, name, lambda *_: True)
    store.own_manifest()


def test_a_manifest_that_cannot_be_copied_is_named(store, tmp_path, monkeypatch):
    append_lines(store.root, ["of both"])
    (tmp_path / "copy.jsonl").hardlink_to(store.root.path / "manifest.jsonl")
    refuse(monkeypatch, "write", lambda *_: True, errno.ENOSPC)
    with pytest.raises(DiskFullError, match=r"manifest\.jsonl: the records cannot be copied \(No space"):
        store.own_manifest()
    assert (store.root.path / "manifest.jsonl").read_text() == "of both\n"


# --- The probe --------------------------------------------------------------------------------------------------------


def test_a_probe_moves_into_each_folder_syncs_it_and_leaves_nothing(store, monkeypatch):
    _ = store.staging
    seen = note(monkeypatch)
    store.probe(ROLE_FOLDERS.values())
    moves = [Path(name) for kind, name in seen if kind == "move"]
    assert [str(path.parent) for path in moves] == list(ROLE_FOLDERS.values())
    assert all(path.name.startswith(".probe-") for path in moves), "no consumer's pattern takes it for a volume"
    assert [name for kind, name in seen if kind == "sync" and name.startswith("out/")] == [
        "out/imagesTr",
        "out/labelsTr",
    ]
    assert tree(store.root.path) == dict.fromkeys((*OF_TRAINING, f".partial/{store.writer}"), "d")


def test_a_folder_of_another_disk_is_named_and_nothing_is_left(bare, mounted):
    mounted(bare.root.path / "labelsTr")
    bare.prepare()
    with pytest.raises(OutputError, match=r"labelsTr: finished files cannot be moved there .* \(Invalid cross-device"):
        bare.probe(ROLE_FOLDERS.values())
    assert [name for name, kind in tree(bare.root.path).items() if kind != "d"] == []


def test_a_folder_that_is_read_only_is_named(bare, mounted):
    folder = mounted(bare.root.path / "labelsTr")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    bare.prepare()
    with pytest.raises(OutputError, match=r"labelsTr: finished files cannot be moved there"):
        bare.probe(ROLE_FOLDERS.values())


@pytest.mark.parametrize(
    ("code", "error"), [(errno.EXDEV, OutputError), (errno.EACCES, OutputError), (errno.ENOSPC, DiskFullError)]
)
def test_any_step_of_a_probe_that_fails_is_named_and_nothing_is_left(store, monkeypatch, code, error):
    _ = store.staging
    failures = 0
    while True:
        with monkeypatch.context() as patch:
            fail_at(patch, failures, code)
            try:
                store.probe(ROLE_FOLDERS.values())
            except error as caught:
                message = str(caught)
            else:
                break
        assert f"({os.strerror(code)}); mend it, or choose another output folder" in message
        assert f"from {store.root.path}/.partial, which must be on the same disk" in message
        store.probe(ROLE_FOLDERS.values())
        assert [name for name, kind in tree(store.root.path).items() if kind != "d"] == []
        failures += 1
    assert failures == 2 * len(("open", "write", "sync", "move", "remove", "sync the folder"))


def test_what_an_interrupted_probe_has_left_is_removed_and_nothing_else(store):
    images = store.root.path / "imagesTr"
    left = f".probe-7-{'a' * 32}.npz"
    others = {".probe-7.npz": b"", "a.npz": b"a", f".probe-7-{'b' * 32}.npz/file": b"in a folder"}
    (images / left).touch()
    for name, content in others.items():
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(content)
    (images / f".probe-7-{'c' * 32}.npz").symlink_to(store.root.path / "imagesTr" / "a.npz")
    before = tree(images)
    store.probe(ROLE_FOLDERS.values())
    assert tree(images) == {name: content for name, content in before.items() if name != left}


# --- Folders, files and the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["nothing", "link", "file"])
def test_a_folder_that_is_none_is_an_error_of_ours(bare, tmp_path, what):
    place = bare.root.path / "imagesTr"
    {"nothing": lambda: None, "link": lambda: place.symlink_to(tmp_path), "file": place.touch}[what]()
    why = "No such file or directory" if what == "nothing" else f"it is a {what}"
    with pytest.raises(OutputError, match=rf"{place}: the folder cannot be opened \({why}\)"):
        bare.folder("imagesTr")
    assert not bare.has_folder("imagesTr")


def test_a_folder_is_opened_once_and_closed_at_the_end(store):
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    with open_store(store.root.path) as other:
        assert other.folder("imagesTr") is other.folder("imagesTr")
        assert other.staging is other.staging
        assert descriptors() == before + 4
    assert descriptors() == before


def test_the_writers_folder_is_made_when_it_is_needed_and_survives_a_power_cut(store, monkeypatch):
    """Its name, too: else an entry in it is lost, and with it the rest of a pair."""
    seen = note(monkeypatch)
    assert tree(store.root.path / ".partial") == {}
    store.staging.create("a", [])
    assert seen == [("sync", "out/.partial")]
    store.leave()
    assert set(tree(store.root.path / ".partial")) == {store.writer, f"{store.writer}/a"}
    store.staging.remove("a")
    store.leave()
    assert tree(store.root.path / ".partial") == {}


def test_another_writer_of_this_process_has_a_folder_of_its_own(store):
    with open_store(store.root.path, "another") as other:
        assert other.staging.path == store.root.path / ".partial" / "another" != store.staging.path
        other.leave()
    assert list(tree(store.root.path / ".partial")) == [store.writer]


def test_what_stands_in_the_place_of_the_writers_folder_is_set_aside_and_named(store):
    place = store.root.path / ".partial" / store.writer
    place.touch()
    (said,) = store.prepare()
    assert f"{place} is a file" in said
    assert f"{store.writer}.set-aside" in said
    assert not place.exists()


@pytest.mark.parametrize(("code", "error"), [(errno.EROFS, OutputError), (errno.ENOSPC, DiskFullError)])
def test_a_writers_folder_that_cannot_be_made_is_named(store, monkeypatch, code, error):
    refuse(monkeypatch, "make_folder", lambda *_: True, code)
    with pytest.raises(error, match=rf"\.partial: no folder can be made there \({os.strerror(code)}\)"):
        _ = store.staging


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, None], ids=["EIO", "ENOSPC", "crash"])
def test_a_file_of_the_store_is_replaced_whole_or_not_at_all(store, monkeypatch, code):
    store.replace("run.json", [b"old"])
    steps = 0
    while True:
        store.replace("run.json", [b"old"])
        with monkeypatch.context() as patch:
            crash_at(patch, steps) if code is None else fail_at(patch, steps, code)
            try:
                store.replace("run.json", [b"new"])
            except (Crash, OutputError) as caught:
                message = str(caught)
            else:
                break
        assert store.root.read("run.json") in (b"old", b"new")
        files = [path.name for path in store.root.path.iterdir() if path.is_file()]
        assert files == ["run.json"], "a crash leaves what is half done among the temporary files"
        if code is not None:
            assert f"run.json: cannot be written ({os.strerror(code)})" in message
            assert left_in(store) == []
        steps += 1
    assert steps == len(("open", "write", "sync", "move", "sync the folder"))
    assert store.root.read("run.json") == b"new"


def test_a_store_that_is_none_is_named(tmp_path):
    with pytest.raises(OutputError, match="none: the output folder cannot be opened"), open_store(tmp_path / "none"):
        pass
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputError, match="the output folder cannot be made"):
            make_store(path)
    make_store(tmp_path / "new" / "out")
    make_store(tmp_path / "new" / "out")
    assert tree(tmp_path / "new") == {"out": "d"}


def test_a_folder_of_a_failing_disk_is_an_error_in_words(store, monkeypatch):
    store.close()
    for call in ("open_folder", "status"):
        refuse(monkeypatch, call, lambda *_: True, errno.EIO)
    with pytest.raises(OutputError, match=r"imagesTr: the folder cannot be opened \(Input/output error\); give the"):
        store.folder("imagesTr")


def test_the_volumes_are_those_of_the_folders_of_the_roles(bare):
    assert list(bare.volumes()) == []
    for path in ("imagesTr/a.npz", "labelsTr/b.npz", "imagesTr/.c.npz", "imagesTr/d.txt", "e.npz", "retired/f.npz"):
        (bare.root.path / path).parent.mkdir(exist_ok=True)
        (bare.root.path / path).touch()
    assert sorted(bare.volumes()) == ["imagesTr/a.npz", "labelsTr/b.npz"]
