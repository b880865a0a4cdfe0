"""Samples a second of a training loop: `RandPatchd` beside `LoadNpzd` and MONAI's `RandCropByLabelClassesd`.

One sample a case, by the same ratios, in two workers of MONAI's DataLoader each, from files that were just written.
They take turns in going through all samples; values are medians. Two minutes at most. Exit status: 0 if the bar is met,
1 if not.

usage, from the repository's root: .venv/bin/python -m benchmarks.rand_patches [--cases N] [--patch Z,Y,X]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.measure import interleave, median, progress
from benchmarks.table import Row, as_text
from benchmarks.workers_scale import make_cases

BAR = 3.0
KEYS, RATIOS = ["image", "label"], (1, 1, 1)


def chains(patch: tuple[int, ...]) -> dict[str, Callable[[Any], Any]]:
    """What a training loop may begin with, by name."""
    from monai.transforms import Compose, RandCropByLabelClassesd, SpatialPadd

    from monai_mriprep import LoadNpzd, RandPatchd

    crop = RandCropByLabelClassesd(
        KEYS, "label", patch, [*RATIOS], num_classes=len(RATIOS), num_samples=1, allow_smaller=True, warn=False
    )
    return {
        "RandPatchd": RandPatchd(KEYS, patch, RATIOS),
        "LoadNpzd, RandCropByLabelClassesd": Compose([LoadNpzd(KEYS), crop, SpatialPadd(KEYS, patch)]),
    }


def seconds_a_sample(loader: Any) -> float:
    """Of all samples of a loader, whose workers stay."""
    start, samples = time.perf_counter(), 0
    for batch in loader:
        samples += len(batch["image"])
    return (time.perf_counter() - start) / samples


def row_of(folder: Path, patch: tuple[int, ...], rounds: int, samples: int) -> Row:
    """Both, in turns."""
    from monai.data import DataLoader, Dataset, load_decathlon_datalist

    from monai_mriprep import preprocess

    preprocess(folder / "dataset", folder / "out", workers=2, report=False)
    cases = load_decathlon_datalist(str(folder / "out" / "dataset.json"), data_list_key="training")
    cases = (cases * (samples // len(cases) + 1))[:samples]
    options = {"batch_size": 1, "num_workers": 2, "persistent_workers": True, "shuffle": True}
    loaders = {name: DataLoader(Dataset(cases, chain), **options) for name, chain in chains(patch).items()}
    for loader in loaders.values():
        seconds_a_sample(loader)  # workers start, and files come into memory
    found = interleave({name: partial(seconds_a_sample, loader) for name, loader in loaders.items()}, rounds)
    (ours, one), (theirs, other) = found.items()
    what = f"{ours}, {' x '.join(map(str, patch))}: a sample"
    rest = {"bar": BAR, "samples": {ours: one, theirs: other}}
    return Row.faster("patches", what, median(one) * 1000, "ms", theirs, median(other) * 1000, **rest)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--patch", default="32,128,128", help="z,y,x")
    parser.add_argument("--samples", type=int, default=60, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    machine, patch = describe_machine(), tuple(map(int, options.patch.split(",")))
    with tempfile.TemporaryDirectory(prefix="mriprep-patches-") as text:
        progress("patches: making cases")
        make_cases(Path(text), options.cases, options.scale, 1)
        row = row_of(Path(text), patch, options.rounds, options.samples)
    print(f"{machine['cpu']}, {machine['cores']} cores, {'idle' if machine['idle'] else 'NOT IDLE'}\n")
    print(as_text([row]))
    return int((row.ratio or 0) < BAR)


if __name__ == "__main__":
    sys.exit(main())
