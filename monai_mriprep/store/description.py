"""``run.json``: the recipe and the target spacing that an output folder keeps."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.sealed import FORMAT_VERSION, NewerVersionError
from monai_mriprep.recipe.values import SpacingTriple
from monai_mriprep.store.layout import RUN
from monai_mriprep.store.records import checked
from monai_mriprep.store.store import Store

__all__ = ["RunDescription", "read_description", "write_description"]


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
    """

    model_config = ConfigDict(frozen=True)

    version: Annotated[int, Field(ge=0)] = 0
    dataset_root: str
    recipe: dict[str, Any]
    target_spacing: SpacingTriple
    derivation: str
    fingerprint: str
    algorithm_version: int
    versions: dict[str, str] = {}


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
    if store.root.status(RUN) is None:
        return None
    path = store.root.path / RUN
    try:
        facts = json.loads(store.root.read(RUN))
        version = facts.get("version", 0)
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        msg = f"{path}: cannot be read ({error})"
        raise RecordError(msg) from error
    if isinstance(version, int) and version > FORMAT_VERSION:
        msg = f"{path}: a newer version of monai-mriprep has written it (format {version}); update monai-mriprep"
        raise NewerVersionError(msg)
    try:
        return checked(_DESCRIPTION, facts)
    except RecordError as error:
        msg = f"{path}: is not a run's ({error})"
        raise RecordError(msg) from error


def write_description(store: Store, description: RunDescription) -> None:
    """Write ``run.json``.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    facts = {**description.model_dump(mode="json"), "version": FORMAT_VERSION}
    store.replace(RUN, (json.dumps(facts, indent=2) + "\n").encode())
