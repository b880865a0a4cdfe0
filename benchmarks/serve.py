"""The measured side: a process that carries out commands which come as lines of JSON.

The answers have a channel of their own, so that libraries may print what they like.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["serve"]


def serve(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Answer until the input ends. A command's result must be what JSON can hold."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"result": commands[name](*arguments)}
        except Exception as error:  # noqa: BLE001 - the driver reports it, and goes on with the other sections
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
