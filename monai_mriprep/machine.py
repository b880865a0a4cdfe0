"""What the machine lends to this process."""

from __future__ import annotations

import os
import platform
import re
import sys
from functools import cache
from pathlib import Path
from subprocess import SubprocessError, run

__all__ = ["processor_type", "processors"]

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux tells of its processors."""
VECTORS = ("avx512f", "avx2", "avx", "sve", "asimd")
"""The instructions for vectors by which libraries choose their code, the widest first, as Linux calls them."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def processor_type() -> str:
    """What decides the last bits of what is computed: architecture, model and widest vectors of the processor.

    >>> processor_type()  # doctest: +SKIP
    'x86_64, AMD EPYC 7763 64-Core Processor, avx2'
    """
    try:
        first = CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        first = ""
    facts = {key.lower(): " ".join(value.split()) for key, value in re.findall(r"(?m)^(.*?)\s*:(.*)$", first)}
    vectors = (facts.get("flags") or facts.get("features") or "").split()
    model = facts.get("model name") or " ".join(filter(None, map(facts.get, ("cpu implementer", "cpu part"))))
    known = (platform.machine(), model or _model_elsewhere(), next((one for one in VECTORS if one in vectors), ""))
    return ", ".join(filter(None, known))


def _model_elsewhere() -> str:
    """The model where no file tells it."""
    if sys.platform != "darwin":
        return platform.processor()
    try:
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return run(command, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, SubprocessError):
        return ""
