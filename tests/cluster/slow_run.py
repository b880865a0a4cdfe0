"""The command `run`, whose cases take a while."""

from __future__ import annotations

import sys

from monai_mriprep.cli import main
from monai_mriprep.run import preprocess
from tests.cluster.cases_at_work import slow

if __name__ == "__main__":
    preprocess.process_case = slow
    sys.argv.insert(1, "run")
    main()
