"""A patch of a preprocessed file: `read_npz_part` beside numpy's `np.load`, which inflates all of it.

Files are those of a run over the benchmark's dataset, and one of 90 x 345 x 343 voxels. Patches are drawn anywhere in
the volume, files are in memory, and one thread reads. Each patch has the voxels that numpy has there; MONAI's
NumpyReader reads each file, too. Beside that the size of the files, where a deflated entry without blocks is 1, and the
time to write one. Values are medians; of `np.load`, which hardly varies, of a tenth of the draws. Two minutes at most.
Exit status: 0 if all bars are met, 1 if not.

usage, from the repository's root: .venv/bin/python -m benchmarks.patch_reads [--cases N] [--patch Z,Y,X]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.data import make_case
from benchmarks.machine import describe_machine
from benchmarks.measure import median, progress
from benchmarks.table import Row, as_text
from benchmarks.workers_scale import make_cases

SECTION = "patch reads"
LARGE_SHAPE = (90, 345, 343)
BAR, LARGE_BAR = 3.5, 5.0
WRITING_BAR = 8.0
SIZE_BAR = 1.001
TENTH = 10


def files(folder: Path, cases: int) -> list[tuple[Path, ...]]:
    """Image and label of each case of a run, and an image of `LARGE_SHAPE`."""
    from monai_mriprep import preprocess
    from monai_mriprep.formats.npz import NpzVolume, encode_npz, read_npz

    make_cases(folder, cases, 1.0, 1)
    preprocess(folder / "dataset", folder / "out", workers=2, report=False)
    images, labels = (sorted((folder / "out" / name).iterdir()) for name in ("imagesTr", "labelsTr"))
    like = read_npz(images[0])
    scan = make_case(0, 1.0)[0].astype(np.float32)
    zoomed = ndimage.zoom(scan, np.array(LARGE_SHAPE) / scan.shape, order=3)[None]
    large = folder / "large.npz"
    volume = NpzVolume((zoomed - zoomed[zoomed != 0].mean()) / zoomed.std(), like.spacing, like.affine, like.facts)
    large.write_bytes(b"".join(encode_npz(volume)))
    return [(large,), *zip(images, labels, strict=True)]


def reading(path: Path, patch: tuple[int, ...], draws: int, bar: float) -> Row:
    """A patch of it, by numpy and by us."""
    from monai_mriprep.formats.npz import read_npz_head, read_npz_part

    shape, rng = read_npz_head(path).shape[1:], np.random.default_rng(0)
    ours, theirs = [], []
    for draw in range(draws):
        starts = [int(rng.integers(max(1, n - size + 1))) for n, size in zip(shape, patch, strict=True)]
        z, y, x = (slice(start, start + size) for start, size in zip(starts, patch, strict=True))
        seconds, part = timed(lambda roi=(z, y, x): read_npz_part(path, roi).array)
        ours.append(seconds)
        if draw % TENTH == 0:
            seconds, cut = timed(lambda roi=(z, y, x): np.load(path)["arr_0"][(slice(None), *roi)])
            theirs.append(seconds)
            assert np.array_equal(part, cut)
    what = f"{' x '.join(map(str, patch))} of {' x '.join(map(str, shape))} {part.dtype}"
    return Row.faster(SECTION, what, median(ours) * 1000, "ms", "np.load", median(theirs) * 1000, bar=bar)


def writing(path: Path, folder: Path) -> Row:
    """The whole file, by numpy and by us, into memory that was touched before."""
    from monai_mriprep.formats.npz import encode_npz, read_npz

    volume = read_npz(path)
    arrays = {"arr_0": volume.array, "spacing": volume.spacing}
    target = folder / "written.npz"
    ours = [timed(lambda: target.write_bytes(b"".join(encode_npz(volume))))[0] for _ in range(5)]
    theirs = [timed(lambda: np.savez_compressed(target, **arrays))[0] for _ in range(2)]
    peer = "savez_compressed"
    return Row.faster(SECTION, "writing it", median(ours) * 1000, "ms", peer, median(theirs) * 1000, bar=WRITING_BAR)


def sizes(pair: tuple[Path, ...]) -> Row:
    """Of the files of a case, beside what they would be without blocks and their index."""
    from monai_mriprep.formats import blocks
    from monai_mriprep.formats.npz import encode_npz, read_npz

    whole, blocks.WHOLE = blocks.WHOLE, sys.maxsize
    try:
        plain = sum(len(part) for path in pair for part in encode_npz(read_npz(path)))
    finally:
        blocks.WHOLE = whole
    found = sum(path.stat().st_size for path in pair)
    return Row.share(SECTION, "size of the case", found / 1e6, "MB", "without blocks", plain / 1e6, bar=SIZE_BAR)


def require_same(path: Path) -> None:
    """MONAI's own reader, numpy and ours."""
    from monai.data import NumpyReader

    from monai_mriprep.formats.npz import read_npz

    ours, (theirs, _) = read_npz(path).array, (lambda reader: reader.get_data(reader.read(path)))(NumpyReader("arr_0"))
    assert np.array_equal(ours, theirs)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def rows(folder: Path, cases: int, patch: tuple[int, ...], draws: int) -> Iterator[Row]:
    """All comparisons."""
    progress(f"{SECTION}: making cases")
    large, *pairs = files(folder, cases)
    for pair in (large, *pairs):
        progress(f"{SECTION}: {pair[0].name}")
        for path in pair:
            require_same(path)
        yield reading(pair[0], patch, draws, LARGE_BAR if pair is large else BAR)
        for label in pair[1:]:
            yield reading(label, patch, draws, BAR)
        yield writing(pair[0], folder)
        yield sizes(pair)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--patch", default="32,128,128", help="z,y,x")
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    machine, patch = describe_machine(), tuple(map(int, options.patch.split(",")))
    with tempfile.TemporaryDirectory(prefix="mriprep-patches-") as text:
        found = list(rows(Path(text), options.cases, patch, options.draws))
    print(f"{machine['cpu']}, {machine['cores']} cores, {'idle' if machine['idle'] else 'NOT IDLE'}\n")
    print(as_text(found))
    return int(any(row.met is False for row in found))


if __name__ == "__main__":
    sys.exit(main())
