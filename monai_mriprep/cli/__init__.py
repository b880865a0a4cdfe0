"""The command line. Results go to stdout; progress, warnings and errors to stderr.

Exit status: 0 all well; 1 finished, but some cases failed or something needs attention; 2 could not start;
130 interrupted, 143 terminated.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import Any

import typer

from monai_mriprep.cli.commands import app
from monai_mriprep.cli.show import INTERRUPTED, TERMINATED, fail
from monai_mriprep.errors import MriprepError

__all__ = ["main"]

RESUMES = "interrupted; the same command resumes"


class _Terminated(BaseException):
    """Raised on SIGTERM, so that the workers are ended and the lock is freed."""


def _terminate(signum: int, frame: object) -> None:
    raise _Terminated


def main() -> None:
    """Run the command line. Every `MriprepError` becomes one message and an exit status."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name need not be text
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:  # typer returns it after Ctrl-C, without a message
            status = fail(RESUMES, INTERRUPTED)
    except MriprepError as error:
        status = fail(str(error))
    except (KeyboardInterrupt, typer.Abort):  # older versions of typer turn the first into the second
        status = fail(RESUMES, INTERRUPTED)
    except _Terminated:
        status = fail("terminated; the same command resumes", TERMINATED)
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        status = _usage(error)
    sys.exit(status)


def _usage(error: Any) -> int:
    """Show click's message about a wrong command line."""
    if hasattr(error, "show"):
        error.show()
    return int(error.exit_code)
