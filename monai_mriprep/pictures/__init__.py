"""Pictures of cases: three planes of each scan, through one place in the world, with the outlines of its label.

numpy makes them and pillow encodes them, which is loaded when the first one is drawn.
"""

from monai_mriprep.pictures.draw import draw
from monai_mriprep.pictures.scan import Scan

__all__ = ["Scan", "draw"]
