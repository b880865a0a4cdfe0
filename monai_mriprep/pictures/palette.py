"""The colours of classes, in pictures and in their legends."""

from __future__ import annotations

__all__ = ["PALETTE", "colour_of"]

PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
"""The colours of Okabe and Ito, which people with any colour vision tell apart, without black: pictures are dark.

Reference: M. Okabe and K. Ito, Color Universal Design, https://jfly.uni-koeln.de/color/.
"""


def colour_of(value: int) -> str:
    """The colour of a class, as ``#rrggbb``.

    Classes 1 to 7 have a colour each. From 8 on the colours come again in the same order: 1, 8 and 15 share one.
    """
    return PALETTE[(value - 1) % len(PALETTE)]
