"""nnU-Net-style MRI preprocessing as MONAI transforms: exact, fast, and safe to interrupt.

The public names are loaded on first use, so that importing the package costs nothing.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai_mriprep._version import __version__
    from monai_mriprep.advice.advise import advise
    from monai_mriprep.dataset.pairing import pair_by_stem
    from monai_mriprep.dataset.statistics import SpacingStatistics
    from monai_mriprep.dataset.target_rules import target_spacing
    from monai_mriprep.errors import MriprepError
    from monai_mriprep.patches.virtual_dataset import VirtualDataset
    from monai_mriprep.pipeline import OpenedDataset, build_transforms, open_dataset
    from monai_mriprep.recipe import Recipe, load_recipe
    from monai_mriprep.remote.run import preprocess
    from monai_mriprep.restore.command import restore
    from monai_mriprep.steps import Step, register_step
    from monai_mriprep.transforms import (
        AnisotropyAwareSpacingd,
        CastLabeld,
        LoadNpzd,
        LoadVolumed,
        MatchGeometryd,
        NonZeroMaskd,
        NormalizeNonZerod,
        NpzReader,
        RandPatchd,
        ResampleNormalize,
        ResampleNormalized,
        SaveNpzd,
        StemPaird,
    )

__all__ = [
    "AnisotropyAwareSpacingd",
    "CastLabeld",
    "LoadNpzd",
    "LoadVolumed",
    "MatchGeometryd",
    "MriprepError",
    "NonZeroMaskd",
    "NormalizeNonZerod",
    "NpzReader",
    "OpenedDataset",
    "RandPatchd",
    "Recipe",
    "ResampleNormalize",
    "ResampleNormalized",
    "SaveNpzd",
    "SpacingStatistics",
    "StemPaird",
    "Step",
    "VirtualDataset",
    "__version__",
    "advise",
    "build_transforms",
    "load_recipe",
    "open_dataset",
    "pair_by_stem",
    "preprocess",
    "register_step",
    "restore",
    "target_spacing",
]

_HOMES = {
    "MriprepError": "errors",
    "OpenedDataset": "pipeline",
    "Recipe": "recipe",
    "SpacingStatistics": "dataset.statistics",
    "Step": "steps",
    "VirtualDataset": "patches.virtual_dataset",
    "__version__": "_version",
    "advise": "advice.advise",
    "build_transforms": "pipeline",
    "load_recipe": "recipe",
    "open_dataset": "pipeline",
    "pair_by_stem": "dataset.pairing",
    "preprocess": "remote.run",
    "register_step": "steps",
    "restore": "restore.command",
    "target_spacing": "dataset.target_rules",
}


def _name_nameless_user() -> None:
    """Let the user have a name, which MONAI asks for at its import and PyTorch later; in a container there may be none.

    `getpass.getuser` looks into the environment first.
    """
    if sys.platform == "win32" or any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        return
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ["LOGNAME"] = str(os.getuid())


_name_nameless_user()


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    home = import_module(f"{__name__}.{_HOMES.get(name, 'transforms')}")
    globals()[name] = getattr(home, name)  # also in place of a room of this name, which the import has just bound
    return globals()[name]


def __dir__() -> list[str]:
    return __all__
