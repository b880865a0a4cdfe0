"""``advice.json`` in an output folder: what was found of target spacings, for the report."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from monai_mriprep.advice.model import Advice
from monai_mriprep.errors import RecordError
from monai_mriprep.formats.sealed import seal, unseal
from monai_mriprep.models import checked
from monai_mriprep.store.layout import ADVICE
from monai_mriprep.store.store import Store, make_store, open_store

__all__ = ["read_advice", "write_advice"]

_ADVICE = TypeAdapter(Advice)


def write_advice(output_root: Path, advice: Advice) -> Path:
    """Write ``advice.json`` into an output folder, which is made if it is missing.

    Returns
    -------
    Path
        The file, one line of sealed JSON; the same bytes for the same advice.

    Raises
    ------
    DiskFullError, OutputError
        If it cannot be written.
    """
    make_store(output_root)
    with open_store(output_root) as store:
        store.prepare(())
        try:
            store.replace(ADVICE, [f"{seal(advice.model_dump(mode='json'))}\n".encode(errors="backslashreplace")])
        finally:
            store.leave()
    return output_root / ADVICE


def read_advice(store: Store) -> Advice | None:
    """What ``advice.json`` says; None where there is none.

    Raises
    ------
    RecordError
        If it cannot be read, is damaged, or a newer version has written it.
    """
    path = store.root.path / ADVICE
    try:
        if store.root.status(ADVICE) is None:
            return None
        _, facts = unseal(store.root.read(ADVICE).decode())
        return checked(_ADVICE, facts)
    except (OSError, UnicodeDecodeError, RecordError) as error:
        msg = f"{path}: cannot be read ({error}); `advise` makes it again"
        raise RecordError(msg) from error
