"""How a dataset is laid out, and how its files become cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from monai_mriprep.dataset.case_files import CaseFiles, Grouping, refuse_shared_outputs
from monai_mriprep.dataset.case_labels import pair_cases
from monai_mriprep.dataset.channels import (
    NUMBER,
    CaseOf,
    ChannelFiles,
    case_name,
    channel_endings,
    chosen_channels,
    files_by_case,
    group_by_channel,
    plain,
)
from monai_mriprep.dataset.label_values import LabelValues
from monai_mriprep.errors import DatasetError
from monai_mriprep.formats.names import composed, natural_key
from monai_mriprep.types import ROLES, TEST_ROLES, Role

__all__ = ["Layout", "command_options"]

MOST_CHANNELS = 8
"""The largest number of files of one case in a message."""
SHOWN = 3
"""The largest number of cases in a message."""

ONE_CHANNEL = "its training set has one channel: put its images into a folder alone"
RENAME = "they are those of its training set: let the names end in them, of the files or of links to them"


@dataclass(frozen=True)
class Layout:
    """Where the files of a dataset are, and what its names and its ``dataset.json`` say of them.

    Parameters
    ----------
    kind
        The layout, in words.
    root
        The dataset.
    images, labels
        The folders that the names are relative to; no folder of labels in a test set. They are one folder where
        images and labels lie side by side.
    image_names, label_names
        The files, in natural order.
    case_of
        Tells the case of an image or a label, where folders or the rules of the layout do; without it, images and
        labels are paired by their stems, as `pair_names` does it.
    given
        The files of each case, where the dataset lists them: one for each channel that it declares.
    channels
        The names of the channels that the dataset declares, in order; empty if it declares none, or one.
    only_channel
        The name of the channel, if it declares one.
    label_values
        What it declares of its labels.
    suffixes
        What the names of the files of a case end in, where several make a case and nothing declares it.
    test_images
        The folder of its test images, if it has one.
    seen
        What was recognised, a sentence.
    proposed
        Keys of a recipe that a run of it needs besides, and their values.
    notes
        What is not read or left out, a sentence each.
    """

    kind: str
    root: Path
    images: Path
    labels: Path | None
    image_names: tuple[str, ...] = field(repr=False)
    label_names: tuple[str, ...] = field(default=(), repr=False)
    case_of: CaseOf | None = field(default=None, repr=False, compare=False)
    given: Mapping[str, tuple[str, ...]] | None = field(default=None, repr=False)
    channels: tuple[str, ...] = ()
    only_channel: str | None = None
    label_values: LabelValues | None = None
    suffixes: tuple[str, ...] = ()
    test_images: Path | None = None
    seen: str = ""
    proposed: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """What is proposed, as on the command line."""
        return command_options(self.proposed)

    @property
    def by_role(self) -> dict[Role, Path]:
        """The folder of each role of a case."""
        if self.labels is None:
            return dict.fromkeys(TEST_ROLES, self.images)
        return dict(zip(ROLES, (self.images, self.labels), strict=True))

    @property
    def input_folders(self) -> tuple[Path, ...]:
        """The folders that hold its files; where they are listed, those alone that hold one."""
        if self.given is None:
            return tuple(self.by_role.values())
        return tuple(dict.fromkeys((self.images / name).parent for name in (*self.image_names, *self.label_names)))

    @property
    def own_folders(self) -> tuple[Path, ...]:
        """Folders of images alone or of labels alone, in which files that are not volumes are worth a warning."""
        return tuple(self.by_role.values()) if self.case_of is None else ()

    def cases(
        self, channels: Sequence[str] | None = None, pattern: str | None = None, with_labels: bool = True
    ) -> Grouping:
        """Sort the files into cases.

        Several files make one case only where the channels are declared: here, by the dataset, or by files
        ``X_0000``, ``X_0001``, ... beside a label ``X``. Such a case is named without what its files end in. Where no
        file ends in the name or number of a channel, each file is a case and holds all channels.

        Parameters
        ----------
        channels
            The names of the channels, in order, as a recipe or the record of a training set gives them.
        pattern
            A regular expression with a group ``case``, by which images and labels are paired; it is searched for in
            stems (with the folder before them, where files lie in folders), of several channels in the first one's.
        with_labels
            Otherwise every image is a case, and labels do not count.

        Raises
        ------
        DatasetError
            If it is unclear which files make a case, or two files would be one channel, or two outputs have one name.
        PairingError
            As `pair_names`.
        """
        wanted = tuple(channels or self.channels) or (() if pattern or not with_labels else self._numbers())
        images, others = self._grouped(wanted)
        if not with_labels:
            grouping = Grouping(tuple(CaseFiles(case_name(case), files) for case, files in images.items()))
        elif self.labels is None:
            msg = f"{self.root} holds no labels: it is a test set"
            raise DatasetError(msg)
        else:
            grouping = pair_cases(images, self.label_names, (self.images, self.labels), self.case_of, pattern)
        refuse_shared_outputs(grouping.cases)
        return replace(grouping, channels=wanted, notes=(*self.notes, *_left_out(others, wanted)))

    def _grouped(self, channels: tuple[str, ...]) -> ChannelFiles:
        """The files of each case, by what tells it: a list, its name, or its folder."""
        if self.given is not None:
            return ChannelFiles(chosen_channels(self.given, channels, self.channels), ())
        endings = channel_endings(self._not_labelled(), channels, self.channels) if channels else ()
        if endings:
            return group_by_channel(self.image_names, endings, self.case_of)
        if self.case_of is None:
            return ChannelFiles({plain(name): (name,) for name in self.image_names}, ())
        found = files_by_case(self.image_names, self.case_of)
        if any(len(files) > 1 for files in found.values()):
            raise DatasetError(self._unclear(found, channels))
        return ChannelFiles(found, ())

    def _not_labelled(self) -> Iterable[str]:
        """Images without a label of their own stem: ``10000_0001`` with such a label is no channel of ``10000``."""
        labels = {composed(plain(name)) for name in self.label_names} if self.case_of is None else set()
        return (name for name in self.image_names if composed(plain(name)) not in labels)

    def _numbers(self) -> tuple[str, ...]:
        """The numbers that declare channels: those of files ``X_0000``, ``X_0001``, ... beside labels ``X``."""
        if self.case_of is not None:
            return ()
        labels = {composed(plain(name)) for name in self.label_names}
        images = [composed(plain(name)) for name in self.image_names]
        found: dict[str, tuple[str, ...]] = {name: () for name in images if name in labels}
        free = labels.difference(found)
        for name in images:
            if (numbered := NUMBER.fullmatch(name)) and numbered[1] in free and name not in labels:
                found[numbered[1]] = (*found.get(numbered[1], ()), numbered[2])
        if all(len(numbers) < 2 for numbers in found.values()):
            return ()
        if len(set(found.values())) > 1:
            raise DatasetError(_unequal(self.images, found))
        numbers = next(iter(found.values()))
        if self.only_channel is not None:
            raise DatasetError(self._contradicts(numbers))
        return numbers

    def _contradicts(self, numbers: Sequence[str]) -> str:
        """Say that the files of a case are more than the one channel that is declared."""
        files = ", ".join(f"_{number}" for number in numbers)
        return (
            f"{self.root}: dataset.json declares one channel, {self.only_channel}, and each case has {files}: "
            f"name all of them there, or say which are meant (--channels {','.join(numbers)}, or one of them)"
        )

    def _unclear(self, found: Mapping[str, Sequence[str]], channels: Sequence[str]) -> str:
        """Say that several files may make a case, and what declares it."""
        case, files = next((case, files) for case, files in found.items() if len(files) > 1)
        shown = ", ".join(Path(name).name for name in files[:MOST_CHANNELS])
        more = ", ..." if len(files) > MOST_CHANNELS else ""
        several = f"{self.root}: the case {case_name(case)!r} has several images ({shown}{more})"
        if channels:
            several += f", and not one name ends in a channel's: {', '.join(channels)}"
        if self.labels is None:
            return f"{several}; {RENAME if channels else ONE_CHANNEL}"
        declare = " ".join(self.options) or "--channels NAME,NAME, with what the names of the files end in"
        if channels:
            return f"{several}; give {declare}"
        return f"{several}, and nothing declares the channels ({_by_count(found)}): add {declare}"


def command_options(keys: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of a recipe and their values, as options of a command."""
    words = (
        ("--channels", ",".join(value)) if key == "channels" else ("--set", f"{key}={value}")
        for key, value in keys.items()
    )
    return tuple(chain.from_iterable(words))


def _by_count(found: Mapping[str, Sequence[str]]) -> str:
    """The cases by their number of images, the first of each."""
    cases: dict[int, list[str]] = defaultdict(list)
    for case in sorted(found, key=natural_key):
        cases[max(1, len(found[case]))].append(case_name(case))
    return "; ".join(
        f"{count} in {', '.join(alike[:SHOWN])}{f' and {len(alike) - SHOWN} more' if len(alike) > SHOWN else ''}"
        for count, alike in sorted(cases.items())
    )


def _unequal(folder: Path, found: Mapping[str, Sequence[str]]) -> str:
    numbers = sorted({number for numbers in found.values() for number in numbers})
    return (
        f"{folder}: the cases have different numbers of images ({_by_count(found)}), and nothing declares the "
        f"channels: add --channels {','.join(numbers)}, so that a case that lacks one fails by name, or complete them"
    )


def _left_out(others: Sequence[str], channels: Sequence[str]) -> tuple[str, ...]:
    if not others:
        return ()
    files = f"{others[0]} is" if len(others) == 1 else f"{others[0]} and {len(others) - 1} more images are"
    return (
        f"{files} left out: not of {'the channel' if len(channels) == 1 else 'the channels'} {', '.join(channels)}",
    )
