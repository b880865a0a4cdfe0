"""From a recipe to the transforms that carry it out: the same object offline and in training."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from monai.transforms.compose import Compose

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.exclusions import read_exclusions
from monai_mriprep.dataset.survey import survey_dataset
from monai_mriprep.dataset.target_rules import TargetDerivation
from monai_mriprep.dataset.training import training_of
from monai_mriprep.errors import MriprepWarning, RecipeError, package_logger, warn
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.steps import steps_of
from monai_mriprep.transforms import ApplyStepsd, LoadNpzd, LoadVolumed, MatchGeometryd
from monai_mriprep.transforms.spacing import checked_target
from monai_mriprep.types import IMAGE, LABEL, ROLES, Role, Spacing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from monai.transforms.transform import Transform

    from monai_mriprep.steps.trace import Around

__all__ = ["OpenedDataset", "Source", "Stage", "build_transforms", "open_dataset", "preprocessing"]

LOGGER = package_logger()

Stage = Literal["training", "inference"]
Source = Literal["volumes", "npz"]

STAGES: dict[Stage, tuple[Role, ...]] = {"training": ROLES, "inference": (IMAGE,)}


Item = dict[str, str | list[str]]
"""Of a case, by key: the path of a file, or of several channels a list of them."""


class OpenedDataset(NamedTuple):
    """A folder, ready for a MONAI dataset.

    Parameters
    ----------
    items
        ``{"image": path, "label": path}`` of each case, in natural order; of several channels a list of paths.
    transforms
        What makes ``(1, D, H, W)`` MetaTensors of an item; see `build_transforms`.
    derivation
        The target spacing (z y x, mm), how it came about, and what needs review in the dataset as a whole.
    """

    items: list[Item]
    transforms: Compose
    derivation: TargetDerivation


def open_dataset(
    root: str | Path,
    recipe: Recipe | None = None,
    stage: Stage = "training",
    then: Sequence[Callable[[Any], Any]] = (),
    like: str | Path | None = None,
    exclude: str | Path | None = None,
) -> OpenedDataset:
    """From a folder and a recipe to what a training loop takes: all that a run does before its first case.

    Files are paired, headers read, the table of spacings compared with the scans (its axis order, too), the target
    spacing derived. Every key of the recipe means what it means to a run, and the transforms give the same bits as
    the run's files.

    Parameters
    ----------
    root
        A dataset: ``ImagesTr``, ``LabelsTr`` and, if there is one, ``mri_statistics.csv``; or another layout of
        ``docs/datasets.md``.
    recipe
        The default one if it is not given; `load_recipe` reads one from YAML.
    stage
        ``training`` reads image and label; ``inference`` reads the image alone, and leaves the label's path as it is.
    then
        Your own transforms, to follow in the same `Compose`; see `build_transforms`.
    like
        The output folder of a training set: `root` holds the images of its test set, which get its recipe and target.
    exclude
        A list of cases that are left out; see `monai_mriprep.dataset.exclusions.read_exclusions`.

    Returns
    -------
    OpenedDataset
        ``(items, transforms, derivation)``. A case that cannot be preprocessed is among the items, and raises when it
        is read: MONAI's `Compose` raises a RuntimeError, whose cause is the error that a run records for the case.

    Raises
    ------
    DatasetError, PairingError, StatisticsError
        Where a run would not start: no pairs, two files that claim one partner, a table that is malformed or
        contradicts the scans, a list of excluded cases that cannot be read.
    RecipeError
        If the recipe is not a `Recipe`, or the stage is not known.

    Warns
    -----
    MriprepWarning
        For what needs review, such as an image without a label. All of it is logged, too.

    Examples
    --------
    >>> items, transforms, derivation = open_dataset("DATASET_ROOT")  # doctest: +SKIP
    >>> data = monai.data.CacheDataset(items, transforms)  # doctest: +SKIP
    """
    training, exclusions = training_of(like, recipe), read_exclusions(exclude)
    survey = survey_dataset(Path(root), given_or_default(recipe), training=training, exclusions=exclusions)
    choice = survey.choice
    stage = stage if training is None else "inference"
    transforms = build_transforms(survey.recipe, choice.spacing, stage, then=then)
    LOGGER.info("%s", choice.text)
    unreadable = (f"{problem}; this case raises when it is read" for problem in survey.unreadable)
    found = (*survey.warnings, *unreadable)
    warn(found, 2)
    return OpenedDataset(
        [_item(survey.layout.by_role, case) for case in survey.grouping.cases],
        transforms,
        TargetDerivation(choice.spacing, choice.text, found),
    )


def _item(folders: Mapping[Role, Path], case: CaseFiles) -> Item:
    """The paths of a case by the name of their role, of several channels a list of them."""
    paths = {role.name: [str(folder / name) for name in case.of(role)] for role, folder in folders.items()}
    return {role: of_role[0] if len(of_role) == 1 else of_role for role, of_role in paths.items()}


def build_transforms(
    recipe: Recipe | None = None,
    target: Sequence[float] | None = None,
    stage: Stage = "training",
    source: Source = "volumes",
    then: Sequence[Callable[[Any], Any]] = (),
) -> Compose:
    """What a recipe does to a case, as one `Compose`; `open_dataset` makes it for a folder, with all that goes before.

    It takes ``{"image": path, "label": path}`` (``stage="inference"``: the image alone) and returns MetaTensors of
    shape ``(1, D, H, W)``: a float32 image and an int8 or int16 label. It is deterministic, so its results may be
    cached. Both sources give the same bits.

    Parameters
    ----------
    recipe
        The default one if it is not given. Its keys that pair files or choose the target (``pattern``, ``statistics``
        and those that go with it) need the dataset's folder: `open_dataset` heeds them.
    target
        Spacing in mm, z y x, in place of all that the recipe says of it; by default its ``target_spacing``. Where the
        recipe has an ``orientation``, of the axes as it turns them.
    stage
        ``training`` for image and label, ``inference`` for the image alone.
    source
        ``volumes`` preprocesses files such as ``.mha`` on the fly; ``npz`` reads what a run has written, to which the
        run's recipe has been applied already.
    then
        Your own transforms, such as random crops, to follow in the same `Compose`. Do not put this one into another
        without ``.flatten()``: MONAI takes a nested `Compose` for a random transform, so `CacheDataset` and
        `PersistentDataset` would keep paths, and preprocess anew in every epoch.

    Raises
    ------
    RecipeError
        If the recipe is not a `Recipe`, volumes are to be resampled and there is no target, or a name is not known.

    Warns
    -----
    MriprepWarning
        If the recipe has a ``pattern`` and no `target` is given: nothing is paired here.
    """
    recipe = given_or_default(recipe)
    roles = STAGES.get(stage)
    if roles is None or source not in ("volumes", "npz"):
        msg = f"stage must be training or inference, and source volumes or npz, not {stage!r} and {source!r}"
        raise RecipeError(msg)
    if source == "npz":
        return Compose([LoadNpzd([role.name for role in roles]), *then])
    target = _own_target(recipe, stage) if target is None else target
    readers, steps = preprocessing(recipe, checked_target(target), roles)
    return Compose([*readers, steps, *then])


def _own_target(recipe: Recipe, stage: Stage) -> Sequence[float]:
    """The recipe's target; a key that would be ignored is named."""
    if recipe.target_spacing is None:
        keys = ", ".join(recipe.dataset_keys())
        needing = f"the recipe's {keys} can be heeded only with the dataset's folder" if keys else "the recipe has none"
        msg = (
            f"no target spacing: {needing}. Use open_dataset(root, recipe), which derives it as a run does, or pass "
            "target=(z, y, x) in mm"
        )
        raise RecipeError(msg)
    if recipe.pattern is not None and stage == "training":
        message = (
            "the recipe's pattern is not heeded here, because the items come in pairs: use open_dataset(root, recipe), "
            "or pair_by_stem with the pattern and build_transforms with a target"
        )
        warnings.warn(message, MriprepWarning, 3)
    return recipe.target_spacing


def preprocessing(
    recipe: Recipe, target: Spacing, roles: Sequence[Role] = ROLES, around: Around = nullcontext
) -> tuple[list[Transform], ApplyStepsd]:
    """The parts of `build_transforms`, for a caller that works between them.

    Parameters
    ----------
    recipe, target
        As in `monai_mriprep.steps.steps_of`.
    roles
        The volumes of a case, by the names of their roles.
    around
        A context for each step: see `monai_mriprep.steps.forward`.

    Returns
    -------
    tuple
        What reads the volumes and sees to it that they lie on one grid, in order; and what walks the recipe's list of
        steps.
    """
    match = [MatchGeometryd(geometry=recipe.geometry)] if LABEL in roles else []
    steps = ApplyStepsd({role.name: role for role in roles}, steps_of(recipe, target), around=around)
    load = LoadVolumed(
        [role.name for role in roles],
        labels=[role.name for role in roles if role.kind == LABEL.kind],
        channels=recipe.channel_count,
        geometry=recipe.geometry,
    )
    return [load, *match], steps
