"""The way back: predictions onto the grids of their source images.

The package's function `monai_mriprep.restore` has the name of this room, and importing a room makes it an attribute of
its package. So the room can be called, and means the function whichever of the two was imported first.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

__all__: list[str] = []


class _CallableRoom(ModuleType):
    @property
    def __call__(self) -> Callable[..., Any]:
        """The function itself, so that its warnings name the caller's line; what it needs is imported only now."""
        function: Callable[..., Any] = import_module("monai_mriprep.restore.command").restore
        return function

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.__call__)


sys.modules[__name__].__class__ = _CallableRoom
