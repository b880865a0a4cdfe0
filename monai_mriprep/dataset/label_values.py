"""The label values that a dataset declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monai_mriprep.errors import first_names

__all__ = ["LabelValues", "undeclared_labels"]

SHOWN = 10
"""The largest number of values in a message."""


@dataclass(frozen=True)
class LabelValues:
    """What the numbers in a dataset's labels mean.

    Parameters
    ----------
    names
        The value of each class, in the order of the file; several where it is a region, nnU-Net's word for a class
        that is made of others.
    ignore
        The value of voxels that training leaves out.
    """

    names: Mapping[str, tuple[int, ...]]
    ignore: int | None = None

    @property
    def values(self) -> tuple[int, ...]:
        """All that may be found in a label, background and ignored voxels included; ascending."""
        declared = {value for values in self.names.values() for value in values} | {0}
        return tuple(sorted(declared if self.ignore is None else declared | {self.ignore}))

    def undeclared(self, found: Iterable[float]) -> tuple[float, ...]:
        """Those of the values found in a label that are not among them, ascending."""
        return tuple(sorted(set(found).difference(self.values)))


def undeclared_labels(found: Sequence[float], declared: Sequence[int]) -> str:
    """A sentence for a label with values that its dataset does not declare."""
    shown, known = (first_names([f"{value:g}" for value in values], SHOWN) for values in (found, declared))
    return f"the label holds {shown}, which dataset.json does not declare: it has {known}"
