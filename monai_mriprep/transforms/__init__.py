"""MONAI transforms: thin shells over `monai_mriprep.volume` and `monai_mriprep.dataset`.

As in MONAI, a name with ``d`` works on dictionaries (``D`` and ``Dict`` are other names of it), one without on a single
array or tensor.
"""

from monai_mriprep.transforms.files import LoadNpz, LoadNpzd, LoadVolume, LoadVolumed, SaveNpzd, StemPaird
from monai_mriprep.transforms.normalized import ResampleNormalize, ResampleNormalized
from monai_mriprep.transforms.spatial import AnisotropyAwareSpacing, AnisotropyAwareSpacingd, MatchGeometryd
from monai_mriprep.transforms.values import (
    CastLabel,
    CastLabeld,
    NonZeroMask,
    NonZeroMaskd,
    NormalizeNonZero,
    NormalizeNonZerod,
)

AnisotropyAwareSpacingD = AnisotropyAwareSpacingDict = AnisotropyAwareSpacingd
CastLabelD = CastLabelDict = CastLabeld
LoadNpzD = LoadNpzDict = LoadNpzd
LoadVolumeD = LoadVolumeDict = LoadVolumed
MatchGeometryD = MatchGeometryDict = MatchGeometryd
NonZeroMaskD = NonZeroMaskDict = NonZeroMaskd
NormalizeNonZeroD = NormalizeNonZeroDict = NormalizeNonZerod
ResampleNormalizeD = ResampleNormalizeDict = ResampleNormalized
SaveNpzD = SaveNpzDict = SaveNpzd
StemPairD = StemPairDict = StemPaird

__all__ = [
    "AnisotropyAwareSpacing",
    "AnisotropyAwareSpacingD",
    "AnisotropyAwareSpacingDict",
    "AnisotropyAwareSpacingd",
    "CastLabel",
    "CastLabelD",
    "CastLabelDict",
    "CastLabeld",
    "LoadNpz",
    "LoadNpzD",
    "LoadNpzDict",
    "LoadNpzd",
    "LoadVolume",
    "LoadVolumeD",
    "LoadVolumeDict",
    "LoadVolumed",
    "MatchGeometryD",
    "MatchGeometryDict",
    "MatchGeometryd",
    "NonZeroMask",
    "NonZeroMaskD",
    "NonZeroMaskDict",
    "NonZeroMaskd",
    "NormalizeNonZero",
    "NormalizeNonZeroD",
    "NormalizeNonZeroDict",
    "NormalizeNonZerod",
    "ResampleNormalize",
    "ResampleNormalizeD",
    "ResampleNormalizeDict",
    "ResampleNormalized",
    "SaveNpzD",
    "SaveNpzDict",
    "SaveNpzd",
    "StemPairD",
    "StemPairDict",
    "StemPaird",
]
