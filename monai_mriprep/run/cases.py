"""The plain values that a run is made of. Nothing here needs torch, so planning and resuming stay quick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.fingerprint import fingerprint_of
from monai_mriprep.store.record_parts import Origin
from monai_mriprep.types import Role, Spacing

__all__ = [
    "Case",
    "Job",
    "OutputNames",
    "Result",
    "SourceFiles",
    "Status",
    "output_paths",
]

Status = Literal["done", "failed"]


class SourceFiles(Mapping[str, tuple[Path, ...]]):
    """The files of a case by the name of their role, each made when it is asked for: a run holds all cases.

    Parameters
    ----------
    folders
        For each role, in order, the folder of its files; one mapping for all cases.
    files
        Their names.
    """

    __slots__ = ("files", "folders")

    def __init__(self, folders: Mapping[Role, Path], files: CaseFiles) -> None:
        self.folders = folders
        self.files = files

    def __getitem__(self, role: str) -> tuple[Path, ...]:
        known = self.role(role)
        return tuple(self.folders[known] / name for name in self.files.of(known))

    def role(self, name: str) -> Role:
        """The role of this name."""
        for role in self.folders:
            if role.name == name:
                return role
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (role.name for role in self.folders)

    def __len__(self) -> int:
        return len(self.folders)


class OutputNames(Mapping[str, str]):
    """Where the outputs of a case lie, relative to the output folder, by the name of their role."""

    __slots__ = ("sources",)

    def __init__(self, sources: SourceFiles) -> None:
        self.sources = sources

    def __getitem__(self, role: str) -> str:
        known = self.sources.role(role)
        return f"{known.folder}/{self.sources.files.output(known)}"

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its files, their places in the output, and what its headers say of its cost.

    Parameters
    ----------
    name
        The image's stem; or what the files of its channels share.
    sources
        The files to read, by the name of their role, the image first; one a channel.
    outputs
        The files to write, relative to the output folder, by the name of their role; none in a virtual folder.
    memory_bytes
        Estimated peak memory of the case, in bytes; 0 where a header could not be read.
    output_voxels
        Voxels of the image on the target grid; 0 where a header could not be read.
    is_upper_bound
        Whether the voxels decide the grid, as for a crop, so that both figures say what it can be at most.
    origins
        Of each source that is a copy of an object, by its path, the object; of the other files of its voxels, too.
    problem
        Why its files cannot be had; the case fails with it. None where they can.
    """

    name: str
    sources: Mapping[str, tuple[Path, ...]] = field(hash=False)
    outputs: Mapping[str, str] = field(hash=False)
    memory_bytes: int = 0
    output_voxels: int = 0
    is_upper_bound: bool = False
    origins: Mapping[str, Origin] = field(default_factory=dict, hash=False)
    problem: str | None = None


def output_paths(output_root: Path, case: Case) -> dict[str, Path]:
    """Where the outputs of a case lie in an output folder, by the name of their role."""
    return {role: output_root / place for role, place in case.outputs.items()}


@dataclass(frozen=True)
class Job:
    """What all cases of a run share.

    Parameters
    ----------
    recipe, target
        What to do.
    output_root
        Where to.
    writer
        Name of the writer that stages the files, whose folder must be there; by default the process that works.
    redo
        How often the output folder was started anew; in every record.
    declared_labels
        The values that labels may have, where the dataset says so; others are warned of.
    report
        Whether each case is measured and drawn, for the report.
    virtual
        Whether nothing but records is made of the cases: no volumes are written.
    """

    recipe: Recipe
    target: Spacing
    output_root: Path
    writer: str | None = None
    redo: int = 0
    declared_labels: tuple[int, ...] | None = None
    report: bool = True
    virtual: bool = False

    @property
    def fingerprint(self) -> str:
        """Equal for equal recipe, target and algorithm; hexadecimal."""
        return fingerprint_of(self.recipe, self.target)


@dataclass(frozen=True)
class Result:
    """What became of a case; small, so that it crosses the process border at no cost.

    Parameters
    ----------
    case
        Its name.
    status
        ``done`` or ``failed``.
    error
        The error's message, for a failed case.
    warnings
        What needs review.
    facts
        The rest of the record: plain values that JSON can hold.
    """

    case: str
    status: Status
    error: str | None = None
    warnings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def stops_run(self) -> bool:
        """No other case can succeed where this one failed: the disk is full."""
        return bool(self.facts.get("disk_full"))

    def record(self) -> dict[str, Any]:
        """The line for the manifest."""
        return {"event": self.status, "case": self.case, "error": self.error, "warnings": self.warnings, **self.facts}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Result:
        """The result that gives this line."""
        facts = {key: value for key, value in record.items() if key not in ("event", "case", "error", "warnings")}
        return cls(record["case"], record["event"], record["error"], tuple(record["warnings"]), facts)
