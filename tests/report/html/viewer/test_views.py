"""Which cases of an output folder have a 3-D view, and why the others have none."""

from __future__ import annotations

import os

import numpy as np
import pytest

from monai_mriprep.formats.npz import NpzVolume, encode_npz, read_npz
from monai_mriprep.report.html.viewer import views
from monai_mriprep.report.html.viewer.views import Views
from monai_mriprep.store.folder import opened

SHAPE = (8, 20, 20)


def views_of(root, outputs, **options) -> Views:
    with opened(root) as folder:
        return views.views_of(folder, outputs, **options)


def write(root, name, seed=0, shape=SHAPE, channels=1):
    """The files of a case; their paths by role."""
    rng = np.random.default_rng(seed)
    arrays = {
        "image": rng.normal(size=(channels, *shape)).astype(np.float32),
        "label": (rng.random((1, *shape)) > 0.9).astype(np.int8),
    }
    for role, array in arrays.items():
        volume = NpzVolume(array, np.array([2.0, 2.0, 2.0]), np.diag([2.0, 2.0, 2.0, 1.0]))
        (root / f"{role}sTr").mkdir(exist_ok=True)
        (root / f"{role}sTr" / f"{name}.npz").write_bytes(b"".join(encode_npz(volume)))
    return {role: f"{role}sTr/{name}.npz" for role in arrays}


def test_the_first_15_cases_have_a_view(tmp_path):
    outputs = {f"case_{n}": write(tmp_path, f"case_{n}", n) for n in range(17)}
    found = views_of(tmp_path, outputs)
    assert list(found.volumes) == list(outputs)[:15]
    assert found.without == dict.fromkeys(list(outputs)[15:], "only 15 cases of a page have one")


def test_they_share_the_budget(tmp_path):
    outputs = {f"case_{n}": write(tmp_path, f"case_{n}", n, shape=(20, 40, 40)) for n in range(3)}
    found = views_of(tmp_path, outputs, budget=50_000)
    assert len(found.volumes) == 3
    sizes = [volume.size for volume in found.volumes.values()]
    assert sum(sizes) <= 50_000
    assert sizes[0] <= 50_000 / 3


def test_several_channels_and_no_label(tmp_path):
    files = write(tmp_path, "case", channels=3)
    del files["label"]
    assert views_of(tmp_path, {"case": files}).volumes["case"].label == ""


def broken(tmp_path, name, files):
    image = tmp_path / files["image"]
    if name == "gone":
        image.unlink()
    elif name == "damaged":
        image.write_bytes(image.read_bytes()[:-400])
    elif name == "another size":
        write(tmp_path, "other", shape=(8, 20, 21))
        image.write_bytes((tmp_path / "imagesTr" / "other.npz").read_bytes())
    elif name == "a pipe":
        image.unlink()
        os.mkfifo(image)
    else:
        image.unlink()
        image.symlink_to(tmp_path / files["label"])


@pytest.mark.parametrize("name", ["gone", "damaged", "another size", "a pipe", "a link"])
def test_what_cannot_be_read_is_told_and_the_next_case_has_its_view(tmp_path, name):
    outputs = {case: write(tmp_path, case) for case in ("bad", "good")}
    broken(tmp_path, name, outputs["bad"])
    found = views_of(tmp_path, outputs)
    assert list(found.volumes) == ["good"]
    assert list(found.without) == ["bad"]
    assert found.without["bad"]


STRANGE = {
    "far away": {"affine": np.array([[2.0, 0, 0, 1e300], [0, 2.0, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1.0]])},
    "flat": {"affine": np.diag([2.0, 0.0, 2.0, 1.0])},
    "no channel": {"image": np.zeros((0, *SHAPE), np.float32)},
    "no voxel": {"image": np.zeros((1, 0, 20, 20), np.float32), "label": np.zeros((1, 0, 20, 20), np.int8)},
    "no label": {"label": np.zeros((0, *SHAPE), np.int8)},
    "a label of floats": {"label": np.ones((1, *SHAPE), np.float32)},
    "a label of large numbers": {"label": np.full((1, *SHAPE), 1 << 40)},
}


@pytest.mark.parametrize("changes", STRANGE.values(), ids=STRANGE)
def test_files_that_no_run_has_written_have_no_view(changes, tmp_path):
    files = write(tmp_path, "case")
    for role, path in files.items():
        volume = read_npz(tmp_path / path)
        array, affine = changes.get(role, volume.array), changes.get("affine", volume.affine)
        (tmp_path / path).write_bytes(b"".join(encode_npz(NpzVolume(array, volume.spacing, affine))))
    found = views_of(tmp_path, {"case": files})
    assert list(found.without) == ["case"]
    assert found.without["case"]


def test_no_more_memory_is_taken_than_a_page_is_worth(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "LARGEST", 12_700)
    files = write(tmp_path, "case")
    (tmp_path / files["image"]).write_bytes(zeros())
    assert "more than is read for a page" in views_of(tmp_path, {"case": files}).without["case"]


def zeros() -> bytes:
    """Small as a file, and not as an array."""
    array = np.zeros((1, *SHAPE), np.float32)
    return b"".join(encode_npz(NpzVolume(array, np.ones(3), np.eye(4))))
