"""Whether `Invertd` and `restore` take a prediction back to the same voxels.

Each scan is preprocessed twice, on the fly and by a run, which leaves a record: with its axes kept, turned to RAS and
turned to LPS, each whole and cropped, at a coarser and at a finer target. Predictions on the grid that it ended on are
random or made of the scan's own voxels. They go back by MONAI's `Invertd`, on the fly and with what was loaded from the
run's file, and by `restore` from the record. All must end on exactly the grid of the scan, and no voxel may differ:
every bit of a float counts.

Exit status: 0 if all is equal, 1 if not.

usage, from the repository's root: .venv/bin/python -m benchmarks.same_way_back [FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Invertd
from numpy.typing import NDArray

from benchmarks.measure import ROOT, progress
from monai_mriprep import LoadNpzd, Recipe, build_transforms, preprocess
from monai_mriprep.errors import MriprepError, MriprepWarning
from monai_mriprep.formats.header import Frame, Header
from monai_mriprep.formats.names import SUFFIXES, stem
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.formats.write import write_volume
from monai_mriprep.restore.arrays import restore_array
from monai_mriprep.restore.source_space import SourceSpace
from monai_mriprep.steps import Trace, final_grid, native_steps
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store
from monai_mriprep.types import IMAGE, LABEL, PREDICTION

REAL_SCANS = ROOT / "../shared/data"
CROP = {"crop": "nonzero", "crop_margin": 3.0}
RECIPES: tuple[dict[str, Any], ...] = tuple(
    {"orientation": orientation, **crop} for orientation, crop in product(("keep", "RAS", "LPS"), ({}, CROP))
)
AS_FLOATS = "labels as floats"
"""For MONAI to take them from the nearest voxel, it must be told so by ``nearest_interp``."""
NPZ = "by the file"
"""What `Invertd` makes of any of them with the image loaded from its ``.npz``."""
COARSER, FINER = (1.5, 1.7, 1.3), (0.8, 0.75, 0.9)
"""Of the target spacing to the scan's, z y x."""


@dataclass(frozen=True)
class Comparison:
    """One scan, preprocessed by one recipe.

    Parameters
    ----------
    scan, recipe
        What it is called, and the keys that are not the default.
    shape, target_shape
        Before and after, z y x.
    same_grid
        Whether both ways ended on exactly the scan's shape and affine.
    different
        Voxels that differ, by what was compared.
    """

    scan: str
    recipe: str
    shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    same_grid: bool
    different: Mapping[str, int]

    @property
    def is_equal(self) -> bool:
        """Nothing differs."""
        return self.same_grid and not any(self.different.values())

    @property
    def cells(self) -> tuple[str, ...]:
        """What the table shows."""
        shapes = ("x".join(map(str, shape)) for shape in (self.shape, self.target_shape))
        return (
            self.scan,
            self.recipe,
            *shapes,
            "exact" if self.same_grid else "OTHER",
            *map(str, self.different.values()),
        )


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=REAL_SCANS, help="of scans; by default the real ones")
    comparisons = list(_compare_all(parser.parse_args().folder.resolve()))
    if not comparisons:
        print("error: no scan was compared", file=sys.stderr)
        return 1
    _print(comparisons)
    print(f"{sum(one.is_equal for one in comparisons)} of {len(comparisons)} are equal")
    return int(not all(one.is_equal for one in comparisons))


def _compare_all(folder: Path) -> Iterator[Comparison]:
    for path in sorted(path for path in folder.rglob("*") if path.name.lower().endswith(SUFFIXES)):
        name = str(path.relative_to(folder))
        try:
            header = read_header(path)
        except MriprepError as error:
            progress(f"not compared: {error}")
            continue
        for settings, factors in product(RECIPES, (COARSER, FINER)):
            progress(f"{name}, {settings}, {factors}")
            yield compare(header, name, settings, factors)
            if "crop" in settings:
                with with_empty_border(header) as emptied:
                    yield compare(emptied, f"{name}, empty border", settings, factors)


