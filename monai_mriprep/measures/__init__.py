"""What is measured in the voxels of a case as it was scanned. Nothing here needs torch."""
