"""A user's pattern, searched for in all names by a process of its own, which is stopped where it hangs.

Python's regular expressions try every way to match. A pattern such as ``(a+)+$`` has millions of ways to fail on a name
of thirty letters, and no thread can interrupt the search.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress

from monai_mriprep.errors import PairingError

__all__ = ["compile_pattern", "pattern_keys"]

SECONDS = 5.0
"""For all names of a dataset. Thousands take some milliseconds, the start of the process included some twenty."""

SEARCH = """
import json, re, sys
asked = json.load(sys.stdin)
search = re.compile(asked["pattern"]).search
for name in asked["names"]:
    found = search(name)
    print(json.dumps(found["case"] if found else None), flush=True)
"""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern.

    Raises
    ------
    PairingError
        If it is not a regular expression, or has no group ``case``.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        msg = f"the pattern {pattern!r} is not a regular expression: {error}"
        raise PairingError(msg) from error
    if "case" not in compiled.groupindex:
        msg = f"the pattern {pattern!r} has no group named case; write for example (?P<case>[0-9]+_[0-9]+)"
        raise PairingError(msg)
    return compiled


def pattern_keys(pattern: str, names: Iterable[str]) -> Mapping[str, str | None]:
    """What the group ``case`` matches in each name; None where the pattern does not match, or the group is empty.

    Parameters
    ----------
    pattern
        A regular expression with that group; it is searched for.
    names
        Any text.

    Raises
    ------
    PairingError
        If the pattern is not valid, or hangs on a name, which the message tells.
    """
    compile_pattern(pattern)
    asked = list(dict.fromkeys(names))
    if not asked:
        return {}
    answers = _answers(json.dumps({"pattern": pattern, "names": asked}))
    if len(answers) < len(asked):
        name = asked[len(answers)]
        msg = (
            f"the pattern {pattern!r} was stopped after {SECONDS:g} s, on the name {name!r}: write it so that a part "
            "of a name can match in one way only, without a repetition inside a repetition such as (a+)+"
        )
        raise PairingError(msg)
    return {name: answer or None for name, answer in zip(asked, answers, strict=True)}


def _answers(question: str) -> list[str | None]:
    """An answer for each name, as many as there are when the time is over; only the standard library is loaded."""
    command = [sys.executable, "-I", "-S", "-c", SEARCH]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, encoding="ascii", **pipes) as process:  # type: ignore[call-overload]
        try:
            with suppress(subprocess.TimeoutExpired):
                process.communicate(question, timeout=SECONDS)
        finally:
            process.kill()
        printed, _ = process.communicate()
    return [json.loads(line) for line in printed.splitlines(keepends=True) if line.endswith("\n")]
