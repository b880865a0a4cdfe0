"""The sources of an output folder as nnU-Net's raw data, for tools that read nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_mriprep.dataset.declared import DATASET_JSON, read_declared
from monai_mriprep.dataset.exclusions import Exclusions, read_exclusions
from monai_mriprep.errors import (
    DatasetError,
    GeometryError,
    OutputError,
    RecordError,
    VolumeError,
    counted,
    package_logger,
)
from monai_mriprep.export.nnunet_case import SUFFIX, RawCase
from monai_mriprep.export.nnunet_folder import Entry, RawFolder, opened_raw_folder
from monai_mriprep.formats.names import natural_key, real_path
from monai_mriprep.run.derived import ONE_CHANNEL
from monai_mriprep.store.description import read_description
from monai_mriprep.store.layout import DATASET
from monai_mriprep.store.manifest import Index, read_index
from monai_mriprep.store.record_parts import one_or_several
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.types import IMAGE, LABEL

__all__ = ["ExportSummary", "RefusedCase", "export_nnunet"]

LOGGER = package_logger()

NAME_OF_NNUNET = re.compile(r"Dataset[0-9]{3}_.+")

OURS = "monai_mriprep"
"""The key of ``dataset.json`` that nnU-Net does not know."""


@dataclass(frozen=True)
class RefusedCase:
    """A case that was not exported, and why."""

    case: str
    problem: str


@dataclass(frozen=True)
class ExportSummary:
    """What was done.

    Parameters
    ----------
    folder
        nnU-Net's.
    exported, kept
        Cases that were written, and those that were there already.
    removed
        Cases that were there, and are not among the finished ones any more, or are excluded.
    refused
        Cases whose sources cannot be exported.
    labels
        New numbers by those of the sources.
    notes
        What is still to be done, before nnU-Net finds and understands it.
    """

    folder: Path
    exported: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    refused: tuple[RefusedCase, ...]
    labels: Mapping[int, int]
    notes: tuple[str, ...] = ()


def export_nnunet(output_root: str | Path, folder: str | Path, exclude: str | Path | None = None) -> ExportSummary:
    """Write the sources of all finished cases as nnU-Net's raw data; the same call resumes, and adds what is new.

    Every file is ``.nii.gz`` with the voxels and the geometry of its source: nnU-Net preprocesses it itself. Labels and
    further channels get the exact geometry of the first channel, from which they may differ by the noise of headers.
    Labels are numbered from 1 without gaps, as nnU-Net wants them; ``dataset.json`` has the table, under
    ``monai_mriprep``.

    Parameters
    ----------
    output_root
        Of a run. The cases of a training set go to ``imagesTr`` and ``labelsTr``, those of a test set to ``imagesTs``.
    folder
        New, empty, or one that was exported to before; nnU-Net wants it called ``DatasetNNN_Name``.
    exclude
        A list of cases that are left out, and removed if they were exported before; see
        `monai_mriprep.dataset.exclusions.read_exclusions`. A name that the output folder does not know is logged as a
        warning.

    Raises
    ------
    RecordError
        If there is no finished case, or the list excludes each.
    DatasetError
        If two cases would have the same name, or the list cannot be read.
    DiskFullError, OutputError
        If the folder holds something else or the export of another training set, or cannot be written.
    """
    root, folder, exclusions = Path(output_root), Path(folder), read_exclusions(exclude)
    with open_store(root) as store:
        index = read_index(store.root)
        exclusions.warn_of_unknown(root, index.known())
        records = _finished(index, exclusions)
        names = _declared_channels(store)
    cases = tuple(map(RawCase, records))
    dataset_root = None if index.opened is None else Path(index.opened.dataset_root)
    _check_names(cases)
    _refuse_own_folders(folder, [root] if dataset_root is None else [root, dataset_root], cases)
    with opened_raw_folder(folder) as raw:
        summary = _Export(raw, str(real_path(root)), cases, names).run()
    return replace(summary, notes=(*_name_notes(folder), *_declaration_notes(dataset_root)))


def _finished(index: Index, exclusions: Exclusions) -> list[Done]:
    """The records of the cases to export, in natural order."""
    finished = sorted(index.all_done(), key=lambda record: natural_key(record.case))
    records = [record for record in finished if record.case not in exclusions]
    if not finished:
        msg = f"{index.root.path}: no finished case is recorded there; the output folder of a run is expected"
        raise RecordError(msg)
    if not records:
        msg = f"{exclusions.path}: excludes each case of {index.root.path} ({len(finished)}); keep one at least"
        raise RecordError(msg)
    return records


@dataclass(frozen=True)
class _Export:
    """The export of cases to an open folder."""

    raw: RawFolder
    output_root: str
    cases: tuple[RawCase, ...]
    channels: tuple[str, ...]

    def run(self) -> ExportSummary:
        """Do it."""
        self.check_folder()
        numbers = {old: new for new, old in enumerate(self.classes(), start=1)}
        wanted = [(case, self.entry(case, numbers)) for case in self.cases]
        left = [(case, entry) for case, entry in wanted if not self.raw.holds(entry)]
        departed = self.departed()
        if left or departed:
            self.raw.begin()
        removed = tuple(map(self.remove, departed))
        outcomes = {case.record.case: self.export(case, entry, tuple(numbers)) for case, entry in left}
        self.require_whole_others(numbers)
        self.raw.describe(self.description(numbers))
        return ExportSummary(
            self.raw.path,
            exported=tuple(case for case, refused in outcomes.items() if refused is None),
            kept=tuple(case.record.case for case in self.cases if case.record.case not in outcomes),
            removed=removed,
            refused=tuple(refused for refused in outcomes.values() if refused is not None),
            labels=numbers,
        )

    def check_folder(self) -> None:
        """Refuse files of somebody else, and an export that cannot stand beside this one."""
        folders = {case.folder for case in self.cases} | {LABEL.folder for case in self.cases if case.is_training}
        self.raw.refuse_strangers(file for case in self.cases for file in case.files)
        for other in self.others():
            if not folders.isdisjoint(other.folders) or other.channels != self.cases[0].channels:
                what = f"the export of {other.output_root} ({counted(other.channels, 'channel')})"
                msg = f"{self.raw.path}: it holds {what}; choose another folder"
                raise OutputError(msg)

    def require_whole_others(self, numbers: Mapping[int, int]) -> None:
        """See to it that there is no ``dataset.json`` of another export that was broken off: its labels may be of both.

        Raises
        ------
        OutputError
            If one was, or its files have changed since.
        """
        for other in self.others():
            if not self.raw.is_whole(other) or any(numbers[old] != new for old, new in other.labels.items()):
                self.raw.begin()
                msg = (
                    f"{self.raw.path}: the export of {other.output_root} there was broken off, or its files have "
                    f"changed; {DATASET} comes when that is exported again. These cases are there"
                )
                raise OutputError(msg)

    def departed(self) -> list[Entry]:
        """What was exported of cases that are not to be there any more: withdrawn, retired or excluded."""
        finished = {case.record.case for case in self.cases}
        there = (entry for entry in self.raw.entries.values() if entry.files and self.is_own(entry))
        return [entry for entry in there if entry.case not in finished]

    def remove(self, entry: Entry) -> str:
        """Take a case out of the folder; returns its name."""
        self.raw.remove(entry)
        LOGGER.info("%s: removed, it is no finished case any more, or is excluded", entry.case)
        return entry.case

    def classes(self) -> tuple[int, ...]:
        """Of all cases that can be exported or are there, in order."""
        there = {entry.case for entry in self.raw.entries.values() if entry.files}
        ours = (case.labels for case in self.cases if case.record.case in there or case.problem() is None)
        others = (entry.labels for entry in self.others())
        return tuple(sorted({label for labels in (*ours, *others) for label in labels}))

    def others(self) -> Iterator[Entry]:
        """What another output folder has exported."""
        return (entry for entry in self.raw.entries.values() if entry.files and not self.is_own(entry))

    def is_own(self, entry: Entry) -> bool:
        """Whether this output folder has exported a case."""
        return entry.output_root == self.output_root

    def entry(self, case: RawCase, numbers: Mapping[int, int]) -> Entry:
        """What the ledger is to say of a case."""
        return Entry(
            output_root=self.output_root,
            case=case.record.case,
            name=case.name,
            sources=tuple(file.sha256 for file in case.sources),
            labels={label: numbers.get(label, 0) for label in case.labels},
            files=dict.fromkeys(case.files, (0, 0)),
        )

    def export(self, case: RawCase, wanted: Entry, classes: Sequence[int]) -> RefusedCase | None:
        """Write one case, or say why not; then nothing of it is left in the folder."""
        problem = case.problem() or self.other_channels(case)
        try:
            if problem is None:
                self.raw.add(wanted, case.volumes(classes))
                LOGGER.info("%s: exported", case.record.case)
                return None
        except (VolumeError, GeometryError) as error:
            problem = str(error)
        self.raw.remove(wanted)
        LOGGER.error("refused: %s: %s", case.record.case, problem, extra={"case": case.record.case})
        return RefusedCase(case.record.case, problem)

    def other_channels(self, case: RawCase) -> str | None:
        expected = self.cases[0].channels
        if case.channels == expected:
            return None
        return f"its image has {counted(case.channels, 'channel')}, and that of {self.cases[0].record.case} {expected}"

    def description(self, numbers: Mapping[int, int]) -> dict[str, Any]:
        """``dataset.json``, of all that is in the folder now: nnU-Net's keys, MONAI's two datalists, our own."""
        entries = [entry for entry in self.raw.entries.values() if entry.files]
        items = [_item(entry) for entry in sorted(entries, key=lambda entry: natural_key(entry.name))]
        training = [item for item in items if LABEL.name in item]
        return {
            "channel_names": dict(self.channel_names()),
            "labels": {"background": 0, **{f"label_{old}": new for old, new in numbers.items()}},
            "numTraining": len(training),
            "file_ending": SUFFIX,
            "training": training,
            "test": [item for item in items if LABEL.name not in item],
            OURS: {"labels": numbers, "cases": {entry.name: entry.case for entry in entries}},
        }

    def channel_names(self) -> Iterator[tuple[str, str]]:
        """As the run's ``dataset.json`` has them, else by number. nnU-Net normalises by some names, such as CT."""
        count = self.cases[0].channels
        names = self.channels if len(self.channels) == count else [f"MRI_{number}" for number in range(count)]
        return ((str(number), name) for number, name in enumerate(names))


