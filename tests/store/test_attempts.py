"""The files of records of several writers: their names, and the order in which they count."""

from __future__ import annotations

import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.store.attempts import Attempt, Shard, attempts_in, has_records, next_attempt, record_files
from monai_mriprep.store.folder import opened


@pytest.fixture
def root(tmp_path):
    with opened(tmp_path) as folder:
        yield folder


def test_a_shard_has_a_name_and_is_read_from_it():
    assert str(Shard(3, 8)) == "3-of-8"
    assert Shard.of("3-of-8") == Shard(3, 8)


@pytest.mark.parametrize("text", [None, "", "0-of-8", "9-of-8", "03-of-8", "3-of-8 ", "3/8", "a-of-b", "1-of-1000000"])
def test_what_is_no_shard_is_none(text):
    assert Shard.of(text) is None


def test_an_attempt_is_read_from_the_name_of_its_file():
    assert Attempt(12, Shard(3, 8)).file == "manifest.0012.3-of-8.jsonl"
    assert Attempt.of("manifest.0012.3-of-8.jsonl") == Attempt(12, Shard(3, 8))
    assert Attempt.of("manifest.12345.3-of-8.jsonl") == Attempt(12345, Shard(3, 8))


@pytest.mark.parametrize(
    "name",
    ["manifest.jsonl", "manifest.3-of-8.jsonl", "manifest.0001.9-of-8.jsonl", "manifest.00012.1-of-2.jsonl", "a"],
)
def test_another_file_is_no_attempt(name):
    assert Attempt.of(name) is None


def test_files_count_in_the_order_of_their_attempts_whatever_their_names(root):
    assert not has_records(root)
    for name in ("manifest.0002.1-of-2.jsonl", "manifest.10000.1-of-2.jsonl", "manifest.0001.2-of-2.jsonl", "a.jsonl"):
        root.create(name, [])
    assert has_records(root)
    assert [attempt.number for attempt in attempts_in(root)] == [1, 2, 10000]
    root.create("manifest.jsonl", [])
    assert record_files(root)[:2] == ("manifest.jsonl", "manifest.0001.2-of-2.jsonl")


def test_a_new_attempt_counts_after_all_others(root):
    assert next_attempt(root, Shard(1, 2)) == Attempt(1, Shard(1, 2))
    root.create("manifest.0007.2-of-2.jsonl", [])
    assert next_attempt(root, Shard(1, 2)) == Attempt(8, Shard(1, 2))


def test_numbers_that_somebody_has_used_up_are_told(root):
    root.create("manifest.999999999.2-of-2.jsonl", [])
    with pytest.raises(RecordError, match="leaves no number for a new attempt; merge, or remove it"):
        next_attempt(root, Shard(1, 2))


def test_a_merge_between_two_looks_hides_no_records(root, monkeypatch):
    """Of a folder without locks: the files of shards go when ``manifest.jsonl`` has come."""
    from monai_mriprep.store import calls

    looks = iter([["manifest.0001.1-of-2.jsonl"], ["manifest.jsonl"]])
    monkeypatch.setattr(calls, "names", lambda _: next(looks))
    assert record_files(root) == ("manifest.0001.1-of-2.jsonl",)


def test_a_folder_that_cannot_be_listed_is_named(root, monkeypatch):
    def fail(_):
        raise OSError(5, "I/O error")

    monkeypatch.setattr("monai_mriprep.store.calls.names", fail)
    with pytest.raises(RecordError, match=r"cannot be listed \(I/O error\); mend it"):
        has_records(root)
