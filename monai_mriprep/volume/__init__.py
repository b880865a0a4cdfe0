"""The mathematics: grids, resampling, intensities and labels. No files, no MONAI."""
