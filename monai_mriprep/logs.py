"""The package's logger, ``monai_mriprep``: what a run or a dataset has to say, for scripts, notebooks and schedulers.

The package attaches a `logging.NullHandler` and nothing else: who wants to read along attaches a handler or calls
`logging.basicConfig`. Warnings to a caller in Python are raised as `MriprepWarning` as well.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable

from monai_mriprep.errors import MriprepWarning

__all__ = ["LOGGER", "warn"]

LOGGER = logging.getLogger("monai_mriprep")
LOGGER.addHandler(logging.NullHandler())


def warn(messages: Iterable[str], stacklevel: int = 1) -> None:
    """Log each message and raise it as a `MriprepWarning`; `stacklevel` counts from the caller, 1 being its line."""
    for message in messages:
        LOGGER.warning("%s", message)
        warnings.warn(message, MriprepWarning, stacklevel + 1)
