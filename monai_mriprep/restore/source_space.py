"""What the record of a case says of its source image, and of all that was done to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.names import stem
from monai_mriprep.steps import Trace
from monai_mriprep.store.records import Done
from monai_mriprep.types import IMAGE

__all__ = ["SourceSpace"]

RESTORED_AS = {"": ".mha", ".mhd": ".mha", ".nhdr": ".nrrd", ".hdr": ".nii", ".mgz": ".nii.gz", ".mgh": ".nii.gz"}
"""Formats that are not written, and what is written in their place; a folder of DICOM slices has no suffix."""


@dataclass(frozen=True)
class SourceSpace:
    """The source image of a case, as far as a restored prediction becomes like it.

    Parameters
    ----------
    trace
        From the grid of the source to the one that predictions lie on.
    frame
        Spacing, origin and direction of the source, as its file stated them.
    suffix
        Of the restored file: the source's own, or what `RESTORED_AS` has in its place.
    """

    trace: Trace
    frame: Frame
    suffix: str

    @classmethod
    def of(cls, record: Done) -> SourceSpace:
        """Read it from the record of a finished case.

        Raises
        ------
        RecordError
            If the trace is not whole, or names a step that is not registered here.
        """
        path = Path(record.sources[IMAGE.name][0].path)
        suffix = path.name[len(stem(path)) :].lower()
        return cls(record.trace, record.frame, RESTORED_AS.get(suffix, suffix))
