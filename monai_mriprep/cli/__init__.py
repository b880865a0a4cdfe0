"""The command line. Results go to stdout; progress, warnings and errors to stderr.

Exit status: 0 all well; 1 finished, but some cases failed or something needs attention; 2 could not start;
130 interrupted, 143 terminated. What cannot be written to stdout or stderr does not change it, but that of `lock`,
which is its result.
"""

from __future__ import annotations

import io
import sys
from signal import SIGINT
from typing import Any

from monai_mriprep.cli import clock
from monai_mriprep.cli.signals import Stopped, end_at_once_on_signals, stop_on_signals
from monai_mriprep.cli.streams import drop_what_cannot_be_written, lost_result

__all__ = ["main"]


def main() -> None:
    """Run the command line. Every `MriprepError` becomes one message and an exit status."""
    clock.begin()
    try:
        try:
            stop_on_signals()
            drop_what_cannot_be_written()
            status = _command()
        finally:
            end_at_once_on_signals()
    except Stopped as stopped:
        status = _say(stopped)
    except KeyboardInterrupt:  # Ctrl-C before `stop_on_signals` was done
        status = _say(Stopped(SIGINT))
    sys.exit(status)


def _say(stopped: Stopped) -> int:
    from monai_mriprep.cli.show import fail

    return fail(stopped.message, stopped.status)


def _command() -> int:
    """Run the command that `sys.argv` names; the exit status."""
    from monai_mriprep.cli.app import app  # takes as long as an impatient Ctrl-C
    from monai_mriprep.cli.show import fail, warn
    from monai_mriprep.errors import MriprepError, refuse_windows

    try:
        refuse_windows()
    except ImportError as error:
        return fail(str(error))
    try:
        status = int(app(prog_name="monai-mriprep", standalone_mode=False))
    except MriprepError as error:
        return fail(str(error))
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        return _usage(error)
    if lost := lost_result():
        warn([f"a part of the result could not be written to stdout ({lost})"])
    return status


def _usage(error: Any) -> int:
    """Show click's message about a wrong command line; for an option that does not exist, with the nearest one."""
    from difflib import get_close_matches

    from monai_mriprep.cli.show import log

    if possibilities := getattr(error, "possibilities", None):
        (nearest,) = get_close_matches(error.option_name, possibilities, n=1, cutoff=0)
        error.message, error.possibilities = f"{error.message}. Did you mean {nearest!r}?", None
    if hasattr(error, "show"):
        said = io.StringIO()
        error.show(said)
        log(said.getvalue().rstrip("\n"))
    return int(error.exit_code)