@contextmanager
def with_empty_border(header: Header) -> Iterator[Header]:
    """A copy of a scan, of which the first eighth and the last sixth along each axis are 0; many scans fill theirs."""
    voxels = read_voxels(header)
    inside = tuple(slice(n // 8 + 1, n - n // 6 - 1) for n in header.grid.shape)
    emptied = np.zeros_like(voxels)
    emptied[inside] = np.where(voxels[inside] == 0, 1, voxels[inside])
    with tempfile.TemporaryDirectory(prefix="mriprep-border-") as folder:
        path = Path(folder) / f"{stem(header.path)}.mha"
        write_volume(path, emptied, header.frame)
        yield read_header(path)


def compare(header: Header, name: str, settings: Mapping[str, Any], factors: Sequence[float]) -> Comparison:
    """Take predictions of all kinds back both ways.

    Parameters
    ----------
    header
        Of the scan.
    name
        What to call it.
    settings
        Keys of the recipe, but for the target.
    factors
        Of the target spacing to that of the scan as the orientation leaves it, z y x.
    """
    native = final_grid(native_steps(Recipe(**settings)), header.grid)
    target = tuple(spacing * factor for spacing, factor in zip(native.spacing, factors, strict=True))
    recipe = Recipe(**settings, target_spacing=target)
    keys = (f"{key}={value}" for key, value in settings.items() if value != Recipe.model_fields[key].default)
    text = " ".join((*keys, "coarser" if np.prod(factors) > 1 else "finer"))
    space, label, stored = _by_a_run(header, recipe)
    load = build_transforms(recipe, stage="inference")
    case = load({IMAGE.name: str(header.path)})
    image = case[IMAGE.name].numpy()
    same_grid = space.trace.source == header.grid and _values(space.frame) == _values(header.frame)
    different: dict[str, int] = {}
    for kind, prediction in _predictions(image, label).items():
        inverted, by_npz = (
            Invertd(PREDICTION.name, transform, orig_keys=IMAGE.name, nearest_interp=kind == AS_FLOATS)(
                {**data, PREDICTION.name: MetaTensor(torch.from_numpy(prediction))}
            )[PREDICTION.name]
            for transform, data in ((load, case), (LoadNpzd(IMAGE.name), stored))
        )
        for volume in (inverted, by_npz):
            same_grid &= tuple(volume.shape[1:]) == header.grid.shape
            same_grid &= np.array_equal(volume.affine.numpy(), header.grid.affine)
        different.update(_different(kind, prediction, inverted.numpy(), space.trace))
        different[NPZ] = different.get(NPZ, 0) + _count(by_npz.numpy(), inverted.numpy())
    return Comparison(name, text, header.grid.shape, image.shape[1:], same_grid, different)


def _predictions(image: NDArray[np.float32], label: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """``(C, D, H, W)`` on the grid of the preprocessed image, by what they are called."""
    rng, shape = np.random.default_rng(0), image.shape
    return {
        "label": label,
        "random labels": rng.integers(0, 30000, shape, np.int16),
        AS_FLOATS: rng.integers(0, 30, shape).astype(np.float32),
        "one channel": rng.random(shape, np.float32),
        "channels": np.concatenate([image, -image, rng.random((3, *shape[1:]), np.float32)]),
    }


def _different(kind: str, prediction: NDArray[Any], inverted: NDArray[Any], trace: Trace) -> Iterator[tuple[str, int]]:
    """Voxels that differ in what `restore` makes of a prediction: its values, and the classes of what is a float."""
    if kind != AS_FLOATS:
        yield kind, _count(restore_array(prediction, trace, probabilities=True), inverted)
    if prediction.dtype.kind == "f":
        yield f"{kind}, classes", _count(restore_array(prediction, trace), _classes(kind, inverted).astype(np.uint8))


def _classes(kind: str, inverted: NDArray[Any]) -> NDArray[Any]:
    if kind == AS_FLOATS:
        return inverted
    return inverted.argmax(0) if len(inverted) > 1 else inverted >= 0.5


def _values(frame: Frame) -> list[float]:
    """Spacing, origin and direction in a row."""
    return [float(value) for facts in asdict(frame).values() for value in np.ravel(facts)]


def _count(found: NDArray[Any], expected: NDArray[Any]) -> int:
    """Voxels of which a bit differs; all, where the types do."""
    if found.dtype != expected.dtype:
        return found.size
    bits = f"u{found.itemsize}"
    return int(np.count_nonzero(found.view(bits) != expected.reshape(found.shape).view(bits)))


def _by_a_run(header: Header, recipe: Recipe) -> tuple[SourceSpace, NDArray[Any], dict[Hashable, Any]]:
    """What the record of a run says, the label that it has written, and the image as it is loaded from its file."""
    with tempfile.TemporaryDirectory(prefix="mriprep-way-back-") as folder:
        root, output = Path(folder, "dataset"), Path(folder, "output")
        for name in ("ImagesTr", "LabelsTr"):
            (root / name).mkdir(parents=True)
        for path in header.files:
            (root / "ImagesTr" / path.name).symlink_to(path)
        label = np.random.default_rng(0).integers(0, 30, header.grid.shape, np.int16)
        write_volume(root / "LabelsTr" / f"{stem(header.path)}.mha", label, header.frame)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MriprepWarning)  # such as a label that vanishes
            results = preprocess(root, output, recipe, workers=0)
        for failed in results.failed:
            raise MriprepError(failed.error)
        with open_store(output) as store:
            (record,) = read_index(store.root).all_done()
        (path,) = (output / LABEL.folder).iterdir()
        (image,) = (output / IMAGE.folder).iterdir()
        with np.load(path) as content:
            return SourceSpace.of(record), content["arr_0"], LoadNpzd(IMAGE.name)({IMAGE.name: image})


def _print(comparisons: Sequence[Comparison]) -> None:
    lines = [
        ("scan", "recipe", "z y x", "preprocessed", "grid", *comparisons[0].different),
        *(c.cells for c in comparisons),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
