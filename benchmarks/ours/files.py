"""Our write and read paths beside numpy's, and the floors under a case's stages."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from isal import isal_zlib

from benchmarks.serve import serve
from monai_mriprep import SpacingStatistics, build_transforms, target_spacing
from monai_mriprep.formats.npz import NpzVolume, read_npz
from monai_mriprep.store.staging import save_volumes
from monai_mriprep.transforms.files import npz_volume

PARTS = {"image": "imagesTr", "label": "labelsTr"}
state: dict[str, NpzVolume] = {}


def prepare(image: str, label: str, statistics: str) -> dict[str, list[int]]:
    """Preprocess one case and keep the result; returns shapes."""
    torch.set_num_threads(1)
    target = target_spacing(SpacingStatistics.from_csv(Path(statistics)))
    data: Any = build_transforms(target=target)({"image": image, "label": label})
    state.update({key: npz_volume(data[key]) for key in PARTS})
    return {key: list(volume.array.shape) for key, volume in state.items()}


def write_ours(folder: str) -> dict[str, Any]:
    """Write the pair as a run does: deflated, hashed, synced to disk, moved into place."""

    def write() -> None:
        volumes = {(path.parent.name, path.name): state[key] for key, path in _paths(folder).items()}
        save_volumes(Path(folder), volumes)

    return _timed(write, folder)


def write_numpy(folder: str) -> dict[str, Any]:
    """Write the pair with `numpy.savez_compressed`, which does not sync."""

    def write() -> None:
        for key, path in _paths(folder).items():
            np.savez_compressed(path, state[key].array, spacing=state[key].spacing)

    return _timed(write, folder)


def write_plain(folder: str, contents_of: str) -> dict[str, Any]:
    """Write the bytes of finished files again, and sync: the floor."""
    contents = {key: path.read_bytes() for key, path in _paths(contents_of).items()}

    def write() -> None:
        for key, path in _paths(folder).items():
            _write_synced(path, contents[key])

    return _timed(write, folder)


def _timed(write: Callable[[], None], folder: str) -> dict[str, Any]:
    paths = list(_paths(folder).values())
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    seconds = _seconds(write)
    return {"seconds": seconds, "bytes": sum(path.stat().st_size for path in paths)}


def _paths(folder: str) -> dict[str, Path]:
    return {key: Path(folder) / part / "case.npz" for key, part in PARTS.items()}


def read_ours(folder: str) -> float:
    """Seconds to read the pair with our reader."""
    return _seconds(lambda: [read_npz(path).array for path in _paths(folder).values()])


def read_numpy(folder: str) -> float:
    """Seconds to read the pair with `numpy.load`."""
    return _seconds(lambda: [np.load(path)["arr_0"] for path in _paths(folder).values()])


def floors(image: str, label: str, image_npz: str, label_npz: str, folder: str) -> dict[str, float]:
    """Seconds that the bare parts of one case take: what no program that does this work can be below."""
    stored = [Path(path).read_bytes() for path in (image, label)]
    written = [Path(path).read_bytes() for path in (image_npz, label_npz)]
    arrays = [read_npz(path).array for path in (image_npz, label_npz)]
    bodies = [_compressed_body(content) for content in stored]
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    return {
        "inflate with isal": _seconds(lambda: [isal_zlib.decompress(body) for body in bodies]),
        "inflate with zlib": _seconds(lambda: [zlib.decompress(body) for body in bodies]),
        "copy of the output": _seconds(lambda: [array.copy() for array in arrays]),
        "deflate with isal": _seconds(lambda: [isal_zlib.compress(memoryview(a).cast("B"), 1) for a in arrays]),
        "write and sync": _seconds(lambda: [_write_synced(target / f"{i}", c) for i, c in enumerate(written)]),
        "sha256 of the sources": _seconds(lambda: [hashlib.sha256(content).digest() for content in stored]),
        "sha256 of the outputs": _seconds(lambda: [hashlib.sha256(content).digest() for content in written]),
    }


def _compressed_body(content: bytes) -> bytes:
    """The zlib stream of a compressed MetaImage."""
    end = content.index(b"\n", content.index(b"ElementDataFile"))
    return content[end + 1 :]


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    serve(
        {
            "prepare": prepare,
            "write_ours": write_ours,
            "write_numpy": write_numpy,
            "write_plain": write_plain,
            "read_ours": read_ours,
            "read_numpy": read_numpy,
            "floors": floors,
        }
    )
