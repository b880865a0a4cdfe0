"""Patches that are made of the scans: whether they are the crops of whole volumes, how fast, and in how much memory.

*As the whole*: every scan of a folder, image and a label made of its quantiles, goes by the default recipe to a finer
and a coarser spacing on both grids, `monai` and `nnunet`. Patches of 128 voxels along each axis, or of the whole axis
where that is shorter, are taken at random places, and compared with the crop.

*Speed*: the same patches, image and label, normalised, from `VirtualDataset`, at 0.9 and at 1.5 of the scan's spacing;
beside MONAI's chain, which resamples the whole volume (`Spacingd`, mode 3 and nearest) and crops. Seconds are those of
one processor (CPU time of one thread; the least of several runs), so that other programs on the machine count little.
Where the patch is the whole volume, MONAI's chain does nothing in vain; the ratio of these is shown, and no bar.

*Memory*: anonymous memory of a process that takes patches, beyond what it had before the first one, in patches (image
and label). The decoded scans are a mapped file, and count apart.

Exit status: 0 if all bars are met, 1 if not.

usage, from the repository's root: .venv/bin/python -m benchmarks.virtual_patches [FOLDER]
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import MetaTensor
from monai.transforms import Spacingd, SpatialCrop
from numpy.typing import NDArray

from benchmarks.data import make_case
from benchmarks.measure import ROOT, progress
from monai_mriprep import LoadVolumed, Recipe, VirtualDataset, preprocess
from monai_mriprep.errors import MriprepError
from monai_mriprep.formats.names import SUFFIXES
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.patches.patch_grid import place_patch
from monai_mriprep.patches.random_patches import RandomPatches
from monai_mriprep.steps import Volumes, forward, steps_of
from monai_mriprep.steps.parts import forward_part
from monai_mriprep.transforms.channels import signed
from monai_mriprep.types import IMAGE, LABEL

REAL_SCANS = ROOT / "../shared/data"
PATCH = (128, 128, 128)
FINER, COARSER = 0.9, 1.5
CLOSE = 2e-6
LEAST_A_SECOND = {FINER: 20.0, COARSER: 8.0}
LEAST_RATIO = 15.0
MOST_PATCHES = 3.0
LARGE = (200, 256, 256)
"""Voxels of the large scan, of 1 mm."""


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=REAL_SCANS, help="of scans; by default the real ones")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        return print_peak(Path(options.peak[0]), float(options.peak[1]))
    folder = options.folder.resolve()
    bars = [as_the_whole(folder)]
    with tempfile.TemporaryDirectory(prefix="mriprep-patches-") as work:
        bars += [speed(Path(work), folder / "mixed"), memory(Path(work))]
    return int(not all(bars))


# --- As the whole -----------------------------------------------------------------------------------------------------


def as_the_whole(folder: Path) -> bool:
    """Print what differs most, of all scans."""
    worst, scans, patches, labels = 0.0, set[str](), 0, 0
    for path in sorted(path for path in folder.rglob("*") if path.name.lower().endswith(SUFFIXES)):
        try:
            header = read_header(path)
            image = signed(header, read_voxels(header))
        except MriprepError as error:
            progress(f"not compared: {error}")
            continue
        for rule, factor in product(("monai", "nnunet"), (FINER, COARSER)):
            for difference, is_equal in _differences(image, header.grid, rule, factor):
                worst, patches, labels = max(worst, difference), patches + 1, labels + is_equal
        scans.add(str(path))
    print(
        f"{patches} patches of {len(scans)} scans: largest difference {worst:.1e} of the range (at most {CLOSE:g}); ",
        end="",
    )
    print(f"labels of {labels} are equal")
    return 0 < patches == labels and worst <= CLOSE


def _differences(image: NDArray[Any], grid: Any, rule: Any, factor: float) -> Iterator[tuple[float, bool]]:
    """Of some patches, the largest of the image as a share of its range, and whether all labels are equal."""
    rng = np.random.default_rng(0)
    limits = np.quantile(image, (0.5, 0.8, 0.95))
    label = np.digitize(image, limits).astype(np.int16)
    native = {IMAGE: torch.from_numpy(image)[None], LABEL: torch.from_numpy(label)[None]}
    target = tuple(factor * length for length in grid.spacing)
    done, trace = forward(steps_of(Recipe(grid=rule), target), Volumes(native), grid)
    for _ in range(2):
        start = [int(rng.integers(max(n - size, 0) + 1)) for n, size in zip(trace.target.shape, PATCH, strict=True)]
        place = place_patch(trace.target, start, np.minimum(PATCH, trace.target.shape).tolist())
        found = {role: forward_part(trace, native[role], role, place.wanted) for role in native}
        boxes = [slice(along.start, along.stop) for along in place.wanted]
        expected = {role: done.by_role[role][:, boxes[0], boxes[1], boxes[2]] for role in native}
        whole = done.by_role[IMAGE]
        spread = float(whole.max() - whole.min()) or 1.0
        yield float((found[IMAGE] - expected[IMAGE]).abs().max()) / spread, torch.equal(found[LABEL], expected[LABEL])


# --- Speed ------------------------------------------------------------------------------------------------------------


def speed(work: Path, mixed: Path) -> bool:
    """Print patches a second and core, and MONAI's time for one."""
    print(f"\n{'scan':24} {'voxels':>12} {'spacing':>8} {'patches/s':>10} {'MONAI, s':>9} {'ratio':>6}")
    met = [_row(*one) for one in _cases(work, mixed)]
    return all(met)


