"""What the ``dataset.json`` of nnU-Net (both versions) and of the Medical Segmentation Decathlon declares.

https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md describes it: ``channel_names``,
``labels`` (name to value), ``file_ending`` and, optionally, ``dataset`` (the files of each case). Version 1 and the
Decathlon write ``modality`` and ``labels`` (value to name).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from monai_mriprep.dataset.label_values import LabelValues
from monai_mriprep.types import LABEL

__all__ = ["DATASET_JSON", "Declared", "ListedCase", "read_declared"]

DATASET_JSON = "dataset.json"
LABELS = f"{LABEL.name}s"


class ListedCase(NamedTuple):
    """The files of a case, as the file writes them: absolute, or relative to the dataset."""

    images: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Declared:
    """What is declared; nothing, if there is no such file or it is of another program.

    Parameters
    ----------
    version
        2 for nnU-Net's present format; 1 for its older one and the Decathlon's; 0 if nothing is declared.
    channels
        Their names, in order.
    label_values
        None if there are none.
    file_ending
        What the names of all volumes end in.
    cases
        The files of each case by its name, where they are listed.
    problem
        Why a file that is there is not read; empty if it is.
    """

    version: int = 0
    channels: tuple[str, ...] = ()
    label_values: LabelValues | None = None
    file_ending: str | None = None
    cases: Mapping[str, ListedCase] | None = None
    problem: str = ""


def read_declared(root: Path) -> Declared:
    """Read the ``dataset.json`` of a dataset. A file that is not valid declares nothing, and says why."""
    path = root / DATASET_JSON
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return _declared(facts)
    except FileNotFoundError:
        return Declared()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return Declared(problem=f"{path} is not read: {type(error).__name__}: {error}")


def _declared(facts: Mapping[str, Any]) -> Declared:
    version = 2 if "channel_names" in facts else 1 if "modality" in facts else 0
    if not version:
        return Declared()
    listed = facts.get("dataset") if version == 2 else None
    return Declared(
        version,
        _in_order(facts["channel_names" if version == 2 else "modality"]),
        _label_values(facts[LABELS]) if facts.get(LABELS) else None,
        _text(facts.get("file_ending")),
        {name: _listed_case(case) for name, case in listed.items()} if listed else None,
    )


def _text(ending: Any) -> str | None:
    if not isinstance(ending, str | None):
        msg = f"file_ending is {ending!r}, not text such as .nii.gz"
        raise ValueError(msg)
    return ending


def _in_order(channels: Mapping[str, str]) -> tuple[str, ...]:
    """Names by their numbers; a name that several have (nnU-Net reads the normalization from it) gets its number."""
    by_number = {int(number): str(name) for number, name in channels.items()}
    if sorted(by_number) != list(range(len(channels))):
        msg = f"channels are numbered {', '.join(channels)}, not 0, 1, 2 and so on"
        raise ValueError(msg)
    names = [by_number[number] for number in range(len(by_number))]
    return tuple(f"{name}_{i:04d}" if names.count(name) > 1 else name for i, name in enumerate(names))


def _label_values(labels: Mapping[str, Any]) -> LabelValues:
    """From name to value or values (nnU-Net now), or from value to name (before, and the Decathlon)."""
    if all(key.isdecimal() for key in labels):
        return LabelValues({str(name): (int(value),) for value, name in labels.items()})
    names = {name: tuple(map(int, value if isinstance(value, list) else [value])) for name, value in labels.items()}
    ignore = names.pop("ignore", None)
    return LabelValues(names, ignore[0] if ignore else None)


def _listed_case(case: Mapping[str, Any]) -> ListedCase:
    return ListedCase(tuple(map(str, case["images"])), str(case[LABEL.name]))
