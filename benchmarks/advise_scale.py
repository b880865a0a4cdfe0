"""How long `advise` takes for many cases, and what it takes of memory where labels have many classes.

Twenty target spacings are compared by the labels of a dataset like pancreas MRI, N cases at half the size. The bar is
10 minutes for 100 cases on 2 cores; of another number it is the same share. Then two labels of 100 classes, each of 13
million voxels, are compared in a process of its own. The bar is 24 bytes a voxel more than for labels of a few voxels,
which is what is reckoned with; the masks of all classes alone would take 400.
Exit status: 0 if both bars are kept, 1 if not.

usage, from the repository's root: .venv/bin/python -m benchmarks.advise_scale [--cases 100] [--workers 2]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.data import make_dataset
from benchmarks.machine import describe_machine
from monai_mriprep.advice.advise import advise
from monai_mriprep.formats.write import write_metaimage

SECONDS_A_CASE = 6.0
"""Ten minutes for 100 cases."""

SCALE = 0.5
MAKER = Path(__file__).parents[2] / "shared" / "bench" / "make_dataset.py"
SHAPE, CLASSES = (200, 256, 256), 100
BYTES_A_VOXEL = 24


def seconds_of(dataset: Path, workers: int) -> tuple[float, int]:
    """How long it takes, and how many spacings were compared."""
    start = time.perf_counter()
    advice = advise(dataset, workers=workers)
    return time.perf_counter() - start, len(advice.candidates)


def write_classes(root: Path, shape: tuple[int, int, int]) -> None:
    """Balls in a lattice, one a class."""
    z, y, x = (np.arange(n) for n in shape)
    across = 5
    cell = [n / across for n in shape]
    places = np.stack(np.meshgrid(z // cell[0], y // cell[1], x // cell[2], indexing="ij")).astype(np.int16)
    number = places[0] * across * across + places[1] * across + places[2] + 1
    offsets = [(axis % size) / size - 0.5 for axis, size in zip((z, y, x), cell, strict=True)]
    distance = sum(np.square(one) for one in np.ix_(*offsets))
    label = np.where((distance < 0.2) & (number <= CLASSES), number, 0).astype(np.int16)
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir(parents=True)
        for case in range(2):
            write_metaimage(root / folder / f"case_{case}.mha", label, (1.5, 1.5, 1.5))


PEAK = """
import re, sys
from pathlib import Path
from monai_mriprep import advise
advise(sys.argv[1], workers=1)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def peak_of(dataset: Path) -> int:
    """The largest resident memory of a process that compares with one thread, in bytes; by Linux."""
    command = [sys.executable, "-c", PEAK, str(dataset)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


def make_many(folder: Path, cases: int) -> None:
    """By the maker beside the project, if it is there."""
    if MAKER.exists():
        command = [sys.executable, MAKER, folder, "--cases", cases, "--scale", SCALE]
        subprocess.run([str(word) for word in command], check=True)
    else:
        make_dataset(folder, cases, SCALE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        many, few, classes = (Path(folder) / name for name in ("many", "few", "classes"))
        make_many(many, options.cases)
        took, spacings = seconds_of(many, options.workers)
        bar = SECONDS_A_CASE * options.cases
        print(f"{options.cases} cases, {spacings} spacings, {options.workers} workers: {took:.1f} s of {bar:.0f} s")
        write_classes(few, (20, 25, 25))
        write_classes(classes, SHAPE)
        took_classes, _ = seconds_of(classes, 1)
        taken = (peak_of(classes) - peak_of(few)) / np.prod(SHAPE)
    print(f"2 labels of {CLASSES} classes: {took_classes:.1f} s, {taken:.0f} of {BYTES_A_VOXEL} bytes a voxel")
    return int(took > bar or taken > BYTES_A_VOXEL)


if __name__ == "__main__":
    sys.exit(main())
