"""`demo`: a small synthetic dataset, preprocessed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from monai_mriprep.cli.clock import elapsed
from monai_mriprep.cli.options import Quiet, Verbose, Workers
from monai_mriprep.cli.show import say, summarize

__all__ = ["demo"]


def demo(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist, or one that it has made.")] = Path(
        "demo"
    ),
    workers: Workers = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> int:
    """Make a small synthetic dataset, preprocess it, and show what happened to it."""
    from monai_mriprep.cli.progress import log_lines, watched

    with log_lines(verbose, quiet) as lines, watched(lines) as watch:
        with watch.doing("loading MONAI"):
            from monai_mriprep.demo.make import make_demo
        report = make_demo(folder, workers, watch)
    say(report.text)
    return summarize(replace(report.summary, seconds=elapsed()))
