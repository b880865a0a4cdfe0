"""Sealed JSON: what is sealed comes back, and any change of it is noticed."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import RecordError
from monai_mriprep.formats import sealed
from monai_mriprep.formats.sealed import NewerVersionError, seal, unseal

FACTS = {
    "event": "done",
    "case": 'odd "name"\n\\ \udcff',
    "spacing": [0.1, 1e-300, 3.0],
    "trace": {"steps": [None, True]},
}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
facts_of_any_kind = st.dictionaries(st.text().filter(lambda key: key not in ("version", "digest")), values, max_size=5)


@given(facts_of_any_kind)
def test_what_is_sealed_comes_back(facts):
    line = seal(facts)
    assert unseal(line) == unseal(line + "\n") == (1, facts)
    assert "\n" not in line
    assert json.loads(line) == {"version": 1, **facts, "digest": line[-18:-2]}


def test_the_digest_is_that_of_the_line_before_it():
    """As the page on the format says, in words that other programs can follow."""
    line = seal(FACTS)
    before, _, digest = line.rpartition(', "digest": ')
    assert line.isascii()
    assert digest == f'"{hashlib.sha256(before.encode()).hexdigest()[:16]}"}}'
    assert (
        seal({"a": 1})
        == '{"version": 1, "a": 1, "digest": "' + hashlib.sha256(b'{"version": 1, "a": 1').hexdigest()[:16] + '"}'
    )


def test_every_flipped_bit_is_noticed():
    line = seal(FACTS).encode()
    for place in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[place] ^= 1 << bit
            with pytest.raises(RecordError):
                unseal(changed.decode(errors="replace"))


def test_a_line_torn_anywhere_is_noticed():
    line = seal(FACTS)
    for length in range(len(line)):
        with pytest.raises(RecordError):
            unseal(line[:length])


def test_a_digest_inside_is_no_digest():
    facts = {"digest of": {"a": 1, "digest": "0123456789abcdef"}}
    assert unseal(seal(facts)) == (1, facts)
    with pytest.raises(RecordError):
        unseal('{"version": 1, "a": {"b": 1, "digest": "0123456789abcdef"}}')


def test_a_line_without_seal_is_of_version_0():
    assert unseal('{"event": "started", "case": "a"}\n') == (0, {"event": "started", "case": "a"})


CONTRADICTIONS = (
    '{"version": 1, "event": "started"}',
    '{"version": 2, "event": "started"}',
    '{"event": "started", "digest": "0123456789abcdef"}',
    '{"event": "started", "digest": 5}',
    '{"version": "1"}',
    '{"version": false}',
    '{"version": 0.0}',
)


@pytest.mark.parametrize("line", CONTRADICTIONS)
def test_a_line_with_half_a_seal_is_damaged(line):
    with pytest.raises(RecordError, match="digest"):
        unseal(line)


@pytest.mark.parametrize("version", [0, "1", True, None, 1.0])
def test_a_sealed_line_has_a_version(monkeypatch, version):
    monkeypatch.setattr(sealed, "format_of", lambda facts: version)
    line = seal(FACTS)
    monkeypatch.undo()
    with pytest.raises(RecordError, match="its digest is damaged"):
        unseal(line)


@pytest.mark.parametrize(
    ("sources", "version"),
    [
        ({"image": {"path": "a"}, "label": {"path": "b"}}, 1),
        ({"image": [{"path": "a"}, {"path": "b"}], "label": {"path": "c"}}, 2),
        ({"image": {"path": "a"}}, 2),
        ({}, 1),
    ],
    ids=["one channel", "two channels", "a test set", "of no case"],
)
def test_a_line_has_the_lowest_format_that_can_hold_it(sources, version):
    assert unseal(seal({"sources": sources}))[0] == version
    assert unseal(seal({"record": {"sources": sources}}))[0] == version


def test_a_newer_version_is_told_from_a_damaged_line(monkeypatch):
    monkeypatch.setattr(sealed, "format_of", lambda facts: 7)
    line = seal({"of a form": "unheard of"})
    monkeypatch.undo()
    with pytest.raises(NewerVersionError, match=r"a newer version .* \(format 7, .*up to 3\); update monai-mriprep"):
        unseal(line)
    with pytest.raises(RecordError) as caught:
        unseal(line.replace("unheard", "Unheard"))
    assert not isinstance(caught.value, NewerVersionError)


HOSTILE = {
    "brackets": "[" * 100_000,
    "braces": '{"a":' * 100_000,
    "digits": '{"a": ' + "9" * 5000 + "}",
    "sealed digits": None,
    "many seals": ', "digest": "0123456789abcdef"}' * 20_000,
    "many seals with a brace": "{" + ', "digest": "0123456789abcdef"} ' * 20_000 + "x",
    "blanks": "{" + " " * 1_000_000,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lines_are_refused_at_once(name):
    body = '{"version": 1, "a": ' + "9" * 5000
    of_digits = f'{body}, "digest": "{hashlib.sha256(body.encode()).hexdigest()[:16]}"}}'
    with pytest.raises(RecordError):
        unseal(HOSTILE[name] or of_digits)


@pytest.mark.parametrize("line", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object_is_told(line):
    with pytest.raises(RecordError, match="it is no JSON object"):
        unseal(line)
