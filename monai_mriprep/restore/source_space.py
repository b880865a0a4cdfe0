"""What the record of a case says of its source image, and of all that was done to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_mriprep.errors import RecordError
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.names import stem
from monai_mriprep.steps import Trace
from monai_mriprep.steps.resampling import Resampling
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
    def of(cls, record: Mapping[str, Any]) -> SourceSpace:
        """Read it from the record of a finished case.

        Raises
        ------
        RecordError
            If something is missing there, or a step was done that nobody has registered here.
        """
        try:
            trace = Trace.from_json(record["trace"] if "trace" in record else _resampling_alone(record))
            frame = Frame(**record["source_header"]) if "source_header" in record else Frame.of_grid(trace.source)
            path = Path(record["sources"][IMAGE.name]["path"])
        except (KeyError, TypeError, ValueError) as error:
            msg = f"the record of case {record.get('case')} is not whole ({error!r}); preprocess it again"
            raise RecordError(msg) from error
        suffix = path.name[len(stem(path)) :].lower()
        return cls(trace, frame, RESTORED_AS.get(suffix, suffix))


def _resampling_alone(record: Mapping[str, Any]) -> dict[str, Any]:
    """The trace of a case from before version 0.3.0: nothing else moved a voxel."""
    resampling = {
        "step": Resampling.name,
        "target": record["spacing"],
        "params": {"grid": record["target_grid"]},
    }
    return {"source": record["source_grid"], "steps": [resampling]}
