"""The files of a case, by their names; what becomes of them in the output folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from monai_mriprep.dataset.pairing import Orphan
from monai_mriprep.errors import DatasetError
from monai_mriprep.formats.names import composed, stem
from monai_mriprep.types import IMAGE, Role

__all__ = ["CaseFiles", "Grouping", "refuse_shared_outputs"]


class CaseFiles(NamedTuple):
    """The names of the files that make one case, with ``/`` where they lie in a folder of its own.

    Parameters
    ----------
    name
        Of the case.
    image
        Relative to the folder of images: a file for each channel, in the order of the channels; or one file.
    label
        Relative to the folder of labels; None in a test set.
    """

    name: str
    image: tuple[str, ...]
    label: str | None = None

    def of(self, role: Role) -> tuple[str, ...]:
        """The names of the files of a role, one a channel."""
        if role.kind == IMAGE.kind:
            return self.image
        return () if self.label is None else (self.label,)

    @property
    def image_output(self) -> str:
        """The name of the preprocessed image."""
        return f"{self.name}.npz"

    @property
    def label_output(self) -> str:
        """The name of the preprocessed label: its own, unless a folder of the case tells it from others."""
        return self.image_output if self.label is None or "/" in self.label else f"{stem(self.label)}.npz"

    def output(self, role: Role) -> str:
        """The name of the preprocessed volume of a role."""
        return self.image_output if role.kind == IMAGE.kind else self.label_output


@dataclass(frozen=True)
class Grouping:
    """How the files of a dataset become cases.

    Parameters
    ----------
    cases
        In natural order.
    channels
        The channels' names, in order; empty where an image has one channel that nothing names. Where a case has fewer
        files than there are channels, its one file holds them all.
    unpaired_images, unpaired_labels
        The files without a partner, of several channels the first.
    notes
        What was left out although nothing is wrong, a sentence each.
    """

    cases: tuple[CaseFiles, ...]
    channels: tuple[str, ...] = ()
    unpaired_images: tuple[Orphan, ...] = ()
    unpaired_labels: tuple[Orphan, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def orphans(self) -> tuple[Orphan, ...]:
        """The files without a partner."""
        return (*self.unpaired_images, *self.unpaired_labels)


def refuse_shared_outputs(cases: Iterable[CaseFiles]) -> None:
    """Refuse cases whose outputs would have one name, or names that macOS and Windows take for one.

    Raises
    ------
    DatasetError
        With the files of both.
    """
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for case in cases:
        _take(images, case.image_output, case.image[0])
        if case.label is not None:
            _take(labels, case.label_output, case.label)


def _take(taken: dict[str, str], output: str, source: str) -> None:
    """Note whose output has this name."""
    other = taken.setdefault(composed(output).casefold(), source)
    if other is not source:
        msg = (
            f"{other!r} and {source!r} would both become {output}, or a name that macOS and Windows take for it: "
            "rename one of them, or its folder"
        )
        raise DatasetError(msg)
