"""Lines of ``manifest.jsonl`` and other files that anybody may have written: a run says so, goes on and completes."""

from __future__ import annotations

import copy
import errno
import fcntl
import json
import os
import re
import resource

import pytest

from monai_mriprep.formats import sealed
from monai_mriprep.formats.sealed import seal
from monai_mriprep.store.description import VIRTUAL
from monai_mriprep.store.layout import DATASET, RUN, SPLITS, STATISTICS, TABLE
from tests.hostile import Site
from tests.runs import counts, events, outputs

HUGE = int("9" * 4200)
"""Python takes no number of more than 4,300 digits from text, and writes none."""
FILE = {"path": "/a", "size": 1, "mtime_ns": 1, "sha256": ""}
CASE = "case_1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Site:
    return Site.make(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def site(finished, tmp_path) -> Site:
    return finished.copied(tmp_path)


@pytest.fixture(scope="module")
def record(finished) -> dict:
    return next(event for event in events(finished.output) if (event["event"], event["case"]) == ("done", CASE))


def changed(record: dict, key: str, value: object) -> str:
    """The sealed record with another value: the seal says nothing of who made it."""
    record = copy.deepcopy(record)
    *parents, last = key.split(".")
    place = record
    for parent in parents:
        place = place[parent]
    place[last] = value
    return seal(record)


RUBBISH = {
    "brackets": "[" * 100_000,
    "brackets that close": "[" * 100_000 + "]" * 100_000,
    "a number of 5,000 digits": '{"event": "done", "time": ' + "9" * 5000 + "}",
    "a version of 5,000 digits": '{"version": ' + "9" * 5000 + "}",
    "zeros": "x" + "\0" * 1000,
    "a number": "5",
    "nothing": "null",
    "a list": "[1, 2]",
    "no keys": "{}",
    "bytes that are no text": b"\xff\xfe\xfa",
    "sealed, without a case": seal({"event": "failed", "time": 1}),
    "sealed, a case that is no text": seal({"event": "failed", "case": 5, "error": "", "time": 1}),
    "a name of a million characters": seal({"event": "failed", "case": "a" * 1_000_000, "error": "", "time": 1}),
}
"""Lines that name no case."""

DAMAGED = {
    "deep": lambda record: json.dumps(record)[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "an event that is unknown": ("event", "exploded"),
    "an event that is no text": ("event", ["done"]),
    "a huge time": ("time", HUGE),
    "no time": ("time", float("nan")),
    "a huge size": ("outputs.image.size", HUGE),
    "a huge shape": ("target_grid.shape", [HUGE] * 3),
    "more voxels than a number can say": ("target_grid.shape", [2**31] * 3),
    "a huge affine": ("target_grid.affine", [[HUGE] * 4] * 4),
    "a ragged affine": ("target_grid.affine", [[1], [1, 2], 3, "x"]),
    "a grid that is none": ("source_grid", [1]),
    "a huge label": ("labels.after", {"9" * 4200: 1}),
    "a label of 5,000 digits": ("labels.after", {"9" * 5000: 1}),
    "a huge number of voxels": ("foreground.voxels", HUGE),
    "a huge redo": ("redo", HUGE),
    "a source with a zero byte": ("sources.image.path", "/data/a\0/b.mha"),
    "a source that is no name": ("sources.image.path", "/data/\ud800/b.mha"),
    "a data file with a zero byte": ("sources.image.data", [{**FILE, "path": "/a\0"}]),
    "a data file that is no name": ("sources.image.data", [{**FILE, "path": "/\ud800"}]),
    "an output elsewhere": ("outputs.image.path", "imagesTr/../../x.npz"),
    "an absolute output": ("outputs.image.path", "/etc/x.npz"),
    "an output with a zero byte": ("outputs.image.path", "imagesTr/a\0.npz"),
    "an output with a long name": ("outputs.image.path", f"imagesTr/{'a' * 300}.npz"),
    "outputs that are none": ("outputs", None),
    "keys that come twice": lambda record: json.dumps(record)[:-1] + f', "event": "failed", "case": "{CASE}"' + "}",
    "a version that is text": lambda record: json.dumps({**record, "version": "1"}),
    "a version that is true": lambda record: json.dumps({**record, "version": True}),
    "a version below 0": lambda record: json.dumps({**record, "version": -1}),
    "a sealed version below 0": ("version", -1),
    "a sealed version that is huge": ("version", HUGE),
    "a newer version without a seal": lambda record: json.dumps({**record, "version": 2}),
    "two in one line": lambda record: seal(record) + seal(record),
}
"""Lines about a case that cannot be trusted: it is done again."""


def add_lines(site: Site, *lines: str | bytes) -> None:
    with (site.output / "manifest.jsonl").open("ab") as file:
        for line in lines:
            file.write((line if isinstance(line, bytes) else line.encode(errors="surrogatepass")) + b"\n")


def readable(text: str) -> bool:
    return max(map(len, text.splitlines())) < 1000 and not re.search("[\0-\x09\x0b-\x1f]", text)


@pytest.mark.parametrize("line", RUBBISH.values(), ids=RUBBISH)
def test_a_line_that_names_no_case_is_named_and_changes_nothing(site, line):
    add_lines(site, line)
    for status, text in site.readers():
        assert status in (0, 1), text
        assert readable(text)
    status, text = site.run()
    assert status == 0, text
    assert counts(text) == {"done": 0, "already done": 2}
    assert "of manifest.jsonl cannot be trusted" in text


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED)
def test_a_case_whose_line_cannot_be_trusted_is_done_again(site, record, change):
    expected = outputs(site.output)
    add_lines(site, change(record) if callable(change) else changed(record, *change))
    for status, text in site.readers():
        assert status in (0, 1), text
        assert readable(text)
    status, text = site.run()
    assert status == 0, text
    assert counts(text) == {"done": 1, "already done": 1}
    assert "of manifest.jsonl cannot be trusted" in text
    assert readable(text)
    assert outputs(site.output) == expected
    assert counts(site.run()[1]) == {"done": 0, "already done": 2}
    assert site.verify()[0] == 0, "the new record stands"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unknown", {"a": [1, {"b": None}]}),
        ("warnings", ["\x1b[31mred\x07\r\n"]),
        ("error", "\x1b]0;title\x07"),
        ("foreground.mean", float("inf")),
        ("peak_mib", float("inf")),
        ("sources.image.path", "/" + "a" * 5000 + "/b.mha"),
        ("sources.image.path", "/dev/zero"),
        ("sources.image.data", [{**FILE, "path": "/" + "a" * 5000}]),
        ("trace", {"a": json.loads("[" * 500 + "]" * 500)}),
        ("trace.steps", 5),
        ("trace.steps", "x" * 100_000),
        ("trace.steps", ["x", 5, None, [], {"name": "no such step"}]),
        ("trace.source.affine", [[HUGE] * 4] * 4),
        ("source_header.spacing", [float("nan")] * 3),
        ("source_header.origin", [1e308] * 3),
        ("fingerprint", "\x1b[2J"),
        ("outputs", {}),
    ],
)
def test_a_sealed_record_may_hold_anything(site, record, key, value):
    """Whoever can write the file can seal a line. Then a run may stop in words, and no command ends otherwise."""
    add_lines(site, changed(record, key, value))
    for command in (site.verify, site.restore, site.split, site.run, site.run, site.verify, site.restore, site.repair):
        status, text = command()
        assert status in (0, 1, 2), text
        assert readable(text)


