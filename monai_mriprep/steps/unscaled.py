"""Keep the intensities of the image."""

from __future__ import annotations

from monai_mriprep.steps.intensities import Intensities

__all__ = ["Unscaled"]


class Unscaled(Intensities):
    """The image as float32, in its own units; the moments of its foreground are recorded all the same."""

    name = "unscaled"
