"""How long the command has been running, its loading included."""

from __future__ import annotations

import time

__all__ = ["begin", "elapsed"]

_begun = time.monotonic()


def begin() -> None:
    """The command begins now."""
    global _begun
    _begun = time.monotonic()


def elapsed() -> float:
    """Seconds since the command began."""
    return time.monotonic() - _begun
