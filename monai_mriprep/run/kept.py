"""An output folder keeps its recipe and its target spacing while finished cases stand, until --redo.

So there are never two spacings in one folder, and no target changes because a scan was added.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace

from monai_mriprep.errors import OutputError, RecordError, counted
from monai_mriprep.formats.sealed import NewerVersionError
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.differences import changed_keys
from monai_mriprep.recipe.fingerprint import ALGORITHM_VERSION
from monai_mriprep.run.cases import Job
from monai_mriprep.run.virtual import refuse_volumes
from monai_mriprep.store.description import Redo, RunDescription, StatisticsSource, read_description
from monai_mriprep.store.journal import pending_records
from monai_mriprep.store.layout import RUN
from monai_mriprep.store.manifest import Index, Made, read_index
from monai_mriprep.store.outdated import outdated_in
from monai_mriprep.store.store import AGAIN, Store, named_errors, open_store
from monai_mriprep.types import Spacing

__all__ = ["Kept", "TargetDecision", "Wanted", "decide_target", "decide_target_unlocked", "kept_in"]


@dataclass(frozen=True)
class Wanted:
    """What a run would do by its recipe and dataset alone.

    Parameters
    ----------
    job
        Recipe, target and output folder.
    statistics
        Where the target comes from.
    derivation
        The same in words.
    like
        Of a test set: the output folder of its training set.
    """

    job: Job
    statistics: StatisticsSource
    derivation: str
    like: str | None = None


@dataclass(frozen=True)
class Kept:
    """What an output folder holds.

    Parameters
    ----------
    description
        Its recipe and target; None where they are not known.
    problem
        Why not.
    finished
        How many finished cases stand, by what they were made.
    """

    description: RunDescription | None = None
    problem: str = f"{RUN} is missing"
    finished: Counter[Made] = field(default_factory=Counter)

    @property
    def is_bound(self) -> bool:
        """Whether recipe and target stand: by finished cases, or because parts of a run have agreed on them."""
        return bool(self.finished) or (self.description is not None and self.description.is_shared)

    @property
    def redo(self) -> Redo:
        """How often the folder was started anew; the records tell, too."""
        highest = max((made.redo for made in self.finished), default=0)
        described = Redo() if self.description is None else self.description.redo
        complete = described.complete and all(made.redo == highest for made in self.finished)
        return described if described.number >= highest else Redo(number=highest, complete=complete)


@dataclass(frozen=True)
class TargetDecision:
    """What a run does, given what its output folder holds.

    Parameters
    ----------
    target, derivation
        The spacing in mm, z y x, and where it comes from.
    redo
        How often the folder was started anew, with this run.
    is_new
        Whether ``run.json`` is to be written.
    warnings
        What needs review.
    """

    target: Spacing
    derivation: str
    redo: Redo
    is_new: bool
    warnings: tuple[str, ...] = ()


def decide_target_unlocked(wanted: Wanted, redo: bool = False) -> TargetDecision:
    """Decide before the folder is locked, or made; nothing is changed.

    Raises
    ------
    OutputError
        As `decide_target`.
    """
    output = wanted.job.output_root
    if redo or not os.path.isdir(output):  # noqa: PTH112, Path raises below a closed one
        return decide_target(Kept(), wanted, redo)
    with open_store(output) as store:
        kept = _described(store)
        refuse_volumes(wanted.job, store)
        if kept.description is not None and _is_same(kept, wanted):
            return decide_target(kept, wanted)  # the records need not be read
        return decide_target(kept_in(store, read_index(store.root)), wanted)


def kept_in(store: Store, index: Index) -> Kept:
    """What an output folder holds, what its journals hold included.

    Raises
    ------
    NewerVersionError
        If a newer version has written it.
    OutputError
        If its journals cannot be read.
    """
    with named_errors(store.root.path, "what its journals hold cannot be read", AGAIN):
        journals = pending_records(store, outdated_in(store, index))
        pending = {record.case: Made(record.fingerprint, record.redo, not record.outputs) for record in journals}
    return replace(_described(store), finished=index.finished(pending.keys()) + Counter(pending.values()))


def _described(store: Store) -> Kept:
    try:
        return Kept(read_description(store))
    except NewerVersionError:
        raise
    except RecordError as error:
        return Kept(problem=str(error).removeprefix(f"{store.root.path}/"))


def decide_target(kept: Kept, wanted: Wanted, redo: bool = False) -> TargetDecision:
    """Decide which target a run works to, and whether it may.

    Parameters
    ----------
    kept
        What the folder holds. With no finished case, and no parts of a run, it takes any recipe and target.
    wanted
        What the run would do without it.
    redo
        Do all cases again. A redo that is not complete, of the same recipe and target, is gone on with.

    Raises
    ------
    OutputError
        If the finished cases were made by another recipe, target or version.
    """
    _refuse_other_set(kept, wanted)
    before, same = kept.description, _is_same(kept, wanted)
    as_wanted = TargetDecision(wanted.job.target, wanted.derivation, kept.redo, is_new=before is None or not same)
    if redo and kept.finished and not (before is not None and same and not kept.redo.complete):
        return replace(as_wanted, redo=Redo(number=kept.redo.number + 1, complete=False), is_new=True)
    if same and before is None and kept.finished:
        warning = f"{wanted.job.output_root}: {kept.problem}; it is written again, for its finished cases fit this run"
        return replace(as_wanted, warnings=(warning,))
    if same or redo or not kept.is_bound:
        return as_wanted
    if before is None or not _differs_by_headers_alone(before, wanted):
        raise OutputError(_refusal(kept, wanted))
    return TargetDecision(before.target_spacing, before.derivation, kept.redo, False, (_stays(kept, before, wanted),))


def _refuse_other_set(kept: Kept, wanted: Wanted) -> None:
    """Refuse to put a training set and a test set into one folder."""
    if kept.description is None or (kept.description.like is None) == (wanted.like is None):
        return
    has, gets = ("a training", "a test") if kept.description.like is None else ("a test", "a training")
    msg = f"{wanted.job.output_root}: is the output folder of {has} set; choose another one for {gets} set"
    raise OutputError(msg)


def _is_same(kept: Kept, wanted: Wanted) -> bool:
    """Whether recipe, target, version and kind are the folder's; where it does not say them, those of all its cases."""
    made = {(made.fingerprint, made.virtual) for made in kept.finished}
    if kept.description is not None:
        made = {(kept.description.fingerprint, kept.description.virtual)}
    return made <= {(wanted.job.fingerprint, wanted.job.virtual)}


