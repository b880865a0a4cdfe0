"""The mathematics: grids, resampling, intensities and labels. No files, no MONAI.

The modules that compute with voxels need torch, which takes a second to load. They are loaded when they are first
used (``from monai_mriprep import volume``, then ``volume.resample``), so that planning never waits for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai_mriprep.volume import argmax as argmax
    from monai_mriprep.volume import fill as fill
    from monai_mriprep.volume import fit as fit
    from monai_mriprep.volume import intensity as intensity
    from monai_mriprep.volume import itk_spline as itk_spline
    from monai_mriprep.volume import labels as labels
    from monai_mriprep.volume import onto as onto
    from monai_mriprep.volume import parts as parts
    from monai_mriprep.volume import percentiles as percentiles
    from monai_mriprep.volume import resample as resample
    from monai_mriprep.volume import round_trip as round_trip
    from monai_mriprep.volume import vote as vote

_MODULES = (
    "argmax",
    "fill",
    "fit",
    "intensity",
    "itk_spline",
    "labels",
    "parts",
    "onto",
    "percentiles",
    "resample",
    "round_trip",
    "vote",
)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return import_module(f"{__name__}.{name}")
