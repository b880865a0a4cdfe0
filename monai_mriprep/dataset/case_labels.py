"""Which label belongs to which case, once its images are grouped."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_mriprep.dataset.case_files import CaseFiles, Grouping
from monai_mriprep.dataset.channels import CaseOf, case_name, files_by_case, plain
from monai_mriprep.dataset.file_endings import before_label, begins_with, channel_suffixes
from monai_mriprep.dataset.pairing import NamePairing, Orphan, orphan, pair_names
from monai_mriprep.errors import DatasetError, PairingError
from monai_mriprep.formats.names import composed
from monai_mriprep.types import IMAGE, LABEL, Role

__all__ = ["pair_cases"]


def pair_cases(
    images: Mapping[str, tuple[str, ...]],
    labels: Sequence[str],
    folders: tuple[Path, Path],
    case_of: CaseOf | None = None,
    pattern: str | None = None,
) -> Grouping:
    """Give each case its label.

    Parameters
    ----------
    images
        The names of the images of each case.
    labels
        The names of the labels.
    folders
        What the names of images, and those of labels, are relative to.
    case_of
        Tells the case of a label; without it, names are paired by `pair_names`.
    pattern
        Pairs the names of the first images and of the labels instead: without suffix, with the folders they lie in.

    Raises
    ------
    DatasetError
        If two labels are of one case.
    PairingError
        As `pair_names`.
    """
    image_of = {plain(files[0]) if pattern else case: case for case, files in images.items()}
    if case_of is None or pattern:
        label_of = _one_each(labels, plain)
        names = _by_name(image_of, label_of, pattern)
    else:
        label_of = _one_each(labels, case_of, images)
        names = _equal(image_of, label_of)
    first = {name: images[case][0] for name, case in image_of.items()}
    return Grouping(
        tuple(
            CaseFiles(case_name(image_of[image]), images[image_of[image]], label_of[label])
            for image, label in names.pairs
        ),
        unpaired_images=_orphans(folders[0], names.images, first, LABEL, pattern),
        unpaired_labels=_orphans(folders[1], names.labels, label_of, IMAGE, pattern),
    )


def _by_name(images: Iterable[str], labels: Iterable[str], pattern: str | None) -> NamePairing:
    """As `pair_names`; where that fails on undeclared channels, the error says how to declare them."""
    try:
        names = pair_names(images, labels, pattern)
    except PairingError as error:
        if pattern is None and (channels := _likely_channels(images, labels)):
            msg = f"{error}; or, if they are channels of one case, add --channels {channels}"
            raise PairingError(msg) from error
        raise
    if pattern is None and not names.pairs and (channels := _likely_channels(images, labels)):
        msg = f"no image has a label; if several are the channels of one case, add --channels {channels}"
        raise DatasetError(msg)
    return names


def _likely_channels(images: Iterable[str], labels: Iterable[str]) -> str:
    """What images that begin like one label end in."""
    stems = set(map(composed, labels))
    beginnings = stems | {before for stem in stems if (before := before_label(stem))}
    return ",".join(channel_suffixes(files_by_case(images, lambda stem: begins_with(beginnings, composed(stem)))))


def _one_each(names: Iterable[str], key: CaseOf, images: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """Labels by their key; two of one case are refused, with a pattern that takes one if the case has images."""
    found: dict[str, str] = {}
    for name in names:
        case = key(name) or plain(name)
        other = found.setdefault(case, name)
        if other is not name:
            raise DatasetError(_two_labels(other, name, (images or {}).get(case)))
    return found


def _two_labels(one: str, other: str, images: Sequence[str] | None) -> str:
    if images is None:
        return (
            f"{one!r} and {other!r} lie beside each other, and beside no {IMAGE.name} of theirs: give a pattern that "
            f"finds the case in the names of both, such as {_setting(_pattern_in(other))}"
        )
    return (
        f"{one!r} and {other!r} are both {LABEL.name}s of one case: move one of them away, or give a pattern that "
        f"takes one, such as {_setting(_pattern_of(images[0], other))}"
    )


def _setting(pattern: str) -> str:
    return f"--set {shlex.quote(f'pattern={pattern}')}"


def _pattern_in(label: str) -> str:
    """A pattern of what a label's name begins with, whatever its numbers."""
    stem = composed(plain(label)).rpartition("/")[2]
    return f"(?P<case>{re.sub('[0-9]+', '[0-9]+', _escaped(before_label(stem) or stem))})"


def _escaped(text: str) -> str:
    return re.escape(text).replace("\\-", "-")


def _pattern_of(image: str, label: str) -> str:
    """A pattern that pairs these two names, and those that differ as they do: in what comes after the case."""
    folders, stems = zip(*(plain(composed(name)).rpartition("/")[::2] for name in (image, label)), strict=True)
    cuts = (n for n in range(1, len(min(stems, key=len)) + 1) if stems[0][:n] == stems[1][:n])
    cut = max((n for n in cuts if all(stem[n : n + 1] in ("", *"_-.") for stem in stems)), default=0)
    rests = (stem[cut:] if cut else f"/{stem}" for stem in stems)
    ends = "|".join(map(_escaped, rests))
    return f"(?P<case>{'.' if folders[0] == folders[1] else '[^/]'}+?)({ends})$"


def _equal(images: Iterable[str], labels: Iterable[str]) -> NamePairing:
    """Pair what has one key."""
    images, labels = dict.fromkeys(images), dict.fromkeys(labels)
    return NamePairing(
        tuple((key, key) for key in images if key in labels),
        {key: (case_name(key),) for key in images if key not in labels},
        {key: (case_name(key),) for key in labels if key not in images},
    )


def _orphans(
    folder: Path, keys: Mapping[str, Sequence[str]], files: Mapping[str, str], partner: Role, pattern: str | None
) -> tuple[Orphan, ...]:
    return tuple(orphan(folder, files[name], looked_for, partner, pattern) for name, looked_for in keys.items())
