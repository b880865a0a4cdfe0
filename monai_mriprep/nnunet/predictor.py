"""Put our configuration into a predictor of nnU-Net."""

from __future__ import annotations

from typing import Any

from monai_mriprep.errors import NnunetError, warn
from monai_mriprep.nnunet.versions import untested

__all__ = ["accelerate_predictor"]


def accelerate_predictor(predictor: Any) -> None:
    """As `monai_mriprep.nnunet.accelerate`, which calls this."""
    if problem := untested():
        warn([f"{problem}; the predictor is left as it is"], stacklevel=3)
        return
    from monai_mriprep.nnunet.configuration import Configuration, stays_stock

    configuration = getattr(predictor, "configuration_manager", None)
    if configuration is None:
        msg = (
            f"{type(predictor).__name__} has no configuration; an nnUNetPredictor is expected, after "
            "initialize_from_trained_model_folder or manual_initialization"
        )
        raise NnunetError(msg)
    if not isinstance(configuration, Configuration):
        predictor.configuration_manager = Configuration(configuration.configuration)
        warn(stays_stock(configuration), stacklevel=3)
