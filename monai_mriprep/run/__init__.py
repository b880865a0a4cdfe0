"""Runs: planning, processing case by case, recording, resuming."""

from monai_mriprep.errors import refuse_windows

refuse_windows()
