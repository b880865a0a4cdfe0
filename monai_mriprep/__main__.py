"""``python -m monai_mriprep``."""

from monai_mriprep.cli import main

if __name__ == "__main__":
    main()
