"""``manifest.jsonl``: lines that are whole, torn, edited, damaged or rubbish; and what an index says of them."""

from __future__ import annotations

import json
import os
import random
import resource
import tracemalloc
from pathlib import Path

import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.sealed import FORMAT_VERSION, NewerVersionError, seal
from monai_mriprep.store.folder import Folder, opened
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.record_lines import LONGEST_LINE, append_lines
from tests.runs import done_line
from tests.store.faults import refuse

FAILED = {"event": "failed", "error": "why", "time": 1.5}
OPENED = {"event": "opened", "dataset_root": "/data", "cases": 3, "time": 1.5}
SEALED = pytest.mark.parametrize("write", [seal, json.dumps], ids=["sealed", "of 0.3.0"])


def started(case: str) -> str:
    return seal({"event": "started", "case": case, "time": 1.5})


@pytest.fixture
def root(tmp_path):
    with opened(tmp_path) as root:
        append_lines(root, [seal(done_line(name)) for name in ("a", "b")])
        yield root


def manifest(root: Folder) -> Path:
    return root.path / "manifest.jsonl"


def events(index: Index) -> dict[str, str]:
    return {case: index.latest(case).event for case in index.cases() if index.latest(case) is not None}


@SEALED
def test_the_last_record_of_each_case_and_the_last_of_success(root, write):
    append_lines(root, [started("a"), write({**FAILED, "case": "a"})])
    append_lines(root, [started("c"), write(OPENED), write(done_line("b", peak_mib=7.0))])
    index = read_index(root)
    assert events(index) == {"a": "failed", "b": "done", "c": "started"}
    assert {case: index.event(case) for case in "abcd"} == {"a": "failed", "b": "done", "c": "started", "d": None}
    assert index.latest("a").error == "why"
    assert [(done.case, done.peak_mib) for done in index.all_done()] == [("a", 400.5), ("b", 7.0)]
    assert (index.done("c"), index.latest("d"), index.done("d")) == (None, None, None)
    assert index.problems() == ()
    assert index.opened.cases == 3


def test_a_retired_case_is_none_until_it_comes_again(root):
    append_lines(root, [seal({"event": "retired", "case": "a", "files": [], "time": 1.5})])
    index = read_index(root)
    assert index.cases() == {"b"}
    assert (index.event("a"), index.done("a")) == ("retired", None)
    append_lines(root, [started("a")])
    index = read_index(root)
    assert index.cases() == {"a", "b"}
    assert index.done("a") is None, "what it had before was moved away"


@SEALED
def test_a_line_torn_anywhere_is_no_record_and_is_closed(root, write):
    first = manifest(root).stat().st_size
    append_lines(root, [write({**FAILED, "case": "d"})])
    whole = manifest(root).read_bytes()
    named = whole.index(b'"d"', first) + len('"d"')
    for length in range(first, len(whole)):
        manifest(root).write_bytes(whole[:length])
        index = read_index(root)
        is_whole = length == len(whole) - 1
        assert set(events(index)) == ({"a", "b", "d"} if is_whole else {"a", "b"})
        assert set(index.damaged) == ({"d"} if named <= length and not is_whole else set())
        assert index.problems() == tuple(index.damaged.values()), "what names no case was never a record of one"
        append_lines(root, [started("c")])
        assert {"a", "b", "c"} <= set(events(read_index(root))) <= {"a", "b", "c", "d"}


