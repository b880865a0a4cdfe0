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
    """SIGTERM, raised so that workers are ended and the lock is freed on the way out."""


def _terminate(signum: int, frame: object) -> None:
    raise _Terminated


def main() -> None:
    """Run the command line; every error that we raise on purpose becomes one message."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be text
    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:  # typer makes it of Ctrl-C, without a word
            status = fail(RESUMES, INTERRUPTED)
    except MriprepError as error:
        status = fail(str(error))
    except (KeyboardInterrupt, typer.Abort):  # older versions of it make the one of the other
        status = fail(RESUMES, INTERRUPTED)
    except _Terminated:
        status = fail("terminated; the same command resumes", TERMINATED)
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        status = _usage(error)
    sys.exit(status)


def _usage(error: Any) -> int:
    """Show what click found wrong with the command line."""
    if hasattr(error, "show"):
        error.show()
    return int(error.exit_code)
