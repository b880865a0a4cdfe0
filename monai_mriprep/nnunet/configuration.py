"""The one place where we go into nnU-Net: the configuration that its plans hand out.

nnU-Net asks a configuration for its preprocessor class and for the function that resamples logits, and hands the
configuration to its worker processes. So it is enough that `PlansManager.get_configuration` returns ours in the process
that starts the workers: they get it pickled, by the name of its class. The plans stay as they are, on disk and in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from monai_mriprep.nnunet.logits import LaterResampling
from monai_mriprep.nnunet.preprocessor import Preprocessor
from monai_mriprep.nnunet.scope import why_stock_export, why_stock_preprocessing

__all__ = ["Configuration", "configurations_are_ours", "stays_stock"]


class Configuration(ConfigurationManager):
    """nnU-Net's configuration, which names our preprocessor and our resampling of logits where they do the same."""

    @property
    def preprocessor_class(self) -> type:
        """Ours, or the one that the plans name."""
        return super().preprocessor_class if why_stock_preprocessing(self.configuration) else Preprocessor

    @property
    def resampling_fn_probabilities(self) -> Callable[..., Any]:
        """Ours, or the one that the plans name."""
        stock = super().resampling_fn_probabilities
        return stock if why_stock_export(self.configuration) else LaterResampling(stock)


def stays_stock(configuration: Any) -> Iterator[str]:
    """A sentence for each part of a configuration that is left to nnU-Net."""
    for part, why in (("preprocessing", why_stock_preprocessing), ("export", why_stock_export)):
        if reason := why(configuration.configuration):
            yield f"the {part} is nnU-Net's own: {reason}"


@contextmanager
def configurations_are_ours(tell: Callable[[str], object]) -> Iterator[None]:
    """Let all plans hand out our configurations, and call `tell` once with each thing that is left to nnU-Net."""
    stock, tell_once = PlansManager.get_configuration, cache(tell)

    @lru_cache(maxsize=10)
    def ours(plans: Any, name: str) -> Configuration:
        configuration = Configuration(stock(plans, name).configuration)
        for sentence in stays_stock(configuration):
            tell_once(f"{name}: {sentence}")
        return configuration

    PlansManager.get_configuration = ours
    try:
        yield
    finally:
        PlansManager.get_configuration = stock
