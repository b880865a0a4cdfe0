"""A process that has loaded MONAI once and forks real runs: ``main()`` of the command line, each in its own session.

Importing MONAI takes four seconds, and tests start a hundred runs. Requests and replies are lines of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from typing import Any

alive: set[int] = set()


def serve() -> None:
    import monai_mriprep.run.preprocess  # noqa: F401  loads MONAI, once

    reply("ready")
    try:
        for line in sys.stdin:
            request = json.loads(line)
            reply(start(**request["start"]) if "start" in request else wait(*request["wait"]))
    finally:
        for child in alive:  # a test has failed, and nobody waits for its run
            os.killpg(child, signal.SIGKILL)


def reply(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def start(arguments: list[str], **options: Any) -> int:
    """Fork a run; returns its process id, which is its session's and process group's too."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.close(sender)
            run(arguments, **options)
        finally:
            os._exit(99)
    os.close(sender)
    os.read(receiver, 1)  # ends when the child has its session
    os.close(receiver)
    alive.add(child)
    return child


def run(
    arguments: list[str],
    log: str,
    errors: str,
    cwd: str | None,
    environment: dict[str, str],
    fault: list[Any] | None,
    memory: int | None,
) -> None:
    from monai_mriprep.cli import main
    from tests.stress import faults

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, path in ((1, log), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), descriptor)
    os.chdir(cwd or ".")
    os.environ.clear()
    os.environ.update(environment)
    if fault:
        faults.inject(*fault)
    if memory:
        virtual = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
        resource.setrlimit(resource.RLIMIT_AS, (virtual + memory, virtual + memory))
    sys.argv = ["monai-mriprep", *arguments]
    status = 99
    try:
        main()
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    except BaseException:  # noqa: BLE001  as the interpreter does
        sys.excepthook(*sys.exc_info())
        status = 1
    import multiprocessing.util

    multiprocessing.util._exit_function()  # what the interpreter runs at its end, too
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def wait(process: int, seconds: float) -> int | None:
    """Exit status as a shell gives it (128 + signal), or None if it still runs."""
    end = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            alive.discard(process)
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if time.monotonic() > end:
            return None
        time.sleep(0.005)


if __name__ == "__main__":
    serve()
