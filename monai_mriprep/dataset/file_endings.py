"""What the names of files that lie side by side end in: labels, and channels that nothing declares."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import takewhile

from monai_mriprep.dataset.channels import plain, usual_order
from monai_mriprep.dataset.pairing import LABEL_SUFFIXES

__all__ = ["LABEL_WORDS", "before_label", "begins_with", "channel_suffixes", "sorted_by_role", "without_labels"]

LABEL_WORDS = (*dict.fromkeys(suffix[1:] for suffix in LABEL_SUFFIXES), "segm", "segmentation", "gtv")
"""What the name of a label ends in; ``segm`` is that of one case of BraTS 2020, ``gtv`` those of its radiotherapy."""
MOST = 16
"""The largest number of channels that names are taken for; so many files are rather so many cases."""
IS_LABEL = re.compile(rf"(?:(.*)[_.-])?(?:{'|'.join(LABEL_WORDS)})", re.IGNORECASE | re.DOTALL)


def before_label(stem: str) -> str | None:
    """What comes before the ending of a label's stem; None if it does not end like one.

    >>> before_label("BraTS-GLI-00000-000-seg"), before_label("mask"), before_label("case_t1")
    ('BraTS-GLI-00000-000', '', None)
    """
    found = IS_LABEL.fullmatch(stem)
    return (found[1] or "") if found else None


def begins_with(beginnings: Container[str], stem: str) -> str:
    """The longest of some beginnings that a stem has, or is; nothing if it has none.

    >>> begins_with({"case", "case_1"}, "case_1_t1")
    'case_1'
    """
    while stem and stem not in beginnings:
        stem = stem[: max(*map(stem.rfind, "_-."), 0)]
    return stem


def without_labels(names: Sequence[str]) -> tuple[str, ...]:
    """The files of a folder without those that end like a label and begin like an image beside them."""
    images, labels = sorted_by_role(names)
    before = {name: before_label(_stem(name)) or "" for name in labels}
    beginnings = set(before.values())
    shared = {begins_with(beginnings, _stem(name)) for name in images} - {""}
    return tuple(name for name in names if before.get(name) not in shared)


def sorted_by_role(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The images among files, and the labels, by what they end in."""
    images: list[str] = []
    labels: list[str] = []
    for name in names:
        (images if before_label(_stem(name)) is None else labels).append(name)
    return tuple(images), tuple(labels)


def channel_suffixes(
    cases: Mapping[str, Sequence[str]], endings_of: Callable[[str, Sequence[str]], Iterable[str]] | None = None
) -> tuple[str, ...]:
    """What the images of a case end in, where several make a case; in the order in which people list them.

    Endings that not even half of the cases have are left out: they are no channel of the dataset. So are all of them
    where there are more than `MOST`.

    Parameters
    ----------
    cases
        The images of each case by its name.
    endings_of
        What the names of a case's files end in. Without it, that is what comes after the name of the case, else what
        comes after the tokens that all of them begin with.
    """
    if all(len(files) < 2 for files in cases.values()):
        return ()
    written = Counter(ending for case, files in cases.items() for ending in (endings_of or _endings)(case, files))
    alike: Counter[str] = Counter()
    for ending, count in written.items():
        alike[ending.lower()] += count
    usual = {ending.lower(): ending for ending, _ in reversed(written.most_common())}
    found = [usual[ending] for ending, count in alike.items() if ending and 2 * count >= len(cases)]
    return usual_order(found) if len(found) <= MOST else ()


def _endings(case: str, files: Sequence[str]) -> list[str]:
    stems = [_stem(name) for name in files]
    name = case.rpartition("/")[2]
    if all(stem.startswith((f"{name}_", f"{name}-", f"{name}.")) for stem in stems):
        return [stem[len(name) + 1 :] for stem in stems]
    tokens = [re.split(r"(?<=[_.-])", stem) for stem in stems]
    beginnings = zip(*(those[:-1] for those in tokens), strict=False)
    shared = sum(1 for _ in takewhile(lambda alike: len(set(alike)) == 1, beginnings))
    return ["".join(those[shared:]) for those in tokens]


def _stem(name: str) -> str:
    return plain(name).rpartition("/")[2]
