"""Which label belongs to which image, by their names alone.

Five passes over all names. What one pass has paired is out of the next.

=====  =======================================================  ================================================
pass   image and label belong together if                       example
=====  =======================================================  ================================================
(a)    their stems are equal                                    ``10000_0001`` · ``10000_0001``
(b)    the image's stem without its ``_dddd`` channel is the    ``10000_0001_0000`` · ``10000_0001`` (PANTHER)
       label's stem
(b')   the label's stem without a suffix of `LABEL_SUFFIXES`    ``case_001`` · ``case_001_seg``
       is the image's stem
(c)    they are equal after dropping the last ``_token`` of     ``10000_0001_xxx`` · ``10000_0001_yyy``
       both
(d)    their leading numeric tokens are equal, two at least     ``10000_0001_t2w_ax`` · ``10000_0001_seg``
=====  =======================================================  ================================================

Two rules keep (c) and (d) from joining two patients:

- The label's stem without its last token begins the image's: ``2019_01_patientB_seg`` is not the label of
  ``2019_01_patientA_t2``.
- After the tokens that both share, no different digits follow: ``hospital_P001`` is not ``hospital_P002``.

A user's pattern, a regular expression with a group ``case``, replaces all of this. Two files that claim one
partner in the same pass are an error. Names are compared in unicode's composed form (NFC), because a file copied from
macOS may spell ``ü`` with two characters. docs/recipe.md explains what each pass is for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, overload

from monai_mriprep.dataset.folders import volume_names
from monai_mriprep.dataset.pattern import pattern_keys
from monai_mriprep.errors import PairingError
from monai_mriprep.formats.names import composed, stem
from monai_mriprep.types import IMAGE, LABEL, ROLES, Role

__all__ = ["LABEL_SUFFIXES", "NamePairing", "Orphan", "Pair", "Pairing", "orphan", "pair_by_stem", "pair_names"]

LABEL_SUFFIXES = ("_seg", "_gt", "_label", "_mask", ".seg")
"""Common endings of the names of labels."""

Key = Callable[[str], "str | None"]
"""Gives the key of a stem, which a pass compares; None if the pass does not apply to the stem."""


class Pair(NamedTuple):
    """An image and its label."""

    image: Path
    label: Path

    @property
    def case(self) -> str:
        """The image's stem, which names the case."""
        return stem(self.image)

    def as_dict(self) -> dict[str, str]:
        """The pair as an item of MONAI's datasets."""
        return {role.name: str(path) for role, path in zip(ROLES, self, strict=True)}


@dataclass(frozen=True)
class Orphan:
    """A file without a partner.

    Parameters
    ----------
    path
        The file.
    key
        The least specific key that was looked for.
    reason
        A sentence with the file's name and the keys, for a warning.
    """

    path: Path
    key: str
    reason: str


class Pairs(Sequence[Pair]):
    """Pairs of files of two folders, by their names; a pair is made when it is asked for.

    Parameters
    ----------
    images_dir, labels_dir
        The folders.
    names
        Of each image and its label.
    """

    __slots__ = ("folders", "names")

    def __init__(self, images_dir: Path, labels_dir: Path, names: Iterable[tuple[str, str]]) -> None:
        self.folders = images_dir, labels_dir
        self.names = tuple(names)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> Pairs: ...

    def __getitem__(self, index: int | slice) -> Pair | Pairs:
        if isinstance(index, slice):
            return Pairs(*self.folders, self.names[index])
        image, label = (folder / name for folder, name in zip(self.folders, self.names[index], strict=True))
        return Pair(image, label)


@dataclass(frozen=True)
class Pairing:
    """The pairs of a dataset, in natural order of the images, and the files left over."""

    pairs: Pairs
    unpaired_images: tuple[Orphan, ...] = ()
    unpaired_labels: tuple[Orphan, ...] = ()

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]


@dataclass(frozen=True)
class NamePairing:
    """Pairs of stems, and for each unpaired stem the keys that were looked for.

    A stem that the pattern does not match has no keys.
    """

    pairs: tuple[tuple[str, str], ...]
    images: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, tuple[str, ...]]


def pair_by_stem(images_dir: str | Path, labels_dir: str | Path, pattern: str | None = None) -> Pairing:
    """Pair the volumes of two folders by their stems.

    Parameters
    ----------
    images_dir, labels_dir
        Folders, for example ``ImagesTr`` and ``LabelsTr``.
    pattern
        Regular expression with a group ``case``, which is searched for in all stems; it replaces the five passes.

    Raises
    ------
    PairingError
        If files claim one partner, or the pattern is not valid or hangs on a name.
    DatasetError
        If a folder cannot be listed, or two of its files have stems that some systems take for equal.
    """
    images = {stem(name): name for name in volume_names(images_dir)}
    labels = {stem(name): name for name in volume_names(labels_dir)}
    names = pair_names(images, labels, pattern)
    return Pairing(
        pairs=Pairs(Path(images_dir), Path(labels_dir), ((images[one], labels[other]) for one, other in names.pairs)),
        unpaired_images=tuple(
            orphan(Path(images_dir), images[name], keys, LABEL, pattern) for name, keys in names.images.items()
        ),
        unpaired_labels=tuple(
            orphan(Path(labels_dir), labels[name], keys, IMAGE, pattern) for name, keys in names.labels.items()
        ),
    )


