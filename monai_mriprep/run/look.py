"""What the report shows of a case: measures of its voxels as they were scanned, and a picture of before and after.

Nothing here decides what becomes of a case: what cannot be measured or drawn is a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.dataset.voxel_summary import count_values
from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.read import read_channel_headers
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.measures.case import measure_case
from monai_mriprep.pictures.draw import Drawing
from monai_mriprep.pictures.place import view_of
from monai_mriprep.pictures.scan import Scan
from monai_mriprep.store.record_parts import json_histogram
from monai_mriprep.types import IMAGE, LABEL, LABEL_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from monai_mriprep.formats.header import Header
    from monai_mriprep.measures.model import CaseMeasures
    from monai_mriprep.run.cases import Case, Job
    from monai_mriprep.volume.geometry import Grid

__all__ = ["BEFORE", "Look", "Volume", "look_at", "look_at_failed"]

Volume = tuple["NDArray[Any]", "Grid"]
"""Voxels, ``(C, z, y, x)``, and where they lie."""

BEFORE, AFTER = "as scanned", "preprocessed"
NOT_DONE = "as scanned; it could not be preprocessed"


@dataclass(frozen=True)
class Look:
    """A case as it was scanned.

    Parameters
    ----------
    measures
        Of its voxels.
    drawing
        With the first of its pictures.
    """

    measures: CaseMeasures
    drawing: Drawing

    def picture(self, volumes: Mapping[str, Volume]) -> bytes:
        """The picture of the case, as WebP, with these volumes as they were preprocessed."""
        self.drawing.add(_scan(volumes, AFTER))
        return self.drawing.encoded()


def look_at(volumes: Mapping[str, Volume], rows: int = 2, title: str = BEFORE) -> Look:
    """Measure a case and begin its picture; of the voxels nothing is kept.

    Parameters
    ----------
    volumes
        By the name of their role, as they were scanned.
    rows
        How many scans the picture is to have.
    title
        Of the first one.
    """
    scan = _scan(volumes, title)
    measures = measure_case(list(volumes[IMAGE.name][0]), scan.grid, scan.label, scan.label_grid)
    centre = None if measures.label is None else measures.label.centre
    drawing = Drawing(view_of([scan], centre), rows)
    drawing.add(scan)
    return Look(measures, drawing)


def _scan(volumes: Mapping[str, Volume], title: str) -> Scan:
    """What a picture shows: the first channel, and the label."""
    (channels, grid), (label, label_grid) = volumes[IMAGE.name], volumes.get(LABEL.name, (None, None))
    return Scan(channels[0], grid, None if label is None else label[0], label_grid, title)


def look_at_failed(job: Job, case: Case) -> tuple[dict[str, Any], bytes | None]:
    """What can be seen of a case that could not be preprocessed: it belongs to its cohort, and why it failed may show.

    Returns
    -------
    tuple
        For its record, as plain values; and a picture of the scan, with its label where the headers put it. None where
        the image cannot be read.
    """
    headers = {role: _headers(paths, job, role) for role, paths in case.sources.items()}
    image = headers[IMAGE.name]
    facts: dict[str, Any] = {"source_grid": image[0].grid.to_json()} if image else {}
    volumes = {role: volume for role, of_role in headers.items() if (volume := _read(of_role)) is not None}
    label = volumes.get(LABEL.name)
    if label is not None and np.abs(label[0]).max() <= LABEL_MAX:
        facts["labels"] = {"before": json_histogram(count_values(label[0][0]))}
    if IMAGE.name not in volumes:
        return facts, None
    look = look_at(volumes, rows=1, title=NOT_DONE)
    return {**facts, "measures": look.measures.model_dump(mode="json")}, look.drawing.encoded()


def _headers(paths: Sequence[Path], job: Job, role: str) -> list[Header]:
    """None where one cannot be read."""
    with suppress(VolumeError):
        return read_channel_headers(paths, job.recipe.channel_count if role == IMAGE.name else 1)
    return []


def _read(headers: Sequence[Header]) -> Volume | None:
    """The channels that lie on the grid of the first one."""
    grids = [header.grid for header in headers]
    with suppress(VolumeError):
        found = [read_voxels(header) for header in headers if header.grid.shape == grids[0].shape]
        return (np.concatenate([voxels.reshape(-1, *grids[0].shape) for voxels in found]), grids[0]) if found else None
    return None
