"""MONAI dictionary transforms: thin shells over `monai_mriprep.volume` and `monai_mriprep.dataset`."""

from monai_mriprep.transforms.spatial import AnisotropyAwareSpacingd, MatchGeometryd
from monai_mriprep.transforms.values import CastLabeld, NonZeroMaskd, NormalizeNonZerod
from monai_mriprep.transforms.volumes import LoadNpzd, LoadVolumed, SaveNpzd, StemPaird

__all__ = [
    "AnisotropyAwareSpacingd",
    "CastLabeld",
    "LoadNpzd",
    "LoadVolumed",
    "MatchGeometryd",
    "NonZeroMaskd",
    "NormalizeNonZerod",
    "SaveNpzd",
    "StemPaird",
]
