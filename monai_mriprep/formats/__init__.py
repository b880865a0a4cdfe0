"""One volume file: its name, its header, its voxels, and how they are written."""
