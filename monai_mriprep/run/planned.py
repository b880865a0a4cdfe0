"""What `plan` has written down is read back, by each of the machines that share the work.

Nothing here loads torch or MONAI, and whoever goes by the list opens nothing of the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from monai_mriprep.dataset.exclusions import read_exclusions
from monai_mriprep.errors import OutputError, RecordError
from monai_mriprep.formats.names import address_in
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.recipe.differences import changed_keys
from monai_mriprep.recipe.fingerprint import ALGORITHM_VERSION
from monai_mriprep.run.case_list import ListHead, read_cases
from monai_mriprep.run.cases import Job
from monai_mriprep.run.kept import Wanted
from monai_mriprep.run.plan import RunPlan, plan_run
from monai_mriprep.run.shards import wanted_shard
from monai_mriprep.store.description import RunDescription, read_description
from monai_mriprep.store.layout import CASES
from monai_mriprep.store.store import Store, open_store

__all__ = ["plan_part", "planned"]

AGAIN = "give the options that `plan` was given, or plan it again"


def planned(
    dataset_root: str | Path,
    output_root: str | Path,
    recipe: Recipe | None = None,
    like: str | Path | None = None,
    report: bool = True,
    exclude: str | Path | None = None,
    virtual: bool = False,
) -> tuple[RunPlan, bool] | None:
    """What `plan` has decided for an output folder; nothing of the dataset is opened.

    Parameters
    ----------
    dataset_root, output_root, recipe, like, report, exclude, virtual
        As of `monai_mriprep.run.plan.plan_run`; they must be those that were planned.

    Returns
    -------
    tuple of RunPlan and bool, or None
        The plan, and whether cases may leave however many; None where no list is there.

    Raises
    ------
    OutputError
        If the list was changed, or another run was planned.
    """
    output = Path(output_root)
    if not output.is_dir():
        return None
    with open_store(output) as store:
        description = _readable(store)
        if description is None or description.plan is None:
            return None
        head, cases = read_cases(store, description.plan, description)
    own = _recipe_of(output, description)
    if differences := [
        *_other_recipe(own, recipe, like is not None),
        *_other_places(description, head, dataset_root, like, exclude, virtual),
    ]:
        msg = f"{output / CASES}: was planned otherwise: {'; '.join(differences)}; {AGAIN}"
        raise OutputError(msg)
    labels = head.declared_labels
    job = Job(own, description.target_spacing, output, declared_labels=labels, report=report, virtual=virtual)
    plan = RunPlan(
        Path(head.dataset_root),
        job,
        cases,
        description.derivation,
        Wanted(job, description.statistics, description.derivation, description.like),
        warnings=head.warnings,
        orphans=head.orphans,
        roles=description.roles,
        exclusions=head.exclusion_list,
        excluded=head.excluded,
        address=address_in(head.dataset_root),
    )
    return plan, head.retire


def _readable(store: Store) -> RunDescription | None:
    """What ``run.json`` says; one that is damaged may have told of a list, so nobody goes on without it."""
    try:
        return read_description(store)
    except NewerVersionError:
        raise
    except RecordError as error:
        msg = f"{error}; `run` without --shard writes it again by its recipe, and `plan` the list"
        raise OutputError(msg) from error


def plan_part(
    dataset_root: str | Path,
    output_root: str | Path,
    recipe: Recipe | None = None,
    redo: bool = False,
    like: str | Path | None = None,
    report: bool = True,
    exclude: str | Path | None = None,
    shard: str | None = None,
    virtual: bool = False,
    headers: Callable[[], Path] | None = None,
) -> tuple[RunPlan, bool]:
    """The plan of a run or of a part of it; a part goes by what `plan` has decided, if it has.

    Parameters
    ----------
    dataset_root, output_root, recipe, redo, like, report, exclude
        As of `monai_mriprep.run.plan.plan_run`.
    shard
        Which part, as `monai_mriprep.run.shards.read_shard` takes it; None is the whole.
    virtual
        As of `monai_mriprep.run.plan.plan_run`.
    headers
        Where the dataset is an address: makes a folder of its headers to plan with, where nothing was planned for the
        part.

    Returns
    -------
    tuple of RunPlan and bool
        The plan, and whether it was planned that cases may leave however many.

    Raises
    ------
    RecipeError
        If there is no such part, or if a part is to do all cases again.
    MriprepError
        As `plan_run`, or as `planned`.
    """
    part = wanted_shard(shard, redo)
    found = None if part is None else planned(dataset_root, output_root, recipe, like, report, exclude, virtual)
    if found is None:
        root = dataset_root if headers is None else headers()
        found = plan_run(root, output_root, recipe, redo, like, report, exclude, virtual), False
    plan, retire = found
    return replace(plan, shard=part), retire


def _recipe_of(output: Path, description: RunDescription) -> Recipe:
    recipe = Recipe(**description.recipe)
    job = Job(recipe, description.target_spacing, output)
    if job.fingerprint != description.fingerprint:
        version = f"version {description.algorithm_version} of the algorithm, and this is {ALGORITHM_VERSION}"
        msg = f"{output / CASES}: was planned by another version of monai-mriprep ({version}); plan it again"
        raise OutputError(msg)
    return recipe


def _other_recipe(own: Recipe, recipe: Recipe | None, is_test: bool) -> Iterable[str]:
    """What another recipe than the planned one says; the dataset may have named its channels."""
    if is_test:
        return
    given = given_or_default(recipe)
    given = given if given.channels is not None else given.model_copy(update={"channels": own.channels})
    before, now = own.as_dict(), given.as_dict()
    if before != now:
        yield from changed_keys(before, now) or sorted(key for key in now if before.get(key) != now[key])


def _other_places(
    description: RunDescription,
    head: ListHead,
    dataset_root: str | Path,
    like: str | Path | None,
    exclude: str | Path | None,
    virtual: bool,
) -> Iterable[str]:
    root = address_in(dataset_root) or str(Path(dataset_root).resolve())
    training = None if like is None else str(Path(like).resolve())
    if root != head.dataset_root:
        yield f"the dataset {head.dataset_root} -> {root}"
    if training != description.like:
        yield f"--like {description.like} -> {training}"
    if virtual != description.virtual:
        yield f"--virtual was {'' if description.virtual else 'not '}given"
    if read_exclusions(exclude).by_name.keys() != head.exclusion_list.by_name.keys():
        yield f"--exclude names other cases than for `plan` ({len(head.exclusions)} then)"
