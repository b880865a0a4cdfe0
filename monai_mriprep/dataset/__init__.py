"""What is on disk: volumes, pairs, statistics and preprocessed files. No torch, no MONAI."""
