"""``dataset.json``: what the output folder holds, for MONAI's `load_decathlon_datalist`."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from monai_mriprep.errors import OutputError, RecordError, write_error
from monai_mriprep.formats.names import natural_key
from monai_mriprep.formats.npz import PARTIAL
from monai_mriprep.store.records import Done

__all__ = ["DATASET_NAME", "current_records", "describe_dataset", "listed_cases", "write_dataset", "write_json"]

DATASET_NAME = "dataset.json"


def current_records(records: Iterable[Done], output_root: Path, fingerprint: str) -> list[Done]:
    """Those made by this recipe and target, whose files are there; in natural order of the case.

    Parameters
    ----------
    records
        Of finished cases.
    output_root
        Where their files should be.
    fingerprint
        Of the run; what another recipe has left in the folder must not be mixed in.
    """
    mine = (record for record in records if record.fingerprint == fingerprint)
    current = [record for record in mine if _has_files(record, output_root)]
    return sorted(current, key=lambda record: natural_key(record.case))


def _has_files(record: Done, output_root: Path) -> bool:
    return all((output_root / file.path).is_file() for file in record.outputs.values())


def describe_dataset(records: Iterable[Done]) -> dict[str, Any]:
    """The content of ``dataset.json``: the list of cases as the Decathlon has it, and the keys of nnU-Net's file.

    The keys have nnU-Net's names and meaning, and nnU-Net cannot use the file: it reads no ``.npz``, and wants labels
    without gaps. Labels are those that occur in the preprocessed files, named by their value.
    Each case also has its ``case``, the name that ``splits_final.json`` uses.
    """
    records = list(records)
    found = {value for record in records for value in record.labels.after}
    training = [
        {"case": record.case, **{role: file.path for role, file in record.outputs.items()}} for record in records
    ]
    return {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, **{f"label_{value}": value for value in sorted(found) if value > 0}},
        "numTraining": len(training),
        "file_ending": ".npz",
        "training": training,
    }


def write_dataset(output_root: Path, records: Iterable[Done], fingerprint: str) -> None:
    """Write ``dataset.json``; where that fails, remove an older one, which would be wrong.

    Parameters
    ----------
    output_root
        The folder it describes and goes into.
    records, fingerprint
        As in `current_records`.
    """
    path = output_root / DATASET_NAME
    try:
        write_json(path, describe_dataset(current_records(records, output_root, fingerprint)))
    except OutputError:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def listed_cases(output_root: Path) -> tuple[str, ...]:
    """The cases that ``dataset.json`` lists.

    Raises
    ------
    RecordError
        If it is missing or is not ours.
    """
    path = output_root / DATASET_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return tuple(str(pair["case"]) for pair in content["training"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is not a run's: {error!r}"
        msg = f"{path}: cannot be read ({why}); give the output folder of a run: `run` writes this list of cases"
        raise RecordError(msg) from error


def write_json(path: Path, content: Any) -> None:
    """Write under a temporary name in ``.partial`` beside the file, then put it in place.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    temporary = path.parent / PARTIAL / f"{os.getpid()}-{uuid.uuid4().hex}.json"
    try:
        temporary.parent.mkdir(exist_ok=True)
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # a disk that has become read-only refuses this, too
            temporary.unlink(missing_ok=True)
        msg = f"{path}: cannot be written ({error.strerror}); free space or mend it, then run again"
        raise write_error(error, msg) from error
