"""A dataset of random patches that no run has written: each is made of its scan when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from monai.transforms.transform import Randomizable
from monai.utils.misc import get_seed
from torch.utils.data import Dataset, get_worker_info

from monai_mriprep.errors import ResamplingError, warn
from monai_mriprep.machine import processors
from monai_mriprep.patches.native_volumes import NativePlace, NativeVolumes
from monai_mriprep.patches.patch_grid import PatchGrid, place_patch
from monai_mriprep.patches.random_patches import DrawnPatch, RandomPatches
from monai_mriprep.patches.scanned_cases import ScannedCase, finished_cases
from monai_mriprep.steps import Trace
from monai_mriprep.steps.parts import forward_part, onto_grid, with_target
from monai_mriprep.transforms.spacing import checked_target
from monai_mriprep.transforms.tensors import as_tracked, on_grid
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.patch_places import missing_classes
from monai_mriprep.windows import mapped_in_window

if TYPE_CHECKING:
    import numpy as np

    from monai_mriprep.types import Role, Shape

__all__ = ["VirtualDataset"]

MOST_READERS = 4
"""Threads that read scans. More would hold more decoded scans in memory at once."""


class VirtualDataset(Dataset[dict[str, Any]], Randomizable):  # type: ignore[misc]
    """Random patches of preprocessed cases, taken straight from their scans, of which nothing is stored preprocessed.

    A run has recorded what it did to each case (``monai-mriprep run --virtual`` records nothing else). Here the decoded
    scans, in the number types of their files, lie in one file that all workers map into their memory; for a patch only
    the voxels that it is made of are looked at, resampled, and normalised by the recorded moments. A patch is the crop
    of the volume that a run writes: labels are equal, and images but for the rounding of float32 (2e-6 of the range).
    Along an axis that is shorter than the patch it is padded as by MONAI's `SpatialPad`: with 0, on both sides alike.

    An item is a dictionary of MetaTensors ``(C, *patch)``, by the names of the roles, and ``case``. Their affine is
    that of the patch, flips and padding included; ``meta["patch_start"]`` is where it begins on the target grid (z y x,
    below 0 where it is padded), ``meta["spacing"]`` its spacing (z y x, mm).

    Items are random, and differ from call to call. `monai.utils.set_determinism` before the dataset is made, or
    `set_random_state`, fixes them; each worker of a `DataLoader` draws others.

    Parameters
    ----------
    output_root
        The output folder of a run, virtual or not.
    patch
        Voxels of a patch along z, y, x.
    spacing
        Of the patches, in mm, z y x; by default the target of the run.
    ratios
        How often the middle of a patch is a voxel of class 0, 1, 2 and so on, as in MONAI's `RandCropByLabelClassesd`:
        a voxel that the record tells of the class. Without it each place of a patch has the same chance.
    scale
        The lowest and highest factor of a patch's spacing, which is drawn anew for each; more than 1 shows more of the
        case in larger voxels.
    flip_prob
        How likely each axis is turned the other way, by itself.
    then
        Called with each item; what it returns takes its place, such as a `Compose` of transforms of intensities.
    cache
        Folder for the file of decoded scans, which has no name and is gone with the last process that has it; by
        default that of the system for temporary files.
    dataset_root
        Where the dataset lies now, if it has moved since.

    Raises
    ------
    RecordError
        If no finished case is recorded, or a source is missing or has changed.
    ResamplingError
        If a step of the recipe needs whole volumes, as those of ``preset: nnunet`` and ``clip`` do, or an argument is
        not valid.
    """

    def __init__(
        self,
        output_root: str | Path,
        patch: Sequence[int],
        spacing: Sequence[float] | None = None,
        ratios: Sequence[float] | None = None,
        scale: tuple[float, float] | None = None,
        flip_prob: float = 0.0,
        then: Callable[[dict[str, Any]], Any] | None = None,
        cache: str | Path | None = None,
        dataset_root: str | Path | None = None,
    ) -> None:
        self.random_patches = RandomPatches(
            _size(patch), None if ratios is None else tuple(ratios), scale or (1.0, 1.0), flip_prob
        )
        self.spacing = None if spacing is None else checked_target(spacing)
        self.then = then
        self._cases, load = finished_cases(Path(output_root), None if dataset_root is None else Path(dataset_root))
        self._natives = NativeVolumes(None if cache is None else Path(cache))
        threads = min(processors(), MOST_READERS)
        self._places: list[dict[Role, NativePlace]] = [
            {role: self._natives.append(volume) for role, volume in volumes.items()}
            for volumes in mapped_in_window(load, self._cases, threads, threads + 1)
        ]
        self._warn_of_classes()
        self._seed_of_worker: int | None = None
        self.set_random_state(get_seed())

    @property
    def cases(self) -> tuple[str, ...]:
        """The names of the cases, in order."""
        return tuple(case.name for case in self._cases)

    def __len__(self) -> int:
        """How many cases are finished."""
        return len(self._cases)

    def __getitem__(self, case_index: int) -> Any:
        """A random patch of a case, handed to `then`."""
        self._seed_as_worker()
        drawn = self.randomize(case_index)
        item = self.patch(case_index, drawn.start, scale=drawn.scale, flip=drawn.flip)
        return item if self.then is None else self.then(item)

    def grid(self, case_index: int, spacing: Sequence[float] | None = None) -> Grid:
        """The grid that the patches of a case are cut from.

        Parameters
        ----------
        case_index
            From 0, in the order of `cases`; below 0 from the end.
        spacing
            In mm, z y x; by default that of the dataset.

        Raises
        ------
        IndexError
            If there is no such case.
        """
        return self._trace(case_index, spacing).target

    def patch(
        self,
        case_index: int,
        start: Sequence[int],
        spacing: Sequence[float] | None = None,
        scale: float = 1.0,
        flip: Sequence[int] = (),
    ) -> dict[str, Any]:
        """One patch of a case.

        Parameters
        ----------
        case_index
            From 0, in the order of `cases`; below 0 from the end.
        start
            Its first voxel on `grid`, z y x. Along an axis that is shorter than the patch it plays no part.
        spacing
            In mm, z y x; by default that of the dataset.
        scale
            Factor of the spacing; the middle of the patch stays where it is.
        flip
            Axes that are turned the other way: 0 for z, 1 for y, 2 for x.

        Returns
        -------
        dict
            MetaTensors ``(C, *patch)`` by the names of the roles: the image float32, the label int8 or int16; and
            ``case``, its name.

        Raises
        ------
        IndexError
            If there is no such case.
        ResamplingError
            If the patch does not begin on the grid, or ends outside of it.
        """
        case, trace = self._case(case_index), self._trace(case_index, spacing)
        place = place_patch(trace.target, start, self.random_patches.size, scale, flip)
        if place.is_scaled:
            trace = onto_grid(trace, place.filled_grid)
        marks = {
            "patch_start": torch.tensor([axis.start for axis in place.axes]),
            "spacing": torch.tensor(place.grid.spacing, dtype=torch.float64),
        }
        volumes = {}
        for role, paths in case.sources.items():
            volume = self._volume(case_index, role, trace, place)
            tracked = on_grid(volume, place.grid, None, filename_or_obj=str(paths[0]), **marks)
            volumes[role.name] = as_tracked(tracked)
        return {**volumes, "case": case.name}

    def randomize(self, data: int) -> DrawnPatch:
        """Draw a patch of a case, whose index is `data`."""
        case = self._case(data)
        return self.random_patches.draw(self.R, self.grid(data), case.classes, case.trace.target)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> VirtualDataset:
        """Fix what is drawn from now on, here and by `then`, if that is random."""
        super().set_random_state(seed, state)
        worker = get_worker_info()
        self._seed_of_worker = None if worker is None else worker.seed
        if isinstance(self.then, Randomizable):
            self.then.set_random_state(seed, state)
        return self

    def _seed_as_worker(self) -> None:
        """In a worker of torch's own `DataLoader`, whose seeds nobody has handed on: MONAI's does."""
        worker = get_worker_info()
        if worker is not None and worker.seed != self._seed_of_worker:
            self.set_random_state(worker.seed % 2**32)

    def _case(self, case_index: int) -> ScannedCase:
        return self._cases[index(case_index)]

    def _trace(self, case_index: int, spacing: Sequence[float] | None) -> Trace:
        trace = self._case(case_index).trace
        target = self.spacing if spacing is None else checked_target(spacing)
        return trace if target is None else with_target(trace, target)

    def _volume(self, case_index: int, role: Role, trace: Trace, place: PatchGrid) -> torch.Tensor:
        native = self._natives.volume(self._places[case_index][role])
        part = forward_part(trace, native, role, place.wanted)
        if not place.is_padded:
            return part
        padded = part.new_zeros((len(part), *place.grid.shape))
        padded[(slice(None), *(axis.place for axis in place.axes))] = part
        return padded

    def _warn_of_classes(self) -> None:
        """Say once which cases lack what `ratios` asks for."""
        ratios = self.random_patches.ratios
        without = [case.name for case in self._cases if case.classes is None]
        if ratios and without:
            msg = (
                f"{without[0]}: its record does not tell where the classes are, so `ratios` cannot be heeded: those of "
                "cases with a label do since version 0.9.0; run --redo, or leave `ratios` out"
            )
            raise ResamplingError(msg)
        missing = {case.name: missing_classes(case.classes, ratios) for case in self._cases if case.classes is not None}
        n_wanted = sum(ratio > 0 for ratio in ratios or ())
        nowhere = [name for name, classes in missing.items() if len(classes) == n_wanted > 0]
        lacking = {name: classes for name, classes in missing.items() if classes and name not in nowhere}
        warn([*_lacking(lacking, len(missing)), *map(_anywhere, nowhere)], 3)


def _size(patch: Sequence[int]) -> Shape:
    try:
        z, y, x = map(index, patch)
    except (TypeError, ValueError) as error:
        msg = f"patch must be three whole numbers, z y x, not {patch!r}"
        raise ResamplingError(msg) from error
    return z, y, x


def _lacking(missing: Mapping[str, list[int]], n_cases: int) -> list[str]:
    if not missing:
        return []
    told = ", ".join(map(str, sorted({value for values in missing.values() for value in values})))
    first = next(iter(missing))
    return [f"{len(missing)} of {n_cases} cases, {first} first, lack a class of {told}: their other classes share"]


def _anywhere(name: str) -> str:
    return f"{name}: no voxel of a class that has a ratio; its patches lie anywhere"
