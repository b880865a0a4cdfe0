"""Folds for cross-validation, split by patient: all scans of a person are on the same side."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from monai_mriprep.dataset.exclusions import read_exclusions
from monai_mriprep.errors import DatasetError, RecipeError, counted
from monai_mriprep.formats.names import natural_key
from monai_mriprep.run.derived import training_cases
from monai_mriprep.store.layout import DATASET, SPLITS
from monai_mriprep.store.manifest import read_index
from monai_mriprep.store.store import open_store

__all__ = ["Fold", "patient_of", "split_by_patient", "write_splits"]

NUMERIC_TOKEN = r"(?<![0-9A-Za-z])[0-9]+(?![0-9A-Za-z])"
"""Digits without a letter next to them: the 10000 of ``10000_0001_t2w``, not the 2 of ``t2w``."""

SUBJECT = r"^sub-([0-9A-Za-z]+)"
"""The subject of BIDS: of ``sub-A01_ses-1`` the number is that of the session."""


@dataclass(frozen=True)
class Fold:
    """The case names of one fold for training and for validation, in natural order."""

    train: tuple[str, ...]
    val: tuple[str, ...]


def patient_of(case: str, patient: str | None = None) -> str:
    """The patient that a case belongs to, from its name.

    Parameters
    ----------
    case
        Its name.
    patient
        A regular expression, searched for in the name: its first group, or the whole match where it has none. By
        default the subject of BIDS (``sub-01_...``), else the first numeric token.

    Raises
    ------
    RecipeError
        If the expression is not valid.
    DatasetError
        If it does not match.

    Examples
    --------
    >>> patient_of("10000_0001_t2w"), patient_of("P7_visit2", "P[0-9]+")
    ('10000', 'P7')
    """
    try:
        match = re.search(patient, case) if patient else re.search(SUBJECT, case) or re.search(NUMERIC_TOKEN, case)
    except re.error as error:
        msg = f"patient {patient!r} is not a regular expression: {error}"
        raise RecipeError(msg) from error
    found = match and (match[1] if match.re.groups else match[0])
    if not found:
        what = f"a match of {patient!r}" if patient else "a numeric token"
        msg = f"{case}: the name holds no patient ({what} is looked for); give --patient a regular expression that fits"
        raise DatasetError(msg)
    return found


def split_by_patient(
    cases: Iterable[str], folds: int = 5, patient: str | None = None, seed: int = 0
) -> tuple[Fold, ...]:
    """Distribute patients over folds, so that every fold validates on about the same number of cases.

    Patients with the most cases come first; the seed decides the order of those with equally many. Each goes to the
    fold with the fewest cases so far. The order is by SHA-256, so it is the same on every machine and in every version.

    Parameters
    ----------
    cases
        Their names, in any order.
    folds
        At least 2.
    patient
        As in `patient_of`.
    seed
        Another seed gives another split.

    Raises
    ------
    DatasetError
        If there are fewer patients than folds, or a name holds no patient.
    RecipeError
        If `folds` is under 2, or `patient` is not a regular expression.

    Examples
    --------
    >>> for fold in split_by_patient(["1_a", "1_b", "2_a", "3_a"], folds=2):
    ...     print(fold.val)
    ('1_a', '1_b')
    ('2_a', '3_a')
    """
    scans: dict[str, list[str]] = defaultdict(list)
    for case in sorted(set(cases), key=natural_key):
        scans[patient_of(case, patient)].append(case)
    if folds < 2:
        msg = f"{folds} folds; at least 2 are needed"
        raise RecipeError(msg)
    if len(scans) < folds:
        shown = ", ".join(list(scans)[:5]) or "none"
        patients = f"{counted(len(scans), 'patient')} ({shown})"
        msg = f"{patients} cannot be split into {folds} folds; ask for fewer, or check --patient"
        raise DatasetError(msg)
    parts: list[list[str]] = [[] for _ in range(folds)]
    for name in sorted(scans, key=lambda name: (-len(scans[name]), _shuffled(name, seed))):
        min(parts, key=len).extend(scans[name])
    return tuple(_make_fold(part, parts) for part in parts)


def _shuffled(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode(errors="surrogateescape")).hexdigest()  # a name need not be text


def _make_fold(val: list[str], parts: list[list[str]]) -> Fold:
    train = [case for part in parts if part is not val for case in part]
    return Fold(tuple(sorted(train, key=natural_key)), tuple(sorted(val, key=natural_key)))


def write_splits(
    output_root: str | Path,
    folds: int = 5,
    patient: str | None = None,
    seed: int = 0,
    exclude: str | Path | None = None,
) -> tuple[Fold, ...]:
    """Split the cases of an output folder, and write ``splits_final.json`` there, in nnU-Net's format.

    Parameters
    ----------
    output_root
        Holds ``dataset.json``, which lists the cases, or records of shards that are not merged.
    folds, patient, seed
        As in `split_by_patient`.
    exclude
        A list of cases that are left out; see `monai_mriprep.dataset.exclusions.read_exclusions`. A name that the
        folder does not know is logged as a warning.

    Raises
    ------
    MriprepError
        If there is no list of cases, or they cannot be split.
    """
    exclusions = read_exclusions(exclude)
    with open_store(Path(output_root)) as store:
        cases = training_cases(store)
        if not cases:
            msg = f"{store.root.path / DATASET}: lists no training case (that of a test set has none), so none to split"
            raise DatasetError(msg)
        if exclude is not None:
            exclusions.warn_of_unknown(store.root.path, {*cases, *read_index(store.root).known()})
        split = split_by_patient((case for case in cases if case not in exclusions), folds, patient, seed)
        store.replace(SPLITS, [(json.dumps([asdict(fold) for fold in split], indent=2) + "\n").encode()])
        store.leave()
    return split