def _differs_by_headers_alone(before: RunDescription, wanted: Wanted) -> bool:
    """Whether the only difference is that the same statistics of a grown or shrunk dataset have other values."""
    rule = before.recipe.get("target_rule", Recipe().target_rule)
    at_its_target = replace(wanted.job, target=before.target_spacing)
    return (
        before.statistics == wanted.statistics == "computed"
        and before.virtual == wanted.job.virtual
        and rule == wanted.job.recipe.target_rule
        and at_its_target.fingerprint == before.fingerprint
    )


def _stays(kept: Kept, before: RunDescription, wanted: Wanted) -> str:
    return (
        f"{wanted.job.output_root}: the target spacing stays {_shown(before.target_spacing)}, with which "
        f"{_finished(kept)}; the headers of this dataset would give {_shown(wanted.job.target)}: --redo takes "
        "it and does all cases again"
    )


def _refusal(kept: Kept, wanted: Wanted) -> str:
    place = wanted.job.output_root
    is_shared = kept.description is not None and kept.description.is_shared
    again = "`plan --redo`, when all shards are merged," if is_shared else "--redo"
    remedy = f"Nothing was changed; {again} does all cases again, and another output folder starts anew"
    if kept.description is None:
        what = "another recipe, target spacing or version than this run, or are those of a virtual one"
        facts = f"{kept.problem}, and the records have {what}"
        return f"{place}: {_finished(kept)} there; {facts} ({wanted.derivation}). {remedy}"
    changes = "; ".join(_changes(kept.description, wanted))
    return f"{place}: {_finished(kept)} there, and a folder keeps its recipe and target; changed: {changes}. {remedy}"


def _finished(kept: Kept) -> str:
    n = kept.finished.total()
    return f"{counted(n, 'case')} {'is' if n == 1 else 'are'} finished"


def _changes(before: RunDescription, wanted: Wanted) -> list[str]:
    """What is not as it was: each value before and after."""
    changes = [*changed_keys(before.recipe, wanted.job.recipe.as_dict())]
    if before.target_spacing != wanted.job.target:
        targets = f"{_shown(before.target_spacing)} -> {_shown(wanted.job.target)}"
        changes.append(f"target spacing: {targets} (z y x; {_from(before.statistics)} -> {_from(wanted.statistics)})")
    if before.virtual != wanted.job.virtual:
        changes.append(f"--virtual: {'given -> left out' if before.virtual else 'left out -> given'}")
    if before.algorithm_version != ALGORITHM_VERSION:
        changes.append(f"version of the algorithm: {before.algorithm_version} -> {ALGORITHM_VERSION}")
    return changes or [f"fingerprint: {before.fingerprint} -> {wanted.job.fingerprint}"]


def _shown(spacing: Spacing) -> str:
    return f"({', '.join(f'{value:.7g}' for value in spacing)}) mm"


def _from(statistics: StatisticsSource) -> str:
    return _FROM[statistics]


_FROM: dict[StatisticsSource, str] = {
    "recipe": "set by the recipe",
    "table": "from a table",
    "computed": "computed from headers",
    "training": "from the training set",
    "plans": "from nnU-Net's plans",
}
