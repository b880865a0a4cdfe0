"""What is to be made again from a lock, decided before a voxel is read, and what came of it. Nothing needs torch."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from monai_mriprep.dataset.reading_ahead import read_each
from monai_mriprep.errors import DatasetError, RecipeError, RecordError
from monai_mriprep.formats.names import refuse_address
from monai_mriprep.formats.read import outline_or_problem
from monai_mriprep.machine import processor_type
from monai_mriprep.proof.lock_file import LockFile, chosen_names, read_lock
from monai_mriprep.proof.locked import LockHead, Made
from monai_mriprep.proof.sources import Difference
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.differences import changed_keys
from monai_mriprep.recipe.fingerprint import ALGORITHM_VERSION
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.run.estimates import Estimate, estimated
from monai_mriprep.run.opening import package_versions
from monai_mriprep.steps import Step, steps_of
from monai_mriprep.store.description import read_description
from monai_mriprep.store.store import open_store
from monai_mriprep.types import IMAGE, LABEL, ROLES

__all__ = ["CaseDiffers", "ClaimedCase", "Order", "ReproduceReport", "order_of"]


@dataclass(frozen=True, slots=True)
class ClaimedCase(Case):
    """A case that is to be made again, with the line of the lock that tells what must come out."""

    line: str = ""


@dataclass(frozen=True)
class Order:
    """What is to be made again, and how it is compared.

    Parameters
    ----------
    lock, dataset
        From what, and where the sources are.
    job
        Recipe and target of the lock; where to is decided for each case.
    cases
        The largest first.
    unlike
        In what packages and processor are not those of the lock, in words. If there is nothing, arrays must be equal to
        the bit.
    against
        The output folder that was locked, if its arrays are to be compared whole.
    differences
        What tells that folder apart from the lock as a whole.
    """

    lock: LockFile
    dataset: Path
    job: Job
    cases: tuple[ClaimedCase, ...]
    unlike: tuple[str, ...]
    against: Path | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class CaseDiffers:
    """A case that is not as locked, and in what."""

    case: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class ReproduceReport:
    """What came of making cases again.

    Parameters
    ----------
    lock, dataset
        From what, and where the sources are.
    sha256
        The hash that the lock ends with.
    cases
        How many the lock has.
    unlike
        In what packages and processor are not those of the lock.
    to_the_bit
        Whether equal bits were required: there is nothing unlike.
    exact
        Names of the cases of which every bit is the same.
    close
        Names of those that have the same labels, and images within `monai_mriprep.proof.arrays.TOLERANCE`.
    deviation
        The largest known difference of these, as a share of the image's range.
    differ
        Those that are not as locked.
    differences
        In what the folder of ``--against`` is not that of the lock.
    virtual
        Whether the folder had no volumes, so that only records were compared.
    unfinished
        How many cases of that folder were not finished, and are not in the lock.
    """

    lock: Path
    dataset: Path
    sha256: str
    cases: int
    unlike: tuple[str, ...]
    to_the_bit: bool
    exact: tuple[str, ...]
    close: tuple[str, ...]
    deviation: float
    differ: tuple[CaseDiffers, ...]
    differences: tuple[Difference, ...]
    virtual: bool = False
    unfinished: int = 0

    @property
    def is_proven(self) -> bool:
        """Whether all that was made again is as locked."""
        return not (self.differ or self.differences)


def order_of(
    lock_file: str | Path,
    dataset: str | Path,
    cases: Sequence[str] | None = None,
    sample: int | None = None,
    seed: int = 0,
    against: str | Path | None = None,
) -> Order:
    """Read a lock, and decide what is to be made again.

    Parameters
    ----------
    lock_file
        From `monai_mriprep.proof.lock.lock_output`.
    dataset
        The folder that the sources are named from, wherever it lies.
    cases
        Names of those to make again; by default all.
    sample, seed
        Take so many of them by chance; another seed takes others.
    against
        The output folder that was locked.

    Raises
    ------
    RecordError
        If the lock was changed or cannot be read, is of another version of the algorithm, or has no such case.
    DatasetError
        If the dataset is no folder.
    OutputError
        If `against` is no output folder.
    """
    dataset = Path(dataset)
    refuse_address(dataset, DatasetError)
    if not dataset.is_dir():
        msg = f"{dataset}: there is no such folder; give the dataset whose sources the lock names"
        raise DatasetError(msg)
    lock = read_lock(lock_file)
    recipe = _recipe(lock)
    names = chosen_names(lock, lock.head.cases if cases is None else cases)
    if sample is not None:
        names = tuple(random.Random(seed).sample(names, min(sample, len(names))))
    steps = steps_of(recipe, lock.head.target_spacing)
    claimed = read_each(partial(_claimed, lock, dataset.absolute(), recipe, steps), names)
    return Order(
        lock,
        dataset.absolute(),
        Job(recipe, lock.head.target_spacing, Path(), report=False),
        tuple(sorted(claimed, key=lambda case: -case.memory_bytes)),
        tuple(dict.fromkeys(_unlike(lock.head))),
        None if against is None else Path(against),
        () if against is None else tuple(_of_folder(lock.head, Path(against))),
    )


def _recipe(lock: LockFile) -> Recipe:
    """The recipe of a lock, which must be that of its fingerprint."""
    head, place = lock.head, f"{lock.path}, line 1"
    if head.algorithm_version != ALGORITHM_VERSION:
        of = " or ".join(sorted({made.versions.get("monai-mriprep", "another version") for made in head.made}))
        what = f"version {head.algorithm_version} of the algorithm, and this is {ALGORITHM_VERSION}"
        msg = f"{place}: its cases were made by {what}; install monai-mriprep {of}"
        raise RecordError(msg)
    try:
        recipe = Recipe(**head.recipe)
    except RecipeError as error:
        msg = f"{place}: its recipe cannot be carried out here: {error}"
        raise RecordError(msg) from error
    fingerprint = Job(recipe, head.target_spacing, Path()).fingerprint
    if fingerprint != head.fingerprint:
        what = f"they give the fingerprint {fingerprint}, and it says {head.fingerprint}"
        msg = f"{place}: recipe or target spacing were changed: {what}"
        raise RecordError(msg)
    return recipe


def _unlike(head: LockHead) -> Iterator[str]:
    """What tells the packages and the processor here apart from those of the lock."""
    here = Made(versions=package_versions(), processor=processor_type())
    for made in head.made:
        for name in dict.fromkeys((*made.versions, *here.versions)):
            before, now = (one.versions.get(name, "unknown") for one in (made, here))
            if before != now:
                yield f"{name} {before} in the lock, {now} here"
        if made.processor != here.processor:
            yield f"processor {made.processor or 'unknown'} in the lock, {here.processor} here"
    if not head.made:
        yield "packages and processor unknown in the lock"


def _claimed(lock: LockFile, dataset: Path, recipe: Recipe, steps: Sequence[Step], name: str) -> ClaimedCase:
    """A case, with its costs where its headers can be read."""
    locked = lock.case(name)
    roles = [role.name for role in ROLES if role.name in locked.sources]
    sources = {role: tuple(dataset / source.path for source in locked.sources[role]) for role in roles}
    outputs = {role: locked.outputs[role].path for role in roles if role in locked.outputs}
    images = sources[IMAGE.name]
    in_each = recipe.channel_count if len(images) == 1 else 1
    label = next(iter(sources.get(LABEL.name, ())), None)
    found = estimated(
        steps,
        [outline_or_problem(path, in_each) for path in images],
        None if label is None else outline_or_problem(label),
        geometry=recipe.geometry,
    )
    case = ClaimedCase(name, sources, outputs, line=lock.lines[name])
    if not isinstance(found, Estimate):  # it will fail, and say so
        return case
    return replace(
        case,
        memory_bytes=found.memory_bytes,
        output_voxels=found.voxels,
        is_upper_bound=found.is_upper_bound,
    )


def _of_folder(head: LockHead, root: Path) -> Iterable[Difference]:
    """What tells an output folder apart from a lock as a whole, by its ``run.json``."""
    with open_store(root) as store:
        found = read_description(store)
    if found is None:
        return
    yield from (Difference("recipe", str(root), key) for key in changed_keys(head.recipe, found.recipe))
    if found.target_spacing != head.target_spacing:
        yield Difference("recipe", str(root), f"target spacing: {head.target_spacing} -> {found.target_spacing}")
    if found.algorithm_version != head.algorithm_version:
        versions = f"{head.algorithm_version} -> {found.algorithm_version}"
        yield Difference("version", str(root), f"version of the algorithm: {versions}")
