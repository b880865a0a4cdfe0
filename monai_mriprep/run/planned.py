"""`plan` looks at a dataset once, for all the machines that then work on it: its cases are written down, and read back.

Nothing here loads torch or MONAI, and whoever reads the list opens nothing of the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from monai_mriprep.dataset.exclusions import read_exclusions
from monai_mriprep.errors import OutputError, RecordError, counted
from monai_mriprep.formats.names import address_in
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.recipe import Recipe, given_or_default
from monai_mriprep.recipe.differences import changed_keys
from monai_mriprep.recipe.fingerprint import ALGORITHM_VERSION
from monai_mriprep.run.case_list import ListHead, read_cases, write_cases
from monai_mriprep.run.cases import Case, Job
from monai_mriprep.run.estimates import case_seconds, check_space, output_bytes
from monai_mriprep.run.kept import Wanted, kept_in
from monai_mriprep.run.opening import describe
from monai_mriprep.run.outlook import departed, look_ahead
from monai_mriprep.run.plan import RunPlan, plan_run
from monai_mriprep.run.shards import wanted_shard
from monai_mriprep.store.attempts import attempts_in
from monai_mriprep.store.description import RunDescription, read_description, write_description
from monai_mriprep.store.layout import CASES, STATISTICS
from monai_mriprep.store.lock import exclusive
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.store.store import Store, make_store, open_store
from monai_mriprep.store.takeover import refuse_shards
from monai_mriprep.types import ROLES, TEST_ROLES, Spacing

__all__ = ["PlanSummary", "plan_cases", "plan_part", "planned"]

AGAIN = "give the options that `plan` was given, or plan it again"


@dataclass(frozen=True)
class PlanSummary:
    """What `plan` has written.

    Parameters
    ----------
    output_root
        Where the list is: a folder, or an address.
    target_spacing, derivation
        Mm, z y x, and where it comes from.
    cases
        How many there are.
    finished
        How many of them are done already, and stay as they are.
    retired
        Names of the cases whose files the first shard moves to ``retired/``.
    seconds
        Estimated time of one core for all that is to be done.
    longest_seconds
        That of the longest case.
    memory_bytes, output_bytes
        Estimated memory of the largest case, and disk of all that is to be done.
    is_upper_bound
        Whether the estimates say what it can be at most.
    sha256
        Of the list, as ``run.json`` has it.
    warnings
        What needs review.
    orphans
        How many files of the dataset were skipped, for they have no partner.
    excluded
        Names of the cases of the dataset that a list leaves out.
    """

    output_root: Path | str
    target_spacing: Spacing
    derivation: str
    cases: int
    finished: int
    retired: tuple[str, ...]
    seconds: float
    longest_seconds: float
    memory_bytes: int
    output_bytes: int
    is_upper_bound: bool
    sha256: str
    warnings: tuple[str, ...]
    orphans: int
    excluded: tuple[str, ...]


def plan_cases(plan: RunPlan, retire: bool = False, elsewhere: Mapping[str, Origin] | None = None) -> PlanSummary:
    """Write the list of cases, and what an output folder keeps of a run; nothing else in it is changed.

    Parameters
    ----------
    plan
        From `monai_mriprep.run.plan.plan_run`; one with `redo` begins a new round of all cases.
    retire
        Cases may leave the dataset, however many: shards need not be told again.
    elsewhere
        As of `monai_mriprep.store.store.Store`.

    Raises
    ------
    LockedError
        If a run or a shard is alive in the folder, or may be on another machine.
    DiskFullError
        If the cases to do cannot fit on the disk.
    OutputError
        If the folder cannot be made or written to, keeps another recipe or target, holds records of shards that are
        not merged, or if cases would leave and `retire` does not confirm it.
    """
    make_store(plan.job.output_root)
    with open_store(plan.job.output_root, elsewhere=elsewhere) as store:
        aside = store.prepare(())
        with exclusive(store.root):
            try:
                summary = _plan(plan, store, retire)
            finally:
                store.leave()
    return replace(summary, warnings=(*aside, *summary.warnings))


def _plan(plan: RunPlan, store: Store, retire: bool) -> PlanSummary:
    """The lock is held."""
    refuse_shards(store)
    if unmerged := attempts_in(store.root):
        what = f"{store.root.path}: holds {counted(len(unmerged), 'file')} of records of shards that are not merged"
        msg = f"{what}; when all shards have ended, `merge {store.root.path}`, then plan again"
        raise OutputError(msg)
    index = read_index(store.root)
    kept = kept_in(store, index)
    outlook = look_ahead(plan, store, index, kept, retire)
    lack = () if store.is_stage else check_space(outlook.todo, store.root.path)
    if outlook.target.is_new and plan.computed_statistics is not None:
        store.replace(STATISTICS, [plan.computed_statistics.as_csv().encode()])
    frozen = write_cases(store, plan, retire)
    description = describe(outlook.plan, outlook.target, kept)
    write_description(store, description.model_copy(update={"plan": frozen}))
    leaving = departed(outlook.departures, store.root.path, "the first shard moves the files from before to {}")
    return PlanSummary(
        store.root.path,
        plan.job.target,
        plan.derivation,
        len(plan.cases),
        len(plan.cases) - len(outlook.todo),
        outlook.departures.names,
        *_costs(outlook.todo),
        frozen.sha256,
        (*outlook.warnings, *leaving, *lack),
        plan.orphans,
        plan.excluded,
    )


def _costs(todo: Iterable[Case]) -> tuple[float, float, int, int, bool]:
    cases = tuple(todo)
    seconds = [case_seconds(case) for case in cases]
    return (
        sum(seconds),
        max(seconds, default=0.0),
        max((case.memory_bytes for case in cases), default=0),
        sum(output_bytes(case.output_voxels) for case in cases),
        any(case.is_upper_bound for case in cases),
    )


def planned(
    dataset_root: str | Path,
    output_root: str | Path,
    recipe: Recipe | None = None,
    like: str | Path | None = None,
    report: bool = True,
    exclude: str | Path | None = None,
) -> tuple[RunPlan, bool] | None:
    """What `plan` has decided for an output folder; nothing of the dataset is opened.

    Parameters
    ----------
    dataset_root, output_root, recipe, like, report, exclude
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
        roles = TEST_ROLES if description.like is not None else ROLES
        head, cases = read_cases(store, description.plan, roles)
    own = _recipe_of(output, description)
    if differences := [
        *_other_recipe(own, recipe, like is not None),
        *_other_places(description, head, dataset_root, like, exclude),
    ]:
        msg = f"{output / CASES}: was planned otherwise: {'; '.join(differences)}; {AGAIN}"
        raise OutputError(msg)
    job = Job(own, description.target_spacing, output, declared_labels=head.declared_labels, report=report)
    plan = RunPlan(
        Path(head.dataset_root),
        job,
        cases,
        description.derivation,
        Wanted(job, description.statistics, description.derivation, description.like),
        warnings=head.warnings,
        orphans=head.orphans,
        roles=roles,
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
    headers: Callable[[], Path] | None = None,
) -> tuple[RunPlan, bool]:
    """The plan of a run or of a part of it; a part goes by what `plan` has decided, if it has.

    Parameters
    ----------
    dataset_root, output_root, recipe, redo, like, report, exclude
        As of `monai_mriprep.run.plan.plan_run`.
    shard
        Which part, as `monai_mriprep.run.shards.read_shard` takes it; None is the whole.
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
    found = None if part is None else planned(dataset_root, output_root, recipe, like, report, exclude)
    if found is None:
        root = dataset_root if headers is None else headers()
        found = plan_run(root, output_root, recipe, redo, like, report, exclude), False
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
) -> Iterable[str]:
    root = address_in(dataset_root) or str(Path(dataset_root).resolve())
    training = None if like is None else str(Path(like).resolve())
    if root != head.dataset_root:
        yield f"the dataset {head.dataset_root} -> {root}"
    if training != description.like:
        yield f"--like {description.like} -> {training}"
    if read_exclusions(exclude).by_name.keys() != head.exclusion_list.by_name.keys():
        yield f"--exclude names other cases than for `plan` ({len(head.exclusions)} then)"
