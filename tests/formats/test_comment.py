"""The comment of a preprocessed file: what is put in comes out, and what does not fit is left out in order."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from benchmarks.measure import BenchmarkError
from benchmarks.release import RELEASE, check_out
from monai_mriprep.errors import NpzError, RecordError
from monai_mriprep.formats import blocks, sealed
from monai_mriprep.formats.comment import FIRST_LEFT_OUT, LARGEST, fitting_facts, read_comment, write_comment
from monai_mriprep.formats.npz import NpzVolume, decode_npz, encode_npz, read_npz, read_npz_head
from tests.oracles import affine_of

AFFINE = affine_of((3, 0.7, 1 / 3), 17, (1e-12, -123.456789012345, 1e5 / 7))
FACTS = {
    "case": 'odd "name" \udcff\n',
    "classes": {"0": [9, "AAAA"]},
    "labels_before": {"0": 9},
    "labels_after": {"0": 8},
    "trace": {"steps": [1e-300]},
}
VOLUME = NpzVolume(np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), np.array([3.0, 0.7, 1 / 3]), AFFINE)


def encoded(**facts: object) -> bytes:
    return b"".join(encode_npz(VOLUME.with_facts(facts)))


def test_what_is_put_in_comes_out():
    affine, facts = read_comment(write_comment(AFFINE, FACTS))
    assert (affine.tobytes(), facts) == (AFFINE.tobytes(), FACTS)
    found = decode_npz(encoded(**FACTS), "a.npz")
    assert (found.affine.tobytes(), found.facts) == (AFFINE.tobytes(), FACTS)


def test_the_affine_is_a_key_of_its_own_as_it_was_up_to_0_3_0():
    comment = json.loads(write_comment(AFFINE, FACTS))
    assert comment["affine"] == AFFINE.tolist()
    assert list(comment)[:2] == ["version", "affine"]


def test_a_comment_without_seal_gives_its_affine_and_nothing_else():
    """As versions up to 0.3.0 wrote it; that anybody could write anything beside it counts for nothing."""
    affine, facts = read_comment(json.dumps({"affine": AFFINE.tolist(), **FACTS}).encode())
    assert (affine.tobytes(), facts) == (AFFINE.tobytes(), {})
    assert read_comment(b"") == (None, {})


def test_every_flipped_bit_of_it_is_noticed():
    raw = encoded(**FACTS)
    start = raw.rindex(b'{"version"')
    for place in range(start, len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[place] ^= 1 << bit
            with pytest.raises(NpzError, match=r"a\.npz"):
                decode_npz(bytes(changed), "a.npz")


def test_a_newer_version_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(sealed, "format_of", lambda facts: sealed.FORMAT_VERSION + 1)
    raw = encoded(**FACTS)
    monkeypatch.undo()
    with pytest.raises(NpzError, match=r"a\.npz: its comment .* newer version .*update monai-mriprep"):
        decode_npz(raw, "a.npz")


def test_equal_facts_give_equal_bytes_and_they_change_no_entry():
    assert encoded(**FACTS) == encoded(**FACTS)

    def entries(raw: bytes) -> list[tuple]:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return [(info.filename, info.CRC, info.file_size, info.compress_size) for info in archive.infolist()]

    assert entries(encoded(**FACTS)) == entries(encoded())


@pytest.mark.parametrize("n_left_out", range(5))
def test_what_does_not_fit_is_left_out_in_order(n_left_out):
    too_much = {str(number): 10**6 for number in range(9000)}
    last = FIRST_LEFT_OUT[n_left_out - 1 : n_left_out] if n_left_out else ()
    facts = {**FACTS, **dict.fromkeys(last, too_much)}
    kept = fitting_facts(AFFINE, facts)
    assert list(kept) == [name for name in FACTS if name not in FIRST_LEFT_OUT[:n_left_out]]
    assert len(write_comment(AFFINE, kept)) <= LARGEST
    with zipfile.ZipFile(io.BytesIO(encoded(**facts))) as archive:
        assert archive.comment == write_comment(AFFINE, kept)


def test_the_trace_is_kept_longest():
    too_much = {str(number): 10**6 for number in range(9000)}
    assert "trace" in fitting_facts(AFFINE, {**FACTS, "labels_before": too_much, "labels_after": too_much})


def test_the_largest_comment_that_fits_is_kept_and_a_byte_more_is_not():
    room = LARGEST - len(write_comment(AFFINE, {"trace": ""}))
    assert fitting_facts(AFFINE, {"trace": "x" * room}).keys() == {"trace"}
    assert fitting_facts(AFFINE, {"trace": "x" * (room + 1)}) == {}
    assert decode_npz(encoded(trace="x" * room), "a.npz").facts == {"trace": "x" * room}


@pytest.mark.parametrize("facts", [{}, {"affine": [[1]]}, {"affine": [[float("inf")] * 4] * 4}])
def test_a_sealed_comment_needs_an_affine(facts):
    with pytest.raises((KeyError, ValueError)):
        read_comment(sealed.seal(facts).encode())


@pytest.mark.parametrize("comment", [b"\xff\xfe", b"[]", b"{", b'{"version": 1, "affine": 3}'])
def test_what_is_no_comment_is_refused(comment):
    with pytest.raises(RecordError):
        read_comment(comment)


def test_version_0_1_0_reads_our_files(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "WHOLE", 0)
    monkeypatch.setattr(blocks, "BLOCK", 1)
    (tmp_path / "a.npz").write_bytes(encoded(**FACTS))
    try:
        release = check_out(RELEASE, tmp_path / "release")
    except BenchmarkError as error:
        pytest.skip(f"a copy without its history: {error}")
    code = "import sys; from monai_mriprep.dataset.npz import read_npz; print(read_npz(sys.argv[1]).affine.tolist())"
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.npz")],
        cwd=release.root,
        env={"PYTHONPATH": str(release.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == f"{AFFINE.tolist()}\n", found.stderr
    assert np.array_equal(read_npz(tmp_path / "a.npz").affine, AFFINE)
    assert len(read_npz_head(tmp_path / "a.npz").blocks.crcs) == 6
