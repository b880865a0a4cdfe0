"""The list of steps that a recipe makes of a case, forward and back.

A step is one file here, or one class registered from outside. Planning asks the list for grids, runs and training walk
it forward, predictions walk it back. Nothing here is MONAI's, and torch is loaded only when a voxel is computed.
"""

from monai_mriprep.steps.base import Box, Params, Step, Volumes, makes_parts, moves_voxels
from monai_mriprep.steps.recipe_steps import native_steps, register_step, steps_of
from monai_mriprep.steps.scores import backward_classes
from monai_mriprep.steps.trace import AppliedStep, Trace, backward, final_grid, forward

__all__ = [
    "AppliedStep",
    "Box",
    "Params",
    "Step",
    "Trace",
    "Volumes",
    "backward",
    "backward_classes",
    "final_grid",
    "forward",
    "makes_parts",
    "moves_voxels",
    "native_steps",
    "register_step",
    "steps_of",
]
