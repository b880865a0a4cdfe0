"""Run nnU-Net's own commands, with our configuration in its plans."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from unittest.mock import patch

from monai_mriprep.errors import NnunetError
from monai_mriprep.nnunet.versions import untested

__all__ = ["COMMANDS", "run_command"]

COMMANDS = ("preprocess", "predict")

FOLDERS = {
    "nnUNet_raw": "the folder of the raw datasets",
    "nnUNet_preprocessed": "the folder of plans and preprocessed datasets",
    "nnUNet_results": "the folder of the trained models",
}
"""The variables of nnU-Net's environment, and what each names."""


def run_command(command: str, arguments: Sequence[str], tell: Callable[[str], object]) -> None:
    """Run ``nnUNetv2_preprocess`` or ``nnUNetv2_predict`` with these arguments, and our code in it.

    Parameters
    ----------
    command
        ``preprocess`` or ``predict``.
    arguments
        nnU-Net's own. With ``-m FOLDER`` in place of ``-d``, prediction is ``nnUNetv2_predict_from_modelfolder``.
    tell
        Is called with what a user should know, such as what stays nnU-Net's own code.

    Raises
    ------
    NnunetError
        If nnU-Net, or a folder that it needs, is missing.
    SystemExit
        If nnU-Net refuses the arguments.
    """
    problem = untested()
    module, entry, folders = _entry(command, arguments)
    if not {"-h", "--help"} & set(arguments):
        _require_folders(folders)
    run = getattr(import_module(module), entry)
    if problem:
        tell(f"{problem}; so this runs nnU-Net's own code alone")
        ours: AbstractContextManager[None] = nullcontext()
    else:
        from monai_mriprep.nnunet.configuration import configurations_are_ours

        ours = configurations_are_ours(tell)
    with ours, patch.object(sys, "argv", [f"monai-mriprep nnunet {command}", *arguments]):
        run()


def _entry(command: str, arguments: Sequence[str]) -> tuple[str, str, tuple[str, ...]]:
    """Module and function of nnU-Net's command, and the folders that it needs."""
    if command == "preprocess":
        module = "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints"
        return module, "preprocess_entry", ("nnUNet_raw", "nnUNet_preprocessed")
    module = "nnunetv2.inference.predict_from_raw_data"
    if "-m" in arguments:
        return module, "predict_entry_point_modelfolder", ()
    return module, "predict_entry_point", ("nnUNet_results",)


def _require_folders(names: Sequence[str]) -> None:
    for name in names:
        if not os.environ.get(name):
            msg = f"{name} is not set; nnU-Net needs it in the environment, as {FOLDERS[name]}: export {name}=/path"
            raise NnunetError(msg)