def pair_names(images: Iterable[str], labels: Iterable[str], pattern: str | None = None) -> NamePairing:
    """Pair stems.

    Parameters
    ----------
    images, labels
        Stems, each list without duplicates. Their order is kept.
    pattern
        As in `pair_by_stem`.

    Raises
    ------
    PairingError
        If files claim one partner in the same pass, with the names of all of them; or the pattern is not valid, or
        hangs on a name.
    """
    images, labels = list(images), list(labels)
    passes = _PASSES if pattern is None else (_pattern_pass(pattern, map(composed, (*images, *labels))),)
    partner: dict[str, str] = {}
    for rule in passes:
        taken = set(partner.values())
        partner |= _match(rule, [i for i in images if i not in partner], [name for name in labels if name not in taken])
    taken = set(partner.values())
    return NamePairing(
        pairs=tuple((image, partner[image]) for image in images if image in partner),
        images={name: _keys(name, [p.image_key for p in passes]) for name in images if name not in partner},
        labels={name: _keys(name, [p.label_key for p in passes]) for name in labels if name not in taken},
    )


def _match(rule: _Pass, images: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Label of each image that one pass pairs, among the names that earlier passes left."""
    by_key = defaultdict(list)
    for label in labels:
        by_key[rule.label_key(composed(label))].append(label)
    candidates = {
        image: [label for label in by_key.get(key, ()) if rule.is_plausible(composed(image), composed(label))]
        for image in images
        if (key := rule.image_key(composed(image))) is not None
    }
    candidates = {image: claimed for image, claimed in candidates.items() if claimed}
    _refuse_shared_partners(rule, candidates)
    return {image: claimed[0] for image, claimed in candidates.items()}


def _refuse_shared_partners(rule: _Pass, candidates: Mapping[str, Sequence[str]]) -> None:
    rivals = defaultdict(list)
    for image, labels in candidates.items():
        for label in labels:
            rivals[label].append(image)
    problems = [_conflict(IMAGE, image, LABEL, labels) for image, labels in candidates.items() if len(labels) > 1]
    problems += [_conflict(LABEL, label, IMAGE, images) for label, images in rivals.items() if len(images) > 1]
    if problems:
        msg = (
            f"{'; '.join(problems)} ({rule.rule}). One partner is allowed: move the others away, rename them, "
            "or give a `pattern` that takes one of them, such as '^(?P<case>.+)_(t1|seg)$'"
        )
        raise PairingError(msg)


def _conflict(role: Role, name: str, partner: Role, rivals: Sequence[str]) -> str:
    return f"the {role.name} {name!r} is claimed by {len(rivals)} {partner.name}s: {', '.join(map(repr, rivals))}"


def orphan(folder: Path, name: str, keys: Sequence[str], partner: Role, pattern: str | None) -> Orphan:
    """A file of a folder without a partner; it has no keys where the pattern does not match its stem."""
    path = folder / name
    if not keys:
        reason = f"{name!r} is skipped: the pattern {pattern!r} does not match its stem"
        return Orphan(path, "", reason)
    looked_for = ", ".join(map(repr, keys))
    return Orphan(
        path, keys[-1], f"{path.name!r} is skipped: no {partner.name} was found; looked for under {looked_for}"
    )


def _keys(name: str, rules: Iterable[Key]) -> tuple[str, ...]:
    """List the different keys of a stem, the most specific first."""
    return tuple(dict.fromkeys(key for rule in rules if (key := rule(composed(name))) is not None))


def _stem_itself(name: str) -> str:
    return name


def _without_channel(name: str) -> str | None:
    return name[:-5] if re.fullmatch(r".+_[0-9]{4}", name, re.DOTALL) else None


def _without_label_suffix(name: str) -> str | None:
    suffix = next((suffix for suffix in LABEL_SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(suffix) or None if suffix else None


def _without_last_token(name: str) -> str | None:
    head, underscore, _ = name.rpartition("_")
    return head if underscore and head else None


def _leading_numbers(name: str) -> str | None:
    numbers = list(takewhile(_is_number, name.split("_")))
    return "_".join(numbers) if len(numbers) >= 2 else None


def _is_number(token: str) -> bool:
    return re.fullmatch(r"[0-9]+", token) is not None


def _may_be_one_case(image: str, label: str) -> bool:
    """Whether two names may belong to one case, by the two rules in the module's docstring."""
    names = image.split("_"), label.split("_")
    shared = sum(1 for _ in takewhile(lambda tokens: tokens[0] == tokens[1], zip(*names, strict=False)))
    digits, others = (re.findall(r"\d+", "_".join(tokens[shared:])) for tokens in names)
    return shared >= len(names[1]) - 1 and (not digits or not others or digits == others)


def _always(_image: str, _label: str) -> bool:
    return True


@dataclass(frozen=True)
class _Pass:
    """One pass: its rule in words, the keys of images and of labels, and a test of pairs whose keys are equal."""

    rule: str
    image_key: Key
    label_key: Key
    is_plausible: Callable[[str, str], bool] = _may_be_one_case


_PASSES = (
    _Pass("equal stems", _stem_itself, _stem_itself),
    _Pass("the image's stem without its channel is the label's", _without_channel, _stem_itself),
    _Pass("the label's stem without its suffix is the image's", _stem_itself, _without_label_suffix),
    _Pass("equal without the last _token", _without_last_token, _without_last_token),
    _Pass("equal leading numbers", _leading_numbers, _leading_numbers),
)


def _pattern_pass(pattern: str, names: Iterable[str]) -> _Pass:
    """The pass of a pattern, which knows its key of each of the names."""
    key = pattern_keys(pattern, names).get
    return _Pass(f"equal `case` of the pattern {pattern!r}", key, key, _always)
