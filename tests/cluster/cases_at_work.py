"""What workers of a cluster do in the tests; they load it by its name."""

from __future__ import annotations

import os
import signal
import time

from monai_mriprep.run.cases import Case, Job, Result
from monai_mriprep.run.process import process_case

POISONED = "case_13"


def poisoned(job: Job, case: Case) -> Result:
    """The process of one case dies."""
    if case.name == POISONED:
        os.kill(os.getpid(), signal.SIGKILL)
    return process_case(job, case)


def leaving(job: Job, case: Case) -> Result:
    """The process of one case ends."""
    if case.name == POISONED:
        os._exit(3)
    return process_case(job, case)


def slow(job: Job, case: Case) -> Result:
    """Each case takes a while before it is committed, and after."""
    time.sleep(0.1)
    result = process_case(job, case)
    time.sleep(0.05)
    return result


def nothing(case: Case) -> Result:
    """No work at all."""
    return Result(case.name, "done")
