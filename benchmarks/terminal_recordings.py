"""What the commands show on a terminal: recordings by tmux at 80 and 120 columns, to be read line by line.

    python -m benchmarks.terminal_recordings FOLDER [--mixed DATASET] [--only WORD]

Each file in FOLDER is of one command: while it runs, the end of each screen that differs from the one before; and last
all that it has written, with its colours as escape sequences. A number left of a line says how wide it is, where that
is more than the terminal has columns. The tmux server is one of our own, which ends with the script.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from monai_mriprep.formats.write import write_metaimage

SERVER = f"mriprep-recordings-{os.getpid()}"
PAUSE_SECONDS = 0.5
LONGEST_SECONDS = 240
LINES = 8
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
END = "the-end-of-the-recording"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mixed", type=Path, default=Path("/work/shared/data/mixed"))
    parser.add_argument("--only", default="", help="of the commands, those with this word in their names")
    parser.add_argument("--columns", type=int, nargs="+", default=[80, 120])
    given = parser.parse_args()
    for columns in given.columns:
        with tempfile.TemporaryDirectory(prefix="recordings-") as place:
            make_datasets(Path(place))
            with terminal(Path(place), columns):
                for name, line in commands(given.mixed).items():
                    if given.only in name:
                        target = given.folder / str(columns) / f"{name}.txt"
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_text(recorded(line, columns))
                        print(target, flush=True)


def commands(mixed: Path) -> dict[str, str]:
    """The commands to record by name, in their order; each finds what those before have left."""
    ours = "monai-mriprep"
    return {
        "help": f"{ours} --help",
        "help_run": f"{ours} run --help",
        "check": f"{ours} check {shlex.quote(str(mixed))}",
        "check_voxels": f"{ours} check troubled --voxels",
        "check_many": f"{ours} check many",
        "dry_run": f"{ours} run many many-out --dry-run",
        "run": f"{ours} run {shlex.quote(str(mixed))} out",
        "resume": f"{ours} run {shlex.quote(str(mixed))} out",
        "failing": f"{ours} run troubled troubled-out",
        "failing_quiet": f"{ours} run troubled troubled-out -q",
        "failing_verbose": f"{ours} run troubled troubled-out -v",
        "no_terminal": f"{ours} run troubled plain-out 2>&1 | cat",
        "dumb": f"TERM=dumb {ours} run troubled dumb-out",
        "no_colour": f"NO_COLOR=1 {ours} run troubled no-colour-out",
        "many": f"{ours} run many many-out",
        "hostile": f"{ours} run hostile hostile-out -w 0",
        "interrupted": f"timeout -s INT 20 {ours} run many again-out",
        "demo": f"{ours} demo demo",
        "report": f"{ours} report troubled-out",
        "diff": f"{ours} diff troubled-out plain-out",
        "verify": f"{ours} verify troubled-out",
        "refused": f"{ours} run {shlex.quote(str(mixed))} out --set order=1",
        "mistyped": f"{ours} rnu",
    }


def make_datasets(root: Path) -> None:
    """``many``: 1,000 tiny cases, some flawed; ``troubled``: a few of which some fail; ``hostile``: odd names."""
    for number in range(1000):
        write_case(root / "many", f"case_{number:04}", flaw=FLAWS.get(number % 50))
    for number in range(30):
        write_case(root / "troubled", f"p{number:02}", flaw=FLAWS.get(number % 10), shape=(20, 160, 160))
    (root / "troubled/LabelsTr/p29.mha").unlink()
    for name in ("[red]", "[", "a [bold]b[", ":smile:", "a\x1b[2Jb", "x" * 120):
        write_case(root / "hostile", name, flaw="negative")
    write_case(root / "hostile", "[bold] fails", flaw="moved")


FLAWS = {3: "negative", 4: "moved", 5: "negative", 7: "vanishing"}


def write_case(root: Path, name: str, flaw: str | None = None, shape: tuple[int, int, int] = (4, 8, 9)) -> None:
    """A pair: noise, and a label of two classes, as the flaw wants it."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    image, label = draw.integers(1, 900, shape, np.int16), np.zeros(shape, np.int16)
    label[1:3, 2:5, 2:5] = 1
    spacing = (3.0, 1.0, 1.0)
    if flaw == "negative":
        label[0, 0, : 1 + len(name) % 3] = -1
    if flaw == "vanishing":
        spacing, label[0, 0, 1] = (3.0, 0.4, 0.4), 2
    for folder, array in (("ImagesTr", image), ("LabelsTr", label)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        moved = (3.0, 1.0, 2.0) if flaw == "moved" and folder == "LabelsTr" else spacing
        write_metaimage(root / folder / f"{name}.mha", array, moved)


def recorded(line: str, columns: int) -> str:
    """All screens of a command."""
    tmux("send-keys", f"{line}; echo {END[:7]}''{END[7:]}", "Enter")
    screens = list(distinct_screens())
    everything = tmux("capture-pane", "-p", "-e", "-J", "-S", "-")
    tmux("send-keys", "clear; tput clear", "Enter")
    time.sleep(PAUSE_SECONDS)
    tmux("clear-history")
    parts = [f"$ {line}\n"]
    parts += [f"--- screen {number} after {seconds:.1f} s\n{text}\n" for number, (seconds, text) in enumerate(screens)]
    return "\n".join([*parts, "--- all of it", numbered(everything, columns)])


def numbered(text: str, columns: int) -> str:
    """The lines, with the widths of those that are too wide; an escape character as a visible one."""
    lines = text.rstrip().splitlines()
    widths = [len(ESCAPES.sub("", line)) for line in lines]
    marks = (f"{width:4} " if width > columns else "     " for width in widths)
    return "\n".join(f"{mark}{line}" for mark, line in zip(marks, lines, strict=True)).replace("\x1b", "\u241b")


def distinct_screens() -> Iterator[tuple[float, str]]:
    """The ends of screens that differ from the one before, until the command has ended."""
    begun, before = time.monotonic(), ""
    while time.monotonic() - begun < LONGEST_SECONDS:
        text = tmux("capture-pane", "-p").rstrip()
        if END in text:
            return
        if text != before:
            yield time.monotonic() - begun, "\n".join(text.splitlines()[-LINES:])
        before = text
        time.sleep(PAUSE_SECONDS)


@contextmanager
def terminal(place: Path, columns: int) -> Iterator[None]:
    """A session of our own, in which the command of this environment is found."""
    path, package = f"{Path(sys.executable).parent}:{os.environ['PATH']}", Path(__file__).parents[1]
    shell = f"env PATH={shlex.quote(path)} PYTHONPATH={package} PS1='$ ' bash --norc"
    tmux("new-session", "-d", "-x", str(columns), "-y", "40", "-c", str(place), shell)
    try:
        time.sleep(PAUSE_SECONDS)
        yield
    finally:
        tmux("kill-server")
        time.sleep(PAUSE_SECONDS)  # the next one has the same name


def tmux(*words: str) -> str:
    command = ["tmux", "-L", SERVER, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