def test_a_thousand_bad_lines_are_said_in_few(site):
    add_lines(site, *(f'rubbish {number} "case": "x{number}"' for number in range(1000)), *["rubbish"] * 1000)
    status, text = site.run()
    assert status == 0
    assert text.count("cannot be trusted") == 4  # three lines, and how many more there are
    assert "1995 more lines of manifest.jsonl cannot be trusted" in text
    assert site.restore()[1].count("cannot be trusted") == 4
    status, text = site.verify()
    assert status == 1
    assert text.count("it names no case") == 5


def test_cases_that_nobody_has_are_in_no_table_as_formulas_or_escapes(site):
    name = '=cmd|" /C calc"!A0\x1b[31m'
    add_lines(site, seal({"event": "failed", "case": name, "error": "-1+1", "time": 1}))
    site.run("--retire")
    assert not re.search(r"(^|,)\"?[=+@-][a-z1]", (site.output / "manifest.csv").read_text())


def newer(monkeypatch, facts: dict) -> str:
    monkeypatch.setattr(sealed, "format_of", lambda facts: sealed.FORMAT_VERSION + 1)
    line = seal(facts)
    monkeypatch.undo()
    return line


def content(site: Site) -> dict:
    return {path.name: path.read_bytes() for path in site.output.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_newer_version_is_refused_in_words_before_anything_is_written(site, record, monkeypatch):
    add_lines(site, newer(monkeypatch, record))
    (site.output / "labelsTr" / "case_0.npz").unlink()
    before = content(site)
    for command in (site.run, lambda: site.run("--redo"), site.verify, site.restore, site.repair):
        status, text = command()
        assert status == 2, text
        assert "a newer version of monai-mriprep has written it" in text
        assert "update monai-mriprep" in text
    assert content(site) == before


def test_a_description_of_a_newer_version_is_refused_too(site):
    facts = json.loads((site.output / "run.json").read_text())
    (site.output / "run.json").write_text(json.dumps({**facts, "version": VIRTUAL + 1}))
    before = content(site)
    for command in (site.run, lambda: site.run("--redo")):
        status, text = command()
        assert status == 2, text
        assert "a newer version of monai-mriprep has written it" in text
    assert content(site) == before


CONTENTS = {
    "rubbish": b"rubbish",
    "empty": b"",
    "deep": b'{"a": ' + b"[" * 100_000,
    "digits": b'{"version": ' + b"9" * 5000 + b"}",
    "a huge version": b'{"version": ' + b"9" * 4200 + b"}",
    "a list": b"[1, 2]",
    "no text": b"\xff\xfe\0\x1b[2J",
    "other types": b'{"dataset_root": 5, "recipe": [], "target_spacing": "x", "training": {"a": 5}, "version": "1"}',
    "not a number": b'{"target_spacing": [NaN, NaN, NaN], "training": [{"case": NaN}]}',
}


@pytest.mark.parametrize("rubbish", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("name", [RUN, DATASET, SPLITS, STATISTICS, TABLE])
def test_other_files_may_hold_anything(site, name, rubbish):
    (site.output / name).write_bytes(rubbish)
    (site.output / "labelsTr" / "case_1.npz").unlink()
    for command in (site.verify, site.restore, site.split, site.repair, site.run, site.run):
        status, text = command()
        assert status in (0, 1, 2), text
        assert readable(text)
    assert counts(text) == {"done": 0, "already done": 2}
    assert site.verify()[0] == 0


@pytest.mark.parametrize(
    "name", ["run.json", "dataset.json", pytest.param("manifest.jsonl", marks=pytest.mark.stress), ".lock"]
)
def test_a_huge_file_takes_no_memory(site, name):
    """Of zeros that stand nowhere on the disk."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    os.truncate(site.output / name, 1 << 28)
    for status, text in (*site.readers(), site.run()):
        assert status in (0, 1, 2), text
        assert readable(text)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024, "KiB"


def test_the_lock_file_says_nothing_that_we_have_not_written(site, monkeypatch):
    """Its text is shown where another run is alive."""
    (site.output / ".lock").write_bytes(b"\x1b[31msecret of another file\x07" * 5)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    status, text = site.run()
    assert status == 2
    assert "another run is alive there (process unknown, or shards)" in text
    assert "secret" not in text


def refuse(*_: object) -> None:
    raise OSError(errno.EAGAIN, "held")