def _cases(work: Path, mixed: Path) -> Iterator[tuple[VirtualDataset, int, float]]:
    datasets = [_dataset(write_large(work / "large"), work / "large-out")]
    if mixed.is_dir():
        datasets.append(_dataset(mixed, work / "mixed-out"))
    for dataset in datasets:
        yield from ((dataset, index, factor) for index in range(len(dataset)) for factor in (FINER, COARSER))


def _dataset(root: Path, output: Path) -> VirtualDataset:
    preprocess(root, output, Recipe(target_spacing=(1.0, 1.0, 1.0)), virtual=True, report=False)
    return VirtualDataset(output, PATCH)


def write_large(root: Path) -> Path:
    """A scan of 1 mm, larger than a patch along each axis."""
    image, label, _ = make_case(0, 1.0)
    factors = [-(-n // own) for n, own in zip(LARGE, image.shape, strict=True)]
    for folder, array in (("ImagesTr", image), ("LabelsTr", label)):
        (root / folder).mkdir(parents=True)
        tiled = np.tile(array, factors)[tuple(map(slice, LARGE))]
        sitk.WriteImage(sitk.GetImageFromArray(tiled), str(root / folder / "large.mha"))
    return root


def _row(dataset: VirtualDataset, index: int, factor: float) -> bool:
    case = dataset._cases[index]
    native = case.trace.source
    spacing = tuple(factor * length for length in native.spacing)
    grid, random = dataset.grid(index, spacing), np.random.RandomState(0)
    z, y, x = np.minimum(PATCH, grid.shape).tolist()
    dataset.random_patches = RandomPatches((z, y, x))
    starts = [dataset.random_patches.draw(random, grid, None, grid).start for _ in range(12)]
    ours = _least([lambda start=start: dataset.patch(index, start, spacing) for start in starts])
    theirs = _least([_chain(case.sources, spacing)])
    name, voxels = f"{case.name} "[:24], "x".join(map(str, native.shape))
    print(f"{name:24} {voxels:>12} {factor:>8} {1 / ours:>10.1f} {theirs:>9.3f} {theirs / ours:>6.1f}", flush=True)
    is_whole = (z, y, x) == grid.shape
    return 1 / ours >= LEAST_A_SECOND[factor] and (is_whole or theirs / ours >= LEAST_RATIO)


def _least(calls: list[Callable[[], object]]) -> float:
    """CPU seconds of the fastest call."""
    seconds = []
    for call in calls:
        begin = time.process_time()
        call()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def _chain(sources: Any, spacing: tuple[float, ...]) -> Callable[[], object]:
    """MONAI's: the volumes are in memory; all of them is resampled, and a patch is cut out in the middle."""
    names = {role.name: str(paths[0]) for role, paths in sources.items()}
    loaded = LoadVolumed(list(names), labels=[LABEL.name])(names)
    volumes = {name: MetaTensor(volume.as_tensor(), affine=volume.affine) for name, volume in loaded.items()}
    modes = [3 if name == IMAGE.name else "nearest" for name in names]
    padding = ["nearest" if mode == 3 else "border" for mode in modes]
    resample = Spacingd(list(names), spacing, mode=modes, padding_mode=padding)

    def patch() -> list[torch.Tensor]:
        done = resample(volumes)
        middle = [n // 2 for n in done[IMAGE.name].shape[1:]]
        return [SpatialCrop(middle, PATCH)(done[name]) for name in names]

    return patch


# --- Memory -----------------------------------------------------------------------------------------------------------


def memory(work: Path) -> bool:
    """Print the peak of a process that takes patches."""
    met = []
    for factor in (FINER, COARSER):
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "benchmarks.virtual_patches",
            "--peak",
            work / "large-out",
            factor,
        ]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, cwd=ROOT)
        met.append(float(done.stdout))
        print(f"memory at {factor} of the spacing: {met[-1]:.2f} patches (at most {MOST_PATCHES:g})")
    return max(met) <= MOST_PATCHES


def print_peak(output: Path, factor: float) -> int:
    """In a process of its own: the peak of patches at this factor of 1 mm, in patches."""
    dataset = VirtualDataset(output, PATCH)
    spacing = (factor, factor, factor)
    VirtualDataset(output, (32, 32, 32)).patch(0, (1, 2, 3), spacing)  # what is loaded and set up once
    torch.mm(*torch.rand(2, 512, 512))  # buffers of the library
    before = _anonymous()
    peak = _peak(partial(_take, dataset, spacing))
    print((peak - before) / (math.prod(PATCH) * (4 + 1)))
    return 0


def _take(dataset: VirtualDataset, spacing: tuple[float, float, float]) -> None:
    for _ in range(20):
        dataset.patch(0, (1, 2, 3), spacing)


def _anonymous() -> int:
    """Memory of this process that is no mapped file."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])


def _peak(work: Callable[[], object]) -> int:
    """The highest while something is done."""
    found, done = [_anonymous()], Event()

    def watch() -> None:
        while not done.wait(0.0005):
            found.append(_anonymous())

    thread = Thread(target=watch)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return max(found)


if __name__ == "__main__":
    sys.exit(main())
