"""`nnunet`: nnU-Net's own commands, many times faster."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from monai_mriprep.cli.show import OK, log, say
from monai_mriprep.cli.signals import Stopped
from monai_mriprep.nnunet.commands import COMMANDS, run_command

__all__ = ["SETTINGS", "nnunet"]

SETTINGS: dict[str, Any] = {
    "context_settings": {"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]}
}
"""Everything after the name of nnU-Net's command is nnU-Net's."""


AFTER_A_STOP = {
    "preprocess": "the same command begins anew: nnU-Net empties the folder first",
    "predict": "the same command with --continue_prediction goes on",
}


def nnunet(
    context: typer.Context,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="preprocess, or predict.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENTS", help="nnU-Net's own; -h after the command shows them."),
    ] = None,
) -> int:
    """Run nnU-Net's preprocessing or prediction with our code in it: the same results, many times faster.

    Its plans stay as they are; nnUNetv2_train and nnUNetv2_predict go on with what comes out. Needs the extra nnunet.
    Exit status: 0 all is done, 1 nnU-Net stopped with an error, 2 not started.
    """
    if command not in COMMANDS:
        msg = f"{command!r}; one of {', '.join(COMMANDS)} is expected"
        raise typer.BadParameter(msg, ctx=context, param_hint="COMMAND")
    if arguments and "--help" in arguments:
        say(context.get_help())
        return OK
    try:
        run_command(command, arguments or [], lambda sentence: log(f"nnunet: {sentence}"))
    except Stopped as stopped:
        stopped.message = f"{stopped.word}; {AFTER_A_STOP[command]}"
        raise
    return OK
