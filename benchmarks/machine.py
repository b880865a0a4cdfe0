"""Name the machine, and say whether it was idle. Linux only."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Clock", "describe_machine", "versions_in"]

PACKAGES = (
    *("monai-mriprep", "monai", "torch", "itk", "SimpleITK", "nnunetv2", "torchio"),
    *("numpy", "scipy", "scikit-image", "isal", "blosc2", "batchgenerators"),
)
BUSY_LIMIT = 0.05
"""A larger share of the cores at work before we have started means that others are working."""
LOAD_LIMIT = 0.5
"""A larger load average means that others were working a moment ago."""

_VERSIONS = """
import importlib.metadata as m, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Clock:
    """The kernel's count of what the cores did, in ticks."""

    busy: int
    idle: int
    stolen: int

    @classmethod
    def read(cls) -> Clock:
        """As of now."""
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        user, nice, system, idle, waiting, irq, softirq, stolen = (int(field) for field in fields[:8])
        return cls(user + nice + system + irq + softirq, idle + waiting, stolen)

    def shares_since(self, start: Clock) -> dict[str, float]:
        """Shares of all core time since `start`: at work, and taken away by the host."""
        busy, stolen = self.busy - start.busy, self.stolen - start.stolen
        total = max(1, busy + stolen + self.idle - start.idle)
        return {"busy": round(busy / total, 4), "stolen": round(stolen / total, 4)}


def describe_machine(seconds: float = 2.0) -> dict[str, Any]:
    """CPU, cores, memory, system, and how busy others keep it; `seconds` is for how long that is watched."""
    start = Clock.read()
    time.sleep(seconds)
    shares, load = Clock.read().shares_since(start), os.getloadavg()
    facts = _cpu_facts()
    return {
        "cpu": facts.get("model name", platform.processor() or platform.machine()),
        "vector_units": [name for name in ("avx2", "avx512f") if name in facts.get("flags", "").split()],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "load_average": [round(value, 2) for value in load],
        "busy_before": shares["busy"],
        "stolen_before": shares["stolen"],
        "idle": shares["busy"] + shares["stolen"] <= BUSY_LIMIT and load[0] <= LOAD_LIMIT,
    }


def _cpu_facts() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def versions_in(python: Path) -> dict[str, str]:
    """Versions of Python and of the packages that matter, in the environment of an interpreter."""
    text = subprocess.run([python, "-c", _VERSIONS, *PACKAGES], check=True, capture_output=True, text=True).stdout
    found: dict[str, str] = json.loads(text)
    return found
