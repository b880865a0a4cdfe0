"""Write a preprocessed case as nnU-Net's own dataset class reads it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import blosc2
import numpy as np
from numpy.typing import NDArray

__all__ = ["save_case"]

CODEC = {"codec": blosc2.Codec.LZ4, "clevel": 5, "nthreads": 1}
"""Training reads patches all the time, and writes once. Measured on two cases (10 MiB), against nnU-Net's LZ4HC: LZ4
takes a ninth of the time to write, its files are 6 percent larger, and patches are read as fast (4 ms). zstd-1 takes a
sixth, its files are 3 percent smaller, and patches take almost twice as long."""

IMAGE_FILTERS, LABEL_FILTERS = [blosc2.Filter.SHUFFLE], [blosc2.Filter.NOFILTER]
"""What nnU-Net finds by compressing a part of each array twice, for images that were resampled, and for labels."""


def save_case(
    base: str, data: NDArray[np.float32], label: NDArray[np.int16], properties: Mapping[str, Any], cuts: Any
) -> None:
    """Write ``base.b2nd``, ``base_seg.b2nd`` and ``base.pkl``.

    nnU-Net knows a case by its ``.b2nd``. So that file appears last, and all of them under their names only when they
    are whole: a run that is killed leaves no case that only looks done. What it was writing stays in a folder of its
    own, whose name begins with a dot and which nnU-Net does not see.
    """
    target = Path(base)
    with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        names = [f"{target.name}{ending}" for ending in ("_seg.b2nd", ".pkl", ".b2nd")]
        staged_label, staged_facts, staged_data = (Path(folder, name) for name in names)
        _write_array(staged_label, label, cuts[1], LABEL_FILTERS)
        _write_array(staged_data, data, cuts[0], IMAGE_FILTERS)
        staged_facts.write_bytes(pickle.dumps(dict(properties)))
        for staged in (staged_label, staged_facts, staged_data):
            staged.replace(target.parent / staged.name)


def _write_array(path: Path, array: NDArray[Any], cut: Any, filters: list[Any]) -> None:
    blocks, chunks = cut
    array = np.ascontiguousarray(array)
    blosc2.asarray(array, urlpath=str(path), chunks=chunks, blocks=blocks, cparams={**CODEC, "filters": filters})