def _item(entry: Entry) -> dict[str, Any]:
    """The files of a case, by role; several channels are a list."""
    of_label = [file for file in entry.files if file.startswith(f"{LABEL.folder}/")]
    images = [file for file in entry.files if file not in of_label]
    return {IMAGE.name: one_or_several(images), **({LABEL.name: of_label[0]} if of_label else {})}


def _check_names(cases: Sequence[RawCase]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for case in cases:
        other = seen.setdefault((case.folder, case.name), case.record.case)
        if other != case.record.case:
            msg = f"the cases {other!r} and {case.record.case!r} would both be {case.name!r} for nnU-Net; rename one"
            raise DatasetError(msg)


def _refuse_own_folders(folder: Path, roots: Sequence[Path], cases: Sequence[RawCase]) -> None:
    """The export must not land among preprocessed files, or in a dataset, where the next run would find it."""
    place = real_path(folder)
    sources = [Path(file.path).parent for case in cases if not case.record.repaired for file in case.sources]
    if {real_path(path) for path in (*roots, *sources)} & {place, *place.parents}:
        msg = f"{folder}: the export would lie among preprocessed files or sources; choose a folder outside of them"
        raise OutputError(msg)


def _declared_channels(store: Store) -> tuple[str, ...]:
    """Names of the channels by the recipe of the run; none if that cannot be read."""
    with suppress(OutputError):
        description = read_description(store)
        return () if description is None else tuple(description.recipe.get("channels") or ONE_CHANNEL)
    return ()


def _name_notes(folder: Path) -> Iterator[str]:
    if not NAME_OF_NNUNET.fullmatch(real_path(folder).name):
        yield "nnU-Net finds a dataset by a name such as Dataset101_Liver (DatasetNNN_Name): rename the folder"


def _declaration_notes(dataset_root: Path | None) -> Iterator[str]:
    """What the dataset declares beside plain classes: nnU-Net would train on voxels that are to be left out."""
    declared = None if dataset_root is None else read_declared(dataset_root).label_values
    if declared is None:
        return
    what = [f"regions ({name})" for name, values in declared.names.items() if len(values) > 1][:1]
    what += [] if declared.ignore is None else [f"the label {declared.ignore} as one to ignore"]
    if what:
        source = dataset_root and dataset_root / DATASET_JSON
        yield f"{source} declares {' and '.join(what)}, which are plain classes here; declare them in {DATASET}, too"
