"""A small run that meets in its output folder all that a run may find there, and what must be true after it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from monai_mriprep.recipe import Recipe
from monai_mriprep.run.engines import ThisMachine
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.preprocess import execute
from monai_mriprep.run.process import process_case
from monai_mriprep.run.session import RunSummary, open_session
from monai_mriprep.store import calls, recorder
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.store import open_store
from monai_mriprep.store.writers import Writer, this_writer
from monai_mriprep.verify.audit import verify_output
from tests.runs import OUTPUT_FOLDERS, case_of, left_over, outputs, write_case
from tests.stress.stand_in import Crash

RECIPE = Recipe(target_spacing=(2.0, 1.0, 1.0))
CASES = {
    "again": "done before, of a source that has changed since",
    "done": "done before",
    "half": "finished by a writer that died between the moves of its two files",
    "new": "not done before",
    "waiting": "finished by a writer that died before it moved a file",
}
LEFT = "left"
"""Done before, and not in the dataset any more: its files are retired."""
UNWANTED = "unwanted"
"""Done before, and excluded by a list since: its files are retired, too."""

FOREIGN = ("notes.txt", ".partial/notes.txt", "mine/notes.txt")
"""Files in the output folder that are none of ours."""


def dead_writer(number: int = 1) -> Writer:
    """One that had the process id of this one, and has ended."""
    return replace(this_writer(), start=str(number))


def cleared(output: Path) -> Path:
    """A place where nothing is."""
    shutil.rmtree(output, ignore_errors=True)
    return output


def bury(output: Path) -> None:
    """What this process has left becomes what a dead one has left, as the next run finds it."""
    mine = this_writer()
    for number, path in enumerate(sorted((output / ".partial").glob(f"{mine.name}*"))):
        path.rename(path.with_name(path.name.replace(mine.name, dead_writer(2 + number).name)))


@dataclass(frozen=True)
class Scenario:
    """The dataset, the output folder as a run finds it, and what it must hold in the end.

    Parameters
    ----------
    dataset, start
        Where they are; neither is changed.
    before, expected
        Hash of each volume, before and after.
    exclude
        The list of excluded cases, once there is one.
    """

    dataset: Path
    start: Path
    before: dict[str, str]
    expected: dict[str, str]
    exclude: Path | None = None

    def begin(self, output: Path) -> Path:
        """Lay out a copy of the start in place of what is there."""
        return Path(shutil.copytree(self.start, cleared(output)))

    def run(self, output: Path) -> RunSummary:
        """One run, in this process."""
        with open_session(plan_run(self.dataset, output, RECIPE, exclude=self.exclude)) as session:
            return execute(session, ThisMachine.limited(0))

    def half_pairs(self, output: Path) -> set[str]:
        """Cases whose two files are not of one generation."""
        now = outputs(output)
        return {case for case in CASES if len({self._generation(now, case, folder) for folder in OUTPUT_FOLDERS}) == 2}

    def _generation(self, now: dict[str, str], case: str, folder: str) -> str:
        place = f"{folder}/{case}.npz"
        known = {None: "absent", self.before.get(place): "old", self.expected[place]: "new"}
        return known[now.get(place)]  # a KeyError: neither the file before nor the one after

    def judge_end(self, output: Path) -> None:
        """After a run that nothing disturbed."""
        assert outputs(output) == self.expected
        assert retired(output) == {
            place: digest for place, digest in self.before.items() if LEFT in place or UNWANTED in place
        }
        assert [finding.subject for finding in verify_output(output, workers=1).findings] == [".partial"]
        assert left_over(output) == ["notes.txt"]


def retired(output: Path) -> dict[str, str]:
    """The files of cases that have left the dataset, each by its place before."""
    return outputs(output / "retired")


def cases_of(entries: Collection[str]) -> set[str]:
    """Of these entries of journals."""
    return {case for case in CASES if entry_name(case) in entries}


def entered(output: Path) -> set[str]:
    """Cases that the journal of some writer holds."""
    return cases_of({path.name for path in (output / ".partial").rglob("*.journal")})


def foreign(output: Path) -> dict[str, tuple[bytes, int, int]]:
    """The files that are none of ours: content, time and identity."""
    found = {name: output / name for name in FOREIGN}
    return {name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for name, path in found.items()}


def make_scenario(folder: Path) -> Scenario:
    """Lay out a dataset and an output folder."""
    dataset, start = folder / "dataset", folder / "start"
    for seed, case in enumerate(("again", "done", LEFT, UNWANTED)):
        write_case(dataset, case, seed=seed)
    scenario = Scenario(dataset, start, {}, {})
    scenario.run(start)
    for kind in ("ImagesTr", "LabelsTr"):
        (dataset / kind / f"{LEFT}.mha").unlink()
    for seed, case in enumerate(("half", "new", "waiting", "again")):
        write_case(dataset, case, seed=10 + seed)
    for moves, case in enumerate(("waiting", "half")):
        _die_after(moves, scenario, case)
    waste = start / ".partial" / dead_writer().name / f"12-{'0' * 32}.npz"
    waste.write_bytes(b"begun")
    for name in FOREIGN:
        (start / name).parent.mkdir(exist_ok=True)
        (start / name).write_text(name, encoding="utf-8")
    exclude = folder / "exclude.txt"
    exclude.write_text(f"{UNWANTED}  # the label lies in the air\n", encoding="utf-8")
    scenario = replace(scenario, before=outputs(start), exclude=exclude)
    undisturbed = scenario.begin(folder / "undisturbed")
    scenario.run(undisturbed)
    return replace(scenario, expected=outputs(undisturbed))


def _die_after(moves: int, scenario: Scenario, case: str) -> None:
    plan = plan_run(scenario.dataset, scenario.start, RECIPE)
    with open_store(plan.job.output_root, dead_writer().name) as store:
        store.make_folders([store.writer], store.partial)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "rename", _crash_after(moves, calls.rename))
        with pytest.raises(Crash):
            process_case(replace(plan.job, writer=dead_writer().name), case_of(scenario.dataset, case))


def _crash_after(count: int, call: Callable[..., None]) -> Callable[..., None]:
    left = iter(range(count))

    def counted(*arguments: object) -> None:
        if next(left, None) is None:
            raise Crash
        call(*arguments)

    return counted


@contextmanager
def small_groups() -> Iterator[None]:
    """Groups of records by number alone, so that the same calls are made each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "GROUP_RECORDS", 2)  # a run of this size has several groups
        patch.setattr(recorder, "GROUP_SECONDS", float("inf"))
        yield
