"""What a lock says, checked where it is read: nothing of it is believed that does not fit these models."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from monai_mriprep.errors import RecordError
from monai_mriprep.models import Count, Model, Sha256
from monai_mriprep.proof.arrays import ArrayFacts
from monai_mriprep.recipe.values import SpacingTriple
from monai_mriprep.store.layout import check_bare, is_output
from monai_mriprep.store.record_parts import Channels
from monai_mriprep.store.records import CaseName
from monai_mriprep.types import ROLES, TEST_ROLES

__all__ = [
    "FACTS",
    "DataFile",
    "LockHead",
    "LockedCase",
    "LockedOutput",
    "LockedSource",
    "Made",
    "relative_name",
]

FACTS = ("target_grid", "spacing", "foreground", "labels", "trace", "classes")
"""What a lock says of a case as its record does; of ``classes`` the hash."""


def relative_name(name: str) -> str:
    """A name of a file below a folder, with ``/`` between the parts; none that leads out of it.

    Raises
    ------
    ValueError
        If it is no such name.
    """
    try:
        for part in name.split("/"):
            check_bare(part)
    except RecordError as error:
        msg = f"{name!r} is no file below the dataset"
        raise ValueError(msg) from error
    return name


def _bare(name: str) -> str:
    try:
        return check_bare(name)
    except RecordError as error:
        raise ValueError(str(error)) from error


def _output(path: str) -> str:
    if not is_output(path.partition("/")[2]):  # before that comes the folder of its role; see `LockedCase`
        msg = f"{path!r} is no volume of an output folder"
        raise ValueError(msg)
    return path


class Made(Model):
    """By which packages, on which type of processor; None where that is not known, as up to 0.8.0."""

    versions: dict[str, str]
    processor: str | None


class LockHead(Model):
    """What all cases share.

    Parameters
    ----------
    lock
        The format.
    recipe, target_spacing, fingerprint, algorithm_version
        As in ``run.json``.
    made
        By what the cases were made: one entry for each combination that a run had.
    is_test
        Whether it is a test set, images alone.
    virtual
        Whether the folder has records alone, and no volumes.
    cases
        Their names, sorted.
    left_out
        Names of the cases that were not finished, and are not locked.
    not_begun
        How many more the last run had, which have no record.
    """

    lock: Annotated[int, Field(ge=1)]
    recipe: dict[str, Any]
    target_spacing: SpacingTriple
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    algorithm_version: Count
    made: Annotated[tuple[Made, ...], Field(strict=False)]
    is_test: bool
    virtual: bool = False
    cases: Annotated[tuple[str, ...], Field(strict=False)]
    left_out: Annotated[tuple[str, ...], Field(strict=False)] = ()
    not_begun: Count = 0


class DataFile(Model):
    """A further file that holds voxels of a source: its bare name, beside that, or in it."""

    name: Annotated[str, AfterValidator(_bare)]
    size: Count
    sha256: Sha256


class LockedSource(Model):
    """A file that a case was read from.

    Parameters
    ----------
    path
        Relative to the dataset.
    size
        In bytes; None of a folder of slices.
    sha256
        Of its bytes; of a folder, of the names in it.
    data
        The other files of its voxels.
    """

    path: Annotated[str, AfterValidator(relative_name)]
    size: Count | None
    sha256: Sha256
    data: Annotated[tuple[DataFile, ...], Field(strict=False)] = ()


class LockedOutput(ArrayFacts):
    """A volume: its place in the output folder, and its array."""

    path: Annotated[str, AfterValidator(_output)]


class LockedCase(Model):
    """A case.

    Parameters
    ----------
    case
        Its name.
    sources, outputs
        Its files, by the name of their role; of sources one a channel. A virtual folder has no outputs.
    target_grid, spacing, foreground, labels, trace
        As in its record, as plain JSON.
    classes
        SHA-256 of what its record says of the places of classes, as JSON with sorted keys; None where it says nothing.
    """

    case: CaseName
    sources: dict[str, Channels[LockedSource]]
    outputs: dict[str, LockedOutput]
    target_grid: dict[str, Any]
    spacing: SpacingTriple
    foreground: dict[str, Any]
    labels: dict[str, Any]
    trace: dict[str, Any] | None
    classes: Sha256 | None = None

    @model_validator(mode="after")
    def _check_roles(self) -> LockedCase:
        outputs = {role: output.path.partition("/")[0] for role, output in self.outputs.items()}
        kinds = [{role.name: role.folder for role in roles} for roles in (ROLES, TEST_ROLES)]
        if not any(self.sources.keys() == kind.keys() and outputs in (kind, {}) for kind in kinds):
            msg = f"sources ({', '.join(self.sources)}) and outputs ({', '.join(outputs)}) are not those of a case"
            raise ValueError(msg)
        return self

    def is_of(self, head: LockHead) -> bool:
        """Whether it has the files that the first line says of all cases: labels, and volumes."""
        has_label = self.sources.keys() == {role.name for role in ROLES}
        return (has_label, bool(self.outputs)) == (not head.is_test, not head.virtual)

    @property
    def facts(self) -> dict[str, Any]:
        """What the record of a case says alike, as plain JSON."""
        return self.model_dump(mode="json", include=set(FACTS))
