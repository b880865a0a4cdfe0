"""The label values that a dataset declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LabelValues"]


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
