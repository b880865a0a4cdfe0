"""What is measured in a case as it was scanned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from monai_mriprep.measures.body import find_body
from monai_mriprep.measures.image import SAMPLE, measure_image
from monai_mriprep.measures.label import measure_label
from monai_mriprep.measures.model import CaseMeasures
from monai_mriprep.measures.sample import lattice
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["measure_case"]


def measure_case(
    channels: Sequence[NDArray[Any]], grid: Grid, label: NDArray[Any] | None = None, label_grid: Grid | None = None
) -> CaseMeasures:
    """Measure image and label. Nothing is written to, and no copy of a whole volume is made.

    Parameters
    ----------
    channels
        Each ``(D, H, W)`` on the grid, of any type, finite.
    grid
        Of the image.
    label
        ``(D, H, W)``, of any type; None for a test case.
    label_grid
        Where the label has one of its own.
    """
    samples = [lattice(channel, SAMPLE) for channel in channels]  # gathering one takes as long as what is done with it
    found = [measure_image(few, grid) or measure_image(all_, grid) for few, all_ in zip(samples, channels, strict=True)]
    bodies = [find_body(sample, grid) for sample in samples] if label is not None else []
    return CaseMeasures(
        image=tuple(one for one in found if one is not None) if all(found) else (),
        label=None if label is None else measure_label(label, label_grid or grid, bodies),
    )
