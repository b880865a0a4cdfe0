"""How a reason speaks of numbers."""

from __future__ import annotations

import sys

__all__ = ["figure"]


def figure(value: float) -> str:
    """Three digits, such as ``7,380`` or ``0.0123``; an exponent only where there would be seven digits or more."""
    if abs(value) <= sys.float_info.min:
        return "0"
    return f"{float(f'{value:.3g}'):,g}"
