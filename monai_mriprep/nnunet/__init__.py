"""Inside nnU-Net: its own commands and plans, with our preprocessor and our export of predictions.

Everything goes in at one place, `monai_mriprep.nnunet.configuration`. nnU-Net's worker processes import this room, so
it is light; nnU-Net itself is imported only when something here is used.
"""

from __future__ import annotations

from typing import TypeVar

__all__ = ["accelerate"]

Predictor = TypeVar("Predictor")


def accelerate(predictor: Predictor) -> Predictor:
    """Let a predictor of nnU-Net preprocess and export with our code; its predictions stay as they are.

    Parameters
    ----------
    predictor
        An ``nnUNetPredictor`` that is initialized (``initialize_from_trained_model_folder``). Calling this again
        changes nothing.

    Returns
    -------
    The same predictor.

    Raises
    ------
    NnunetError
        If nnU-Net is not installed, or the predictor is not initialized.

    Warns
    -----
    MriprepWarning
        If the installed versions are not ones that are tested, and the predictor is left as it is; or if a part of its
        configuration stays nnU-Net's own.
    """
    from monai_mriprep.nnunet.predictor import accelerate_predictor  # a second, and nnU-Net's own six

    accelerate_predictor(predictor)
    return predictor
