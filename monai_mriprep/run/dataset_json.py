"""``dataset.json``: what the output folder holds, for MONAI's `load_decathlon_datalist`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from monai_mriprep.errors import RecordError
from monai_mriprep.store.layout import DATASET
from monai_mriprep.store.records import Done
from monai_mriprep.store.store import Store
from monai_mriprep.types import LABEL

__all__ = ["describe_dataset", "is_current", "listed_cases"]


def is_current(record: Done, store: Store, fingerprint: str, virtual: bool = False) -> bool:
    """Whether a case was made by this recipe and target, and its files are there, or it has none in a virtual folder.

    Parameters
    ----------
    record
        Of the case.
    store
        Where its files should be.
    fingerprint
        Of the run; what another recipe has left in the folder must not be mixed in.
    virtual
        Whether the folder is virtual.
    """
    is_of_run = record.fingerprint == fingerprint and virtual == (not record.outputs)
    return is_of_run and all(store.holds(file.path) for file in record.outputs.values())


def describe_dataset(records: Iterable[Done], channels: Sequence[str]) -> dict[str, Any]:
    """The content of ``dataset.json``: the list of cases as the Decathlon has it, and the keys of nnU-Net's file.

    The keys have nnU-Net's names and meaning, and nnU-Net cannot use the file: it reads no ``.npz``, and wants labels
    without gaps. Labels are those that occur in the preprocessed files, named by their value.
    Each case also has its ``case``, the name that ``splits_final.json`` uses.

    Parameters
    ----------
    records
        Of the cases, in the order of the list; taken one at a time.
    channels
        The names of an image's channels, in order.
    """
    found, training, test = set[int](), list[dict[str, str]](), list[dict[str, str]]()
    for record in records:
        found.update(record.labels.after)
        of_set = training if LABEL.name in record.sources else test
        of_set.append({"case": record.case, **{role: file.path for role, file in record.outputs.items()}})
    return {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": 0, **{f"label_{value}": value for value in sorted(found) if value > 0}},
        "numTraining": len(training),
        "file_ending": ".npz",
        "training": training,
        **({"numTest": len(test), "test": test} if test else {}),
    }


def listed_cases(store: Store) -> tuple[str, ...]:
    """The training cases that ``dataset.json`` lists.

    Raises
    ------
    RecordError
        If it is missing or is not ours.
    """
    try:
        content = json.loads(store.root.read(DATASET))
        return tuple(str(pair["case"]) for pair in content["training"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is not a run's: {error!r}"
        path = store.root.path / DATASET
        msg = f"{path}: cannot be read ({why}); give the output folder of a run: `run` writes this list of cases"
        raise RecordError(msg) from error
