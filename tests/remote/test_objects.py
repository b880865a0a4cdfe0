"""The objects below an address: read, written, tried again."""

from __future__ import annotations

import errno

import pytest

from monai_mriprep.errors import RemoteError
from monai_mriprep.remote.objects import Objects


class Failing:
    """A file system whose next calls of a method fail."""

    def __init__(self, fs, method: str, *errors: Exception) -> None:
        self._fs, self._method, self._errors = fs, method, list(errors)

    def __getattr__(self, name):
        real = getattr(self._fs, name)

        def failing(*args, **kwargs):
            if self._errors:
                raise self._errors.pop(0)
            return real(*args, **kwargs)

        return failing if name == self._method else real


def test_what_is_put_is_listed_and_read(store):
    put = store.put("a/b.bin", b"12345")
    assert put.size == 5
    assert store.list() == {"a/b.bin": put}
    assert store.look("a/b.bin") == put
    assert (store.begin("a/b.bin", 2), store.begin("a/b.bin", 99), store.read("a/b.bin")) == (b"12", b"12345", b"12345")


def test_objects_beside_the_address_are_not_below_it(store):
    Objects("memory://bucket/scans_2").put("a", b"1")
    assert store.list() == {}


def test_a_file_is_put_and_got(store, tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    put = store.put("a", tmp_path / "a")
    store.get("a", tmp_path / "deep" / "b", put)
    assert (tmp_path / "deep" / "b").read_bytes() == b"abc" * 1000
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b"]


def test_an_object_that_was_replaced_meanwhile_is_not_taken(store, tmp_path):
    before = store.put("a", b"abc")
    for now in (b"xyz", b"longer"):
        store.put("a", now)
        store.requests.clear()
        with pytest.raises(RemoteError, match=r"bucket/scans/a: was replaced since it was listed; .*plan it again"):
            store.get("a", tmp_path / "a", before)
        assert not (tmp_path / "a").exists()
        assert store.requests == {"read": 1, "look": 1}


def test_a_lost_connection_is_tried_again(store, tmp_path):
    put = store.put("a", b"abc")
    store.fs = Failing(store.fs, "get_file", ConnectionResetError("lost"), TimeoutError("slow"))
    store.get("a", tmp_path / "a", put)
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert store.requests["read"] == 3


def test_a_body_that_ends_early_is_tried_again_and_never_taken(store, tmp_path):
    put = store.put("a", b"abc")
    store.fs = Failing(store.fs, "")
    store.fs.get_file = lambda _, place: tmp_path.joinpath(place).write_bytes(b"ab")
    with pytest.raises(RemoteError, match=r"a: cannot read it after 3 tries \(ConnectionError: 2 bytes came, and 3"):
        store.get("a", tmp_path / "a", put)
    assert not (tmp_path / "a").exists()


def test_tries_have_an_end(store):
    store.fs = Failing(store.fs, "pipe_file", *[OSError("busy")] * 9)
    with pytest.raises(RemoteError, match=r"memory://bucket/scans/a: cannot write it after 3 tries \(OSError: busy\)"):
        store.put("a", b"1")


def test_what_another_try_does_not_mend_is_not_tried_again(store):
    with pytest.raises(RemoteError, match="FileNotFoundError"):
        store.read("nothing")
    assert store.requests["read"] == 1
    assert store.look("nothing") is None


def test_an_object_is_created_once(store):
    assert store.create("run.json", b"{}")
    assert not store.create("run.json", b"[]")
    assert store.read("run.json") == b"{}"


def test_a_creation_whose_answer_was_lost_counts(store):
    assert store.create("run.json", b"{}")
    assert store.create("run.json", b"{}")


def test_an_object_is_moved_and_removed(store):
    store.put("a", b"1")
    store.move("a", "retired/a")
    assert list(store.list()) == ["retired/a"]
    store.remove("retired/a")
    store.remove("retired/a")
    assert store.list() == {}


def test_an_error_says_what_to_look_at(store, monkeypatch):
    monkeypatch.setattr("monai_mriprep.remote.objects.PAUSES", ())
    remedies = {
        FileNotFoundError("The specified bucket does not exist"): r"it \(.*bucket does not exist\); is it spelt right",
        PermissionError("Forbidden"): r"Forbidden\); give credentials that may do that",
        OSError("Unable to locate credentials"): r"look after network, endpoint and credentials",
    }
    for error, said in remedies.items():
        store.fs = Failing(store.fs, "find", error)
        with pytest.raises(RemoteError, match=said):
            store.list()


def test_a_protocol_without_its_library_names_the_extra():
    pytest.importorskip("fsspec", reason="needs the extra remote")
    with pytest.raises(RemoteError, match=r"nothing://a: nothing:// cannot be used .*monai-mriprep\[remote\]"):
        Objects("nothing://a")


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOSYS, "NotImplemented")])
def test_a_store_without_conditional_puts_gets_a_plain_one(store, caplog, error):
    store.fs = Failing(store.fs, "pipe_file", error)
    assert store.create("run.json", b"{}")
    assert "memory://bucket/scans: the store knows no conditional put" in caplog.text
    store.fs = Failing(store.fs, "pipe_file", error)
    assert not store.create("run.json", b"[]")
    assert store.read("run.json") == b"{}"


def test_a_full_disk_is_told_at_once(store, tmp_path):
    put = store.put("a", b"abc")
    store.fs = Failing(store.fs, "get_file", OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(RemoteError, match=r"a: cannot read it \(OSError: .*No space left on device\)"):
        store.get("a", tmp_path / "a", put)
