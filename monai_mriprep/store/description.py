"""``run.json``: the recipe and the target spacing that an output folder keeps."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.sealed import CHANNELS, VERSIONS, NewerVersionError
from monai_mriprep.models import checked
from monai_mriprep.recipe.values import SpacingTriple
from monai_mriprep.store.layout import RUN, STATISTICS
from monai_mriprep.store.store import AGAIN, Store, named_errors
from monai_mriprep.types import ROLES, TEST_ROLES, Role

__all__ = [
    "SHARED",
    "VIRTUAL",
    "FrozenList",
    "Redo",
    "RunDescription",
    "StatisticsSource",
    "create_description",
    "read_description",
    "settle_description",
    "share_description",
    "write_description",
]

SHARED = 3
"""The format of a folder whose records may lie in several files, which versions up to 0.7.0 do not look for."""

VIRTUAL = 4
"""The format of a folder whose cases have records and no volumes, which versions up to 0.8.0 do not expect."""

StatisticsSource = Literal["recipe", "table", "computed", "training", "plans"]
"""Where the target spacing of a folder comes from."""


class Redo(BaseModel):
    """How often an output folder was started anew, and whether each case was attempted since."""

    model_config = ConfigDict(frozen=True)

    number: Annotated[int, Field(ge=0)] = 0
    complete: bool = True


class FrozenList(BaseModel):
    """The list of cases that `plan` has written: the SHA-256 of ``cases.jsonl``, hexadecimal, and how many cases."""

    model_config = ConfigDict(frozen=True)

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    cases: Annotated[int, Field(ge=0)]


class RunDescription(BaseModel):
    """What ``run.json`` says.

    Parameters
    ----------
    version
        Of the format; 0 up to 0.3.0.
    dataset_root
        What was preprocessed.
    recipe
        Its keys, as plain values.
    target_spacing
        In mm, z y x.
    derivation
        Where the target comes from, in words.
    fingerprint
        What the records of its cases have.
    algorithm_version
        Of the program that computes.
    versions
        Of the packages that compute.
    statistics
        Where the target comes from: the recipe itself, a table, the headers, from which a run has computed it, the
        training set, or nnU-Net's plans.
    like
        Of a test set: the output folder of its training set.
    redo
        How often the folder was started anew.
    plan
        The list of cases, where `plan` has written one.
    virtual
        Whether its cases have records alone, and no volumes.
    is_shared
        Whether parts of a run write there, which must agree before any of them has finished a case.
    """

    model_config = ConfigDict(frozen=True)

    version: Annotated[int, Field(ge=0, lt=VERSIONS)] = 0
    dataset_root: str
    recipe: dict[str, Any]
    target_spacing: SpacingTriple
    derivation: str
    fingerprint: str
    algorithm_version: int
    versions: dict[str, str] = {}
    statistics: StatisticsSource
    like: str | None = None
    redo: Redo = Redo()
    plan: FrozenList | None = None
    virtual: bool = False
    is_shared: bool = False

    @property
    def roles(self) -> tuple[Role, ...]:
        """What each case is read from and, unless the folder is virtual, stored as."""
        return ROLES if self.like is None else TEST_ROLES


_DESCRIPTION = TypeAdapter(RunDescription)


def read_description(store: Store) -> RunDescription | None:
    """What ``run.json`` says; None where there is none.

    Raises
    ------
    NewerVersionError
        If a newer version has written it.
    RecordError
        If it cannot be read.
    """
    path = store.root.path / RUN
    try:
        if store.root.status(RUN) is None:
            return None
        facts = json.loads(store.root.read(RUN))
        version = facts.get("version", 0)
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise RecordError(msg) from error
    if isinstance(version, int) and VIRTUAL < version < VERSIONS:
        msg = f"{path}: a newer version of monai-mriprep has written it (format {version}); update monai-mriprep"
        raise NewerVersionError(msg)
    try:
        before = {"statistics": _statistics_of(store, facts), "is_shared": version == SHARED}  # up to 0.3.0, and 0.8.0
        return checked(_DESCRIPTION, {**before, **facts})
    except RecordError as error:
        msg = f"{path}: is not a run's ({error})"
        raise RecordError(msg) from error


def _statistics_of(store: Store, facts: dict[str, Any]) -> StatisticsSource:
    """Where the target comes from, by a file up to 0.3.0, which does not say so."""
    recipe = facts.get("recipe")
    if isinstance(recipe, dict) and recipe.get("target_spacing") is not None:
        return "recipe"
    return "computed" if store.root.is_file(STATISTICS) else "table"


def write_description(store: Store, description: RunDescription, is_shared: bool | None = None) -> None:
    """Write ``run.json``; `is_shared` says whether parts of a run write there, by default as it was.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    is_shared = description.is_shared if is_shared is None else is_shared
    store.replace(RUN, [_encoded(description.model_copy(update={"is_shared": is_shared}))])


def create_description(store: Store, description: RunDescription) -> bool:
    """Write ``run.json`` for the parts of a run, unless it is there; whether it was written.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    content = _encoded(description.model_copy(update={"is_shared": True}))
    with named_errors(store.root.path / RUN, "cannot be written", AGAIN):
        return store.root.create_whole(RUN, [content], store.staging)


def share_description(store: Store) -> None:
    """Keep versions up to 0.7.0 out, which do not look for the records of parts of a run.

    Raises
    ------
    DiskFullError, OutputError
        If ``run.json`` cannot be read or written.
    """
    description = read_description(store)
    if description is not None and not description.is_shared:
        write_description(store, description, is_shared=True)


def settle_description(store: Store) -> None:
    """Let them in again; there are no parts of a run any more.

    Raises
    ------
    DiskFullError, OutputError
        If ``run.json`` cannot be written.
    """
    with suppress(RecordError):  # it says so to whoever needs it
        description = read_description(store)
        if description is not None and description.is_shared:
            write_description(store, description, is_shared=False)


def _encoded(description: RunDescription) -> bytes:
    has_channels = description.like is not None or description.recipe.get("channels") is not None
    kinds = {VIRTUAL: description.virtual, SHARED: description.is_shared, CHANNELS: has_channels}
    version = max((version for version, is_kind in kinds.items() if is_kind), default=1)
    return (json.dumps({**description.model_dump(mode="json"), "version": version}, indent=2) + "\n").encode()
