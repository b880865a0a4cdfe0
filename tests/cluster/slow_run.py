"""A run on a cluster whose cases take a while: DATASET_ROOT OUTPUT_ROOT ADDRESS."""

from __future__ import annotations

import sys

from distributed import Client

from monai_mriprep import preprocess
from monai_mriprep.run import preprocess as module
from tests.cluster.cases_at_work import slow

if __name__ == "__main__":
    module.process_case = slow
    with Client(sys.argv[3]) as client:
        preprocess(sys.argv[1], sys.argv[2], client=client)