RUBBISH = (
    *(b"\xff\xfe", b"[]", b"3", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 1' + b"0" * 5000),
    *(b'{"event": "done"}', b'{"case": 5}', b'{"event": "done", "case": []}', b'{"event": "done", "case": "\\x"}'),
    seal({"event": "opened"}).encode(),
)


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_that_names_no_case_is_named_and_passed_over(root, rubbish):
    with manifest(root).open("ab") as file:
        file.write(rubbish + b"\n")
    append_lines(root, [started("c")])
    index = read_index(root)
    assert events(index) == {"a": "done", "b": "done", "c": "started"}
    (problem,) = index.problems()
    assert problem.startswith("line 3 of manifest.jsonl cannot be trusted (")


def test_a_record_after_zeros_that_a_power_cut_has_left_is_read(root):
    with manifest(root).open("ab") as file:
        file.write(b"\0" * 100 + started("c").encode() + b"\n")
    index = read_index(root)
    assert events(index) == {"a": "done", "b": "done", "c": "started"}
    assert index.problems() == ()


@pytest.mark.parametrize("left", [b"\n \n\n", b"\0" * 100 + b"\n", b'{"version": 1, "ev' + bytes(9) + b"\n"])
def test_empty_lines_and_what_a_power_cut_has_torn_are_nothing(root, left):
    with manifest(root).open("ab") as file:
        file.write(left)
    assert read_index(root).problems() == ()


@SEALED
@pytest.mark.parametrize("name", ["a", 'odd "name"\n\\', "caf\udce9"])
def test_a_case_whose_last_line_is_no_record_has_none(root, name, write):
    append_lines(root, [seal(done_line(name))])
    append_lines(root, [write(done_line(name, outputs=5))])
    index = read_index(root)
    assert index.latest(name) is None
    assert index.event(name) is None
    assert name in index.cases(), "it is to be done again"
    assert index.done(name).case == name, "an earlier record still says what was written"
    assert index.problems() == (index.damaged[name],)
    assert index.damaged[name].startswith("line 4 of manifest.jsonl cannot be trusted (done.outputs: ")


def test_a_later_record_settles_it(root):
    append_lines(root, [seal(done_line("a", outputs=5)), started("a")])
    index = read_index(root)
    assert index.problems() == ()
    assert index.event("a") == "started"


def test_a_flipped_bit_is_noticed_wherever_it_is(root):
    """The one case, or both of a line break that is lost, are not trusted; no other suffers."""
    append_lines(root, [started("c"), seal(done_line("d"))])
    whole = manifest(root).read_bytes()
    second = whole.index(b"\n") + 1
    third = whole.index(b"\n", second) + 1
    rng = random.Random(0)
    for place in [*rng.sample(range(second, third), 400), third - 1]:
        for bit in range(8) if place == third - 1 else [rng.randrange(8)]:
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            manifest(root).write_bytes(changed)
            index = read_index(root)
            assert index.problems(), (place, bit)
            assert index.latest("b") is None, (place, bit)
            assert {"a", "d"} <= set(events(index)), (place, bit)


def test_a_newer_version_is_refused_in_words(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("monai_mriprep.formats.sealed.format_of", lambda facts: FORMAT_VERSION + 1)
        newer = seal({"event": "dreamt", "case": "a"})
    append_lines(root, [newer])
    with pytest.raises(NewerVersionError, match=r"manifest\.jsonl, line 3: a newer version .*update monai-mriprep"):
        read_index(root)


def test_no_manifest_has_no_records(tmp_path):
    with opened(tmp_path) as root:
        index = read_index(root)
    assert (index.cases(), index.problems(), index.opened) == (set(), (), None)


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_a_manifest_that_is_no_file_is_neither_read_nor_written(tmp_path, what):
    place, target = tmp_path / "manifest.jsonl", tmp_path / "foreign"
    target.write_text(seal(done_line()) + "\n")
    before = target.read_bytes()
    {"folder": place.mkdir, "link": lambda: place.symlink_to(target), "pipe": lambda: os.mkfifo(place)}[what]()
    with opened(tmp_path) as root:
        with pytest.raises(RecordError, match="the records cannot be read"):
            read_index(root)
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
            append_lines(root, [started("a")])
    assert target.read_bytes() == before


def test_a_line_without_end_is_read_in_parts(root):
    """No line that could be ours is that long; the memory stays that of one part."""
    with manifest(root).open("ab") as file:
        file.write(b"x")
        file.truncate(file.tell() + 4 * LONGEST_LINE)
    append_lines(root, [started("c")])
    tracemalloc.start()
    index = read_index(root)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(events(index)) == {"a", "b", "c"}
    assert len(index.problems()) == 1
    assert peak < 4 * LONGEST_LINE


def test_the_rest_of_a_line_without_end_is_no_line(root):
    """Where its first part ends, a record might begin that nobody has written as a line."""
    with manifest(root).open("ab") as file:
        file.write(b"x" * LONGEST_LINE + seal(done_line("planted")).encode() + b"\n")
    append_lines(root, [seal(done_line("c"))])
    index = read_index(root)
    assert index.cases() == {"a", "b", "c"}
    assert index.done("c").case == "c", "its place in the file is right"
    (problem,) = index.problems()
    assert problem.startswith("line 3 ")


def test_thousands_of_bad_lines_are_said_in_few(root):
    with manifest(root).open("ab") as file:
        file.write(b"rubbish\n" * 1000 + b"".join(b'{"case": "c%d"\n' % number for number in range(1000)))
    index = read_index(root)
    *first, more = index.problems()
    assert len(first) == 5
    assert more == "1995 more lines of manifest.jsonl cannot be trusted; `verify` names the cases"
    assert len(index.damaged) == 1000


def test_a_name_without_end_takes_no_memory(root):
    with manifest(root).open("ab") as file:
        file.write(b'{"case": "' + b"a" * (LONGEST_LINE - 100) + b"\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(read_index(root).problems()) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024, "KiB; the search took 1 GiB"


def test_an_index_of_many_cases_is_small(tmp_path):
    with opened(tmp_path) as root:
        for first in range(0, 2000, 500):
            names = [f"case_{number:05}" for number in range(first, first + 500)]
            append_lines(root, [line for name in names for line in (started(name), seal(done_line(name)))])
        tracemalloc.start()
        index = read_index(root)
        now, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(index.cases()) == 2000
    assert now / 2000 < 1024, "bytes a case"


def test_a_record_that_can_no_longer_be_read_is_an_error_of_ours(root, monkeypatch):
    index = read_index(root)
    refuse(monkeypatch, "open_file", lambda *_: True)
    for ask in (
        lambda: index.latest("a"),
        lambda: index.done("a"),
        lambda: list(index.all_done()),
        lambda: read_index(root),
    ):
        with pytest.raises(RecordError, match=r"manifest\.jsonl: the records cannot be read \(Permission denied\)"):
            ask()


def test_files_of_shards_are_read_in_the_order_of_their_attempts(root):
    """No clock is compared: the line of the last file counts, whatever time it states."""
    of = [f"manifest.000{number}.1-of-2.jsonl" for number in (1, 2)]
    append_lines(root, [seal(done_line("a", peak_mib=1.0)), started("b")])
    append_lines(root, [seal({**done_line("a", peak_mib=3.0), "time": 1.0})], of[1])
    append_lines(root, [seal({**done_line("a", peak_mib=2.0), "time": 9.0}), seal(done_line("c"))], of[0])
    index = read_index(root)
    assert index.latest("a").peak_mib == 3.0
    assert [record.case for record in index.all_done()] == ["b", "c", "a"]
    assert index.cases() == {"a", "b", "c"}


def test_which_shards_have_begun_is_known_and_the_last_whole_run(root):
    whole = {**OPENED, "cases": 1}
    append_lines(root, [seal(whole)])
    for number in (1, 3):
        shard = {**OPENED, "cases": 4, "shard": f"{number}-of-8", "plan": "abc", "writer": "w"}
        append_lines(root, [seal(shard)], f"manifest.0001.{number}-of-8.jsonl")
    index = read_index(root)
    assert index.begun == {("abc", 8): {1, 3}}
    assert (index.opened.cases, index.opened_whole.cases) == (4, 1)


def test_a_damaged_line_of_a_shard_is_named_with_its_file(root):
    append_lines(root, ["{}"], "manifest.0001.1-of-2.jsonl")
    assert "line 1 of manifest.0001.1-of-2.jsonl cannot be trusted" in read_index(root).nameless[0]
