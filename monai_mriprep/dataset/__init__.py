"""A folder of volumes: pairs, statistics, target spacing, and checks before a run. No torch, no MONAI."""
