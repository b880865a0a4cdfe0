"""The files of a case are found by their comments, or it is told why none can be rebuilt from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from monai_mriprep.formats.npz import NpzVolume, stored_crc
from monai_mriprep.store.record_parts import RecordedFile
from monai_mriprep.store.staging import save_volumes
from monai_mriprep.store.store import Store, make_store, open_store
from monai_mriprep.verify.pairs import UnusableFileError, read_pair
from tests.runs import done_line

IMAGE, LABEL = "imagesTr/a_0000.npz", "labelsTr/a.npz"
LINE = done_line()
GRID = LINE["target_grid"]
FACTS = {
    "case": "a_0000",
    "fingerprint": "f",
    "sources": {"image": "a_0000.mha", "label": "a.mha"},
    "outputs": {"image": "a_0000.npz", "label": "a.npz"},
    "source_header": {
        "spacing": [2.0, 1.0, 1.0],
        "origin": [0.0, 0.0, 7.0],
        "direction": [[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]],
    },
    "foreground": LINE["foreground"],
    "labels_before": {"0": 52, "2": 8},
    "labels_after": {"0": 100},
    "trace": {
        "source": LINE["source_grid"],
        "steps": [{"step": "resampling", "target": [1.0, 1.0, 1.0], "params": {"grid": GRID}}],
    },
}


def volume(of: str, **facts: object) -> NpzVolume:
    array = np.zeros((1, *GRID["shape"]), np.float32 if of == "image" else np.int8)
    return NpzVolume(array, np.ones(3), np.array(GRID["affine"], float), {**FACTS, "role": of, **facts})


def save(store: Store, path: str, saved: NpzVolume) -> None:
    save_volumes(store.root.path, {tuple(path.split("/")): saved})


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    """With the two files of a case."""
    make_store(tmp_path / "out")
    with open_store(tmp_path / "out") as store:
        save(store, IMAGE, volume("image"))
        save(store, LABEL, volume("label"))
        yield store


@pytest.mark.parametrize("path", [IMAGE, LABEL])
def test_either_file_leads_to_both(store, path):
    pair = read_pair(store, path)
    assert {role: found.output.path for role, found in pair.items()} == {"image": IMAGE, "label": LABEL}
    for role, found in pair.items():
        file = store.root.path / found.output.path
        expected = RecordedFile.of(file, file.stat())
        assert (found.output.size, found.output.mtime_ns, found.output.sha256, found.output.crc32) == (
            expected.size,
            expected.mtime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest(),
            stored_crc(file),
        )
        assert found.origin.role == role
        assert found.origin.outputs == FACTS["outputs"]
        np.testing.assert_array_equal(found.volume.array, volume(role).array)


def truncated(store: Store) -> None:
    content = (store.root.path / IMAGE).read_bytes()
    (store.root.path / IMAGE).write_bytes(content[:-50])


def a_link(store: Store) -> None:
    (store.root.path / IMAGE).rename(store.root.path / "elsewhere.npz")
    (store.root.path / IMAGE).symlink_to(store.root.path / "elsewhere.npz")


def is_saved(path: str, saved: NpzVolume) -> Callable[[Store], None]:
    return lambda store: save(store, path, saved)


OUTPUTS = {
    "one alone": {"image": "a_0000.npz"},
    "one too many": {**FACTS["outputs"], "mask": "a.npz"},
    "another folder": {"image": "a_0000.npz", "label": "../a.npz"},
    "a hidden file": {"image": "a_0000.npz", "label": ".npz"},
}
UNUSABLE = {
    "truncated": (truncated, IMAGE, "not a readable preprocessed volume"),
    "a link": (a_link, IMAGE, r"cannot be read \(.*; remove it, and `run` makes it again"),
    "no comment": (is_saved(IMAGE, replace(volume("image"), affine=None, facts={})), IMAGE, "does not say how it was"),
    "the comment of 0.3.0": (is_saved(IMAGE, replace(volume("image"), facts={})), IMAGE, "up to version 0.3.0 none"),
    "another comment": (is_saved(IMAGE, volume("image", fingerprint=5)), IMAGE, "is not that of a run .fingerprint:"),
    "no trace": (is_saved(IMAGE, volume("image", trace=None)), IMAGE, "what was done to it did not fit"),
    "another role": (
        is_saved(IMAGE, volume("image", role="label")),
        IMAGE,
        r"was written as labelsTr/a\.npz",
    ),
    "an unheard role": (is_saved(IMAGE, volume("image", role="mask")), IMAGE, r"was written as something else"),
    "another type": (
        is_saved(IMAGE, replace(volume("image"), array=np.zeros((1, *GRID["shape"]), np.float64))),
        IMAGE,
        "holds float64; float32 is expected",
    ),
    "a label of floats": (
        is_saved(LABEL, replace(volume("label"), array=np.zeros((1, *GRID["shape"]), np.float32))),
        LABEL,
        "holds float32; int8 or int16 is expected",
    ),
    "a label made otherwise": (is_saved(LABEL, volume("label", redo=1)), IMAGE, f"not made together with {LABEL}"),
    "no label": (
        lambda store: (store.root.path / LABEL).unlink(),
        IMAGE,
        f"{LABEL}, which belongs with it, is missing",
    ),
    **{
        name: (is_saved(IMAGE, volume("image", outputs=outputs)), IMAGE, "names other files than those of a case")
        for name, outputs in OUTPUTS.items()
    },
}


@pytest.mark.parametrize(("damage", "path", "problem"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_no_record_can_be_rebuilt_from_is_named(store, damage, path, problem):
    damage(store)
    with pytest.raises(UnusableFileError, match=problem) as caught:
        read_pair(store, IMAGE)
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.problem}"


def test_a_file_under_another_name_gets_its_own_again(store):
    other = store.root.path / "imagesTr" / "b.npz"
    (store.root.path / IMAGE).rename(other)
    with pytest.raises(UnusableFileError, match=rf"was written as {IMAGE}; give it that name again, or remove it"):
        read_pair(store, "imagesTr/b.npz")
    with pytest.raises(UnusableFileError, match=rf"{IMAGE}, which belongs with it, is missing"):
        read_pair(store, LABEL)
