"""Which file is which channel of which case, by what the names end in.

``case_t1.nii.gz``, ``BraTS-GLI-00000-000-t1c.nii.gz`` and ``case_0001.nii.gz`` end in a channel: its name, or its
number in four digits, after ``_``, ``-`` or ``.``. What comes before is the case, unless a folder tells the case;
there, the whole stem may be the channel (``case01/t1.nii.gz``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from monai_mriprep.errors import DatasetError
from monai_mriprep.formats.names import composed, natural_key, suffix_of

__all__ = [
    "NUMBER",
    "CaseOf",
    "ChannelFiles",
    "case_name",
    "channel_endings",
    "chosen_channels",
    "files_by_case",
    "group_by_channel",
    "plain",
    "usual_order",
]

CaseOf = Callable[[str], str]
"""Gives the case of a file by its name, with the folders it lies in; nothing where what its name ends in decides."""

NUMBER = re.compile(r"(?s)(.+)_([0-9]{4})")
"""The stem of a numbered file: the case, and nnU-Net's number of the channel."""

USUAL_ORDER = (
    "t1", "t1n", "t1w", "t1ce", "t1c", "t1gd", "t2", "t2w", "flair", "t2f", "adc", "hbv", "dwi",
)  # fmt: skip
"""How people list them, of BraTS and PI-CAI above all."""


class ChannelFiles(NamedTuple):
    """The images of a dataset, grouped.

    Parameters
    ----------
    cases
        The files of each case by its name, in the order of the channels. A file that is missing has the name that it
        would have.
    others
        The files that are no channel of a case.
    """

    cases: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...]


def plain(name: str) -> str:
    """A name without its volume suffix, with the folders that it lies in.

    >>> plain("case01/t1.nii.gz")
    'case01/t1'
    """
    return name[: len(name) - len(suffix_of(name) or "")]


def usual_order(channels: Iterable[str]) -> tuple[str, ...]:
    """Names of channels as people list them, then those that are not known, in natural order."""
    known = {name: index for index, name in enumerate(USUAL_ORDER)}
    return tuple(sorted(channels, key=lambda name: (known.get(name.lower(), len(known)), natural_key(name))))


def case_name(case: str) -> str:
    """The name of a case: of its folder, without those above it."""
    return case.rpartition("/")[2]


