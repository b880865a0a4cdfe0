"""The way back: predictions onto the grids of their source images.

The package's function `monai_mriprep.restore` has the name of this room, and importing a room makes it an attribute of
its package. So the room can be called, and means the function whichever of the two was imported first.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__all__: list[str] = []


class _CallableRoom(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `monai_mriprep.restore.command.restore`; what that needs is imported only now."""
        return import_module("monai_mriprep.restore.command").restore(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
