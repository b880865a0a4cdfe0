"""Which parts of a configuration of nnU-Net's plans are computed here, and why the others stay nnU-Net's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["why_stock_export", "why_stock_preprocessing"]

PREPROCESSOR = "DefaultPreprocessor"
RESAMPLER = "resample_data_or_seg_to_shape"

STOCK_SETTINGS: dict[str, dict[str, Any]] = {
    "resampling_fn_data": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
    "resampling_fn_seg": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
    "resampling_fn_probabilities": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
}
"""What nnU-Net's own planner writes."""


def why_stock_preprocessing(configuration: Mapping[str, Any]) -> str | None:
    """Why nnU-Net's own preprocessor is to run, in words; None if ours gives the same arrays.

    Parameters
    ----------
    configuration
        A configuration of the plans, with what it inherits.
    """
    if (name := configuration.get("preprocessor_name")) != PREPROCESSOR:
        return f"its preprocessor is {name}, not {PREPROCESSOR}"
    return _other_resampling(configuration, "resampling_fn_data") or _other_resampling(
        configuration, "resampling_fn_seg"
    )


def why_stock_export(configuration: Mapping[str, Any]) -> str | None:
    """Why nnU-Net's own export of predictions is to run, in words; None if ours gives the same label maps."""
    return _other_resampling(configuration, "resampling_fn_probabilities")


def _other_resampling(configuration: Mapping[str, Any], key: str) -> str | None:
    function, settings = configuration.get(key), configuration.get(f"{key}_kwargs")
    if function != RESAMPLER:
        return f"{key} is {function}, not {RESAMPLER}"
    if settings != STOCK_SETTINGS[key]:
        return f"{key}_kwargs is {settings}, not {STOCK_SETTINGS[key]}"
    return None