def files_by_case(names: Iterable[str], case_of: CaseOf) -> dict[str, tuple[str, ...]]:
    """The files of each case, in natural order of the cases."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[case_of(name) or plain(name)].append(name)
    return {case: tuple(found[case]) for case in sorted(found, key=natural_key)}


def channel_endings(names: Iterable[str], channels: Sequence[str], declared: Sequence[str] = ()) -> tuple[str, ...]:
    """What the stems of the files of each channel end in; empty if no name tells: each file holds them all.

    Parameters
    ----------
    names
        Of the files.
    channels
        The channels that are wanted, in order.
    declared
        Names for the numbers 0, 1, ..., where the dataset gives them.

    Raises
    ------
    DatasetError
        If no case has a file of one of the channels; if files are numbered and there are more numbers than channels, so
        that it is unclear which are meant; if no name tells, and the dataset declares other channels, or another order.
    """
    stems = [plain(name) for name in names]
    numbers = {found[2] for stem in stems if (found := NUMBER.fullmatch(stem))}
    number_of = {name.lower(): f"{number:04d}" for number, name in enumerate(declared)}
    if numbers and numbers.issubset(number_of.values()) and all(name.lower() in number_of for name in channels):
        return _all_there(channels, [number_of[name.lower()] for name in channels], numbers)
    ends = _ending_in(channels, re.IGNORECASE)
    found_names = {found[2].lower() for stem in stems if (found := ends.fullmatch(stem))}
    if found_names:
        return _all_there(channels, channels, found_names)
    if declared:
        _refuse_undeclared(channels, declared)
    by_position = [f"{number:04d}" for number in range(len(channels))]
    if by_position[0] not in numbers or len(numbers) == len(channels) == 1:
        _refuse_other_order(channels, declared)
        return ()
    if unnamed := numbers.difference(by_position):
        msg = (
            f"the files are numbered {', '.join(sorted(numbers))}, and the channels are {', '.join(channels)}: it is "
            f"unclear which of them is number {min(unnamed)}. Name the channels by their numbers, or all of them"
        )
        raise DatasetError(msg)
    return _all_there(channels, by_position, numbers)


def _all_there(channels: Sequence[str], endings: Sequence[str], found: Container[str]) -> tuple[str, ...]:
    """These endings, if each is found: a channel that no case has is rather a mistake."""
    for channel, ending in zip(channels, endings, strict=True):
        if ending.lower() not in found:
            msg = (
                f"not one image is of the channel {channel}: no name ends in {ending!r}. The channels are "
                f"{', '.join(channels)}; is one of them misspelt, or are its files missing?"
            )
            raise DatasetError(msg)
    return tuple(endings)


def group_by_channel(names: Iterable[str], endings: Sequence[str], case_of: CaseOf | None = None) -> ChannelFiles:
    """Group files into cases.

    Parameters
    ----------
    names
        Of the files.
    endings
        Of the channels, as `channel_endings` gives them. The case of their letters counts where a case has both.
    case_of
        Tells the case of a file; else what comes before the ending is the case.

    Raises
    ------
    DatasetError
        If two files are one channel of a case.
    """
    split = _splitter(endings)
    found: dict[str, dict[int, _Part]] = defaultdict(dict)
    others = []
    for name in names:
        part = split(name)
        case = "" if part is None else (case_of(name) if case_of else "") or composed(part.case)
        if part is None or not case:
            others.append(name)
        else:
            others += _add(found[case], part)
    cases = {case: _complete(found[case], endings) for case in sorted(found, key=natural_key)}
    return ChannelFiles(cases, tuple(others))


def chosen_channels(
    cases: Mapping[str, tuple[str, ...]], channels: Sequence[str], declared: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """The files of some channels of cases that have one for each declared channel.

    Raises
    ------
    DatasetError
        If a channel is not declared.
    """
    if tuple(channels) in ((), tuple(declared)) or not declared:
        return cases
    _refuse_undeclared(channels, declared)
    number_of = {name.lower(): number for number, name in enumerate(declared)}
    numbers = [number_of[name.lower()] for name in channels]
    return {case: tuple(files[number] for number in numbers) for case, files in cases.items()}


def _refuse_undeclared(channels: Sequence[str], declared: Sequence[str]) -> None:
    """Refuse names that the dataset does not know: its numbers would be taken for other channels than they are."""
    known = {name.lower() for name in declared}
    if unknown := [name for name in channels if name.lower() not in known]:
        msg = (
            f"the channel {unknown[0]} is none of those that the dataset.json declares, {', '.join(declared)}, and no "
            f"file ends in it; the channels are {', '.join(channels)}: take its names, or write these into it"
        )
        raise DatasetError(msg)


def _refuse_other_order(channels: Sequence[str], declared: Sequence[str]) -> None:
    """Refuse some of the channels, or another order, where each file holds all that are declared."""
    if declared and [name.lower() for name in channels] != [name.lower() for name in declared]:
        msg = (
            f"each image file holds the channels {', '.join(declared)}, in this order, as the dataset.json says: "
            f"{', '.join(channels)} can be taken only from a file for each channel, whose name ends in the channel's"
        )
        raise DatasetError(msg)


class _Part(NamedTuple):
    """A file that is a channel: its name, what comes before the ending, the channel, and whether letters are alike."""

    name: str
    case: str
    channel: int
    is_exact: bool


def _ending_in(endings: Iterable[str], flags: int = 0) -> re.Pattern[str]:
    """A stem that is one of these in its folder, or ends in one; the longest counts."""
    return re.compile(rf"(?:.*/|(.*?)[_.-])?({'|'.join(map(re.escape, endings))})", flags | re.DOTALL)


def _splitter(endings: Sequence[str]) -> Callable[[str], _Part | None]:
    exact, alike = _ending_in(endings), _ending_in(endings, re.IGNORECASE)
    index = {ending: channel for channel, ending in enumerate(endings)}
    by_letters = {ending.lower(): channel for ending, channel in reversed(index.items())}

    def split(name: str) -> _Part | None:
        stem = plain(name)
        if found := exact.fullmatch(stem):
            return _Part(name, found[1] or "", index[found[2]], is_exact=True)
        if found := alike.fullmatch(stem):
            return _Part(name, found[1] or "", by_letters[found[2].lower()], is_exact=False)
        return None

    return split


def _add(case: dict[int, _Part], part: _Part) -> list[str]:
    """Note the file of a channel; returns the one that gives way to it, or gives way, because its letters differ."""
    other = case.get(part.channel)
    if other is None or part.is_exact > other.is_exact:
        case[part.channel] = part
        return [] if other is None else [other.name]
    if part.is_exact < other.is_exact:
        return [part.name]
    msg = f"{other.name!r} and {part.name!r} would be one channel of one case: move one of them away, or rename it"
    raise DatasetError(msg)


def _complete(case: Mapping[int, _Part], endings: Sequence[str]) -> tuple[str, ...]:
    """The names of all channels of a case; those that are missing after the pattern of the first that is there."""
    model = case[min(case)]
    stem = plain(model.name)
    before, after = stem[: len(stem) - len(endings[model.channel])], model.name[len(stem) :]
    return tuple(
        case[channel].name if channel in case else f"{before}{ending}{after}" for channel, ending in enumerate(endings)
    )
