"""The output folder: every name in it, what is written there, and what is believed of it."""

from monai_mriprep.errors import refuse_windows

refuse_windows()
