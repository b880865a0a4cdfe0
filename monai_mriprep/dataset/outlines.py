"""What the headers of a case say, or why they say nothing."""

from __future__ import annotations

from typing import NamedTuple

from monai_mriprep.dataset.case_files import CaseFiles
from monai_mriprep.dataset.layout import Layout
from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.header import Outline
from monai_mriprep.formats.read import outline_or_problem
from monai_mriprep.volume.geometry import same_grid_problem

__all__ = ["CaseOutlines", "read_outlines"]


class CaseOutlines(NamedTuple):
    """The outlines of an image, one a channel, and, where it was asked for, of its label; or what is wrong with one."""

    image: tuple[Outline | VolumeError, ...]
    label: Outline | VolumeError | None = None

    @property
    def first(self) -> Outline | VolumeError:
        """That of the first channel, which fixes the grid; or what is wrong with the first that cannot be read."""
        return next((channel for channel in self.image if isinstance(channel, VolumeError)), self.image[0])

    @property
    def are_apart(self) -> bool:
        """Whether channels that can be read lie on different grids."""
        grids = [channel.grid for channel in self.image if isinstance(channel, Outline)]
        return any(same_grid_problem(grids[0], grid) for grid in grids[1:])

    @property
    def channel_of_label(self) -> int | None:
        """The number of the first channel on whose grid the label lies, if both can be read."""
        label, numbered = self.label, enumerate(self.image)
        if not isinstance(label, Outline):
            return None
        outlines = ((number, channel) for number, channel in numbered if isinstance(channel, Outline))
        return next((n for n, channel in outlines if same_grid_problem(label.grid, channel.grid) is None), None)


def read_outlines(layout: Layout, case: CaseFiles, channels: int, with_label: bool) -> CaseOutlines:
    """Read the headers of a case; most volumes lie on the very grid of the first channel, which then is kept once.

    Parameters
    ----------
    layout, case
        Where its files are, and which.
    channels
        Of an image; where it is one file, that holds them all.
    with_label
        Read the label's header, too.
    """
    in_each = channels if len(case.image) == 1 else 1
    first, *others = (outline_or_problem(layout.images / name, in_each) for name in case.image)
    label = None
    if with_label and case.label is not None and layout.labels is not None:
        label = _sharing(outline_or_problem(layout.labels / case.label), first)
    return CaseOutlines((first, *(_sharing(channel, first) for channel in others)), label)


def _sharing(outline: Outline | VolumeError, first: Outline | VolumeError) -> Outline | VolumeError:
    return outline.sharing(first) if isinstance(outline, Outline) and isinstance(first, Outline) else outline
