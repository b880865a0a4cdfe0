"""Findings of one kind, of many cases: said once, with how many cases there are and the names of a few."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from monai_mriprep.errors import counted, first_names
from monai_mriprep.report.lines import shown

__all__ = ["Finding", "Repeats", "first_ones", "kind_of", "said_once"]

NAMES = 3
"""How many cases of a group are named."""

VARIES = "..."

VALUE = re.compile(r"'[^'\s]*'|[^\s(),;:'\"]*[\d/][^\s(),;:'\"]*")
"""What differs between cases in sentences of one kind: a quoted name, a number, a path."""

REPEATED = re.compile(rf"{re.escape(VARIES)}(?:[,x\s]+{re.escape(VARIES)})+")


@dataclass(frozen=True)
class Finding:
    """What is to be said of a case: its name, and a text that may begin with that name, or with a path of its."""

    case: str
    text: str


def said_once(findings: Iterable[Finding], noun: str = "case") -> Iterator[str]:
    """The texts, those of one kind as one sentence that counts the cases, or what else the noun says.

    Two texts are of one kind if they have the same words, apart from numbers, paths and plurals. Of a kind that only
    one case has, each text stays as it is.

    Yields
    ------
    str
        In the order in which the kinds came first; of many cases such as
        ``12 cases: label and image differ in origin (a, b, c and 9 more)``, and the further lines of the first one.
    """
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault(kind_of(finding), []).append(finding)
    for group in groups.values():
        cases = list(dict.fromkeys(shown(finding.case) for finding in group))
        if len(cases) == 1:
            yield from (finding.text for finding in group)
        else:
            names, further = first_names(cases, NAMES), group[0].text.partition("\n")[2]
            sentence = f"{counted(len(cases), noun)}: {_in_common([*map(_sentence, group)])} ({names})"
            yield f"{sentence}; the first:\n{further}" if further else sentence


def kind_of(finding: Finding) -> tuple[str, ...]:
    """Equal for findings of one kind: the words of the first line, each once."""
    return tuple(dict.fromkeys(map(_bare, _sentence(finding).split())))


def _sentence(finding: Finding) -> str:
    """The first line, without the case's name and the paths that it begins with."""
    text = finding.text.partition("\n")[0]
    head, colon, rest = text.partition(": ")
    while colon and ("/" in head or head in (finding.case, shown(finding.case))):
        text = rest
        head, colon, rest = text.partition(": ")
    return text


def _bare(word: str) -> str:
    """A word without punctuation and plural; all values are one word."""
    return VARIES if VALUE.search(word) else word.strip("(),;:.'\"").removesuffix("s")


def _in_common(sentences: Sequence[str]) -> str:
    """What sentences of one kind share; from where their words differ, and for values that differ, ``...``."""
    words = []
    for column in zip_longest(*(sentence.split() for sentence in sentences), fillvalue=""):
        if len(set(map(_bare, column))) > 1:
            words.append(VARIES)
            break
        words.append(_one_of(column))
    return REPEATED.sub(VARIES, " ".join(words))


def _one_of(words: Sequence[str]) -> str:
    if len(set(words)) == 1:
        return words[0]
    longest = max(words, key=len)  # the plural
    return VALUE.sub(VARIES, longest)


def first_ones(texts: Iterable[str]) -> Iterator[str]:
    """The texts; of many that are of one kind and in a row, only the first ones, and how many were left out."""
    repeats = Repeats()
    for text in texts:
        yield from repeats.passed(text)
    yield from repeats.left_out()


class Repeats:
    """Takes texts one by one, and lets pass only the first ones of many that are of one kind and in a row."""

    def __init__(self) -> None:
        self._kind: tuple[str, ...] = ()
        self._count = 0

    def passed(self, text: str) -> Iterator[str]:
        """The text, or nothing; before it, how many were left out."""
        kind = kind_of(Finding("", text))
        if kind != self._kind:
            yield from self.left_out()
            self._kind = kind
        self._count += 1
        if self._count <= NAMES:
            yield text

    def left_out(self) -> Iterator[str]:
        """How many were left out since the last text that passed; then all begins anew."""
        if self._count > NAMES:
            yield f"... and {self._count - NAMES} more like it"
        self._kind, self._count = (), 0
