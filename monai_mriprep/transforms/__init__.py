"""MONAI transforms: thin shells over `monai_mriprep.steps` and `monai_mriprep.formats`.

As in MONAI, a name with ``d`` works on dictionaries (``D`` and ``Dict`` are other names of it), one without on a single
array or tensor.
"""

from monai_mriprep.transforms.apply_steps import ApplyStepsd
from monai_mriprep.transforms.files import LoadVolume, LoadVolumed, SaveNpzd, StemPaird
from monai_mriprep.transforms.load_npz import LoadNpz, LoadNpzd
from monai_mriprep.transforms.match_geometry import MatchGeometryd
from monai_mriprep.transforms.npz_reader import NpzReader
from monai_mriprep.transforms.rand_patch import RandPatchd
from monai_mriprep.transforms.spacing import (
    AnisotropyAwareSpacing,
    AnisotropyAwareSpacingd,
    ResampleNormalize,
    ResampleNormalized,
)
from monai_mriprep.transforms.values import (
    CastLabel,
    CastLabeld,
    NonZeroMask,
    NonZeroMaskd,
    NormalizeNonZero,
    NormalizeNonZerod,
)

AnisotropyAwareSpacingD = AnisotropyAwareSpacingDict = AnisotropyAwareSpacingd
ApplyStepsD = ApplyStepsDict = ApplyStepsd
CastLabelD = CastLabelDict = CastLabeld
LoadNpzD = LoadNpzDict = LoadNpzd
LoadVolumeD = LoadVolumeDict = LoadVolumed
MatchGeometryD = MatchGeometryDict = MatchGeometryd
NonZeroMaskD = NonZeroMaskDict = NonZeroMaskd
NormalizeNonZeroD = NormalizeNonZeroDict = NormalizeNonZerod
RandPatchD = RandPatchDict = RandPatchd
ResampleNormalizeD = ResampleNormalizeDict = ResampleNormalized
SaveNpzD = SaveNpzDict = SaveNpzd
StemPairD = StemPairDict = StemPaird

__all__ = [
    "AnisotropyAwareSpacing",
    "AnisotropyAwareSpacingD",
    "AnisotropyAwareSpacingDict",
    "AnisotropyAwareSpacingd",
    "ApplyStepsD",
    "ApplyStepsDict",
    "ApplyStepsd",
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
    "NpzReader",
    "RandPatchD",
    "RandPatchDict",
    "RandPatchd",
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
