"""Preprocess a dataset on workers that SLURM starts: python dask_jobqueue_slurm.py DATASET_ROOT OUTPUT_ROOT.

Needs `pip install 'monai-mriprep[dask]' dask-jobqueue`, on a node from which jobs can be submitted. This process keeps
the records, so it must live as long as the run: start it inside a job of its own, or in tmux. Started again, it goes on
where it was. Dataset and output folder must have the same paths on all nodes.
"""

import sys

from dask.distributed import Client
from dask_jobqueue import SLURMCluster

from monai_mriprep import preprocess

JOBS = 10
PROCESSES = 8
"""Of one job: each works on one case at a time."""
MEMORY_GB = 32
"""Of one job. A process has 600 MB of it for the program; the rest is for its case."""


def main(dataset_root: str, output_root: str) -> int:
    """Exit status: 0 all went well, 1 some cases failed."""
    for_a_case = MEMORY_GB * 10**9 // PROCESSES - 600 * 2**20
    cluster = SLURMCluster(
        cores=PROCESSES,  # one thread a process
        processes=PROCESSES,
        memory=f"{MEMORY_GB}GB",
        walltime="12:00:00",
        job_extra_directives=["--requeue"],
        worker_extra_args=["--resources", f"memory={for_a_case}"],
        # queue="short", account="lab", interface="ib0": as your cluster has them
    )
    cluster.scale(jobs=JOBS)
    with cluster, Client(cluster) as client:
        summary = preprocess(dataset_root, output_root, client=client)
    print(f"{len(summary.done)} done, {len(summary.skipped)} done before, {len(summary.failed)} failed")
    for result in summary.failed:
        print(f"{result.case}: {result.error}")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
