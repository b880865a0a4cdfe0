"""How a volume was made, as its comment says it: enough to rebuild the record of its case from its files alone.

The files of a case say the same, but for their own role. Nothing of it depends on when, where and by which process they
were made, so that equal input gives equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from monai_mriprep.models import Count, Model, checked
from monai_mriprep.store.record_parts import (
    Channels,
    ForegroundRecord,
    HeaderRecord,
    Histogram,
    OutputRecord,
    json_histogram,
    one_or_several,
)
from monai_mriprep.types import Spacing
from monai_mriprep.volume.geometry import Grid

__all__ = ["Provenance", "rebuilt_record"]


class Provenance(Model):
    """What stands in the comment of a file of a run, beside its affine.

    Parameters
    ----------
    case
        Its name.
    role
        Of this file.
    fingerprint, redo
        As in the record.
    sources, outputs
        Bare names of all files of the case, by their role; of sources one a channel.
    source_header, foreground
        As in the record.
    labels_before, labels_after
        Voxels of each label; None where they did not fit.
    classes
        Of a label, as in the record; None in an image, in files before 0.9.0, and where it did not fit.
    trace
        What was done to the case; None where it did not fit.
    """

    case: str
    role: str
    fingerprint: str
    redo: Count = 0
    sources: dict[str, Channels[str]]
    outputs: dict[str, str]
    source_header: HeaderRecord
    foreground: ForegroundRecord
    labels_before: Histogram | None = None
    labels_after: Histogram | None = None
    classes: dict[str, Any] | None = None
    trace: dict[str, Any] | None = None

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Provenance:
        """What plain values say.

        Raises
        ------
        RecordError
            If they do not fit.
        """
        return checked(_PROVENANCE, facts)

    def is_of_one_case(self, other: Provenance) -> bool:
        """Whether another file was made together with this one."""
        return self.model_copy(update={"role": other.role, "classes": other.classes}) == other


_PROVENANCE = TypeAdapter(Provenance)


def rebuilt_record(
    origin: Provenance,
    grid: Grid,
    spacing: Spacing,
    outputs: Mapping[str, OutputRecord],
    labels: Mapping[int, int],
    classes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The line of a case for the manifest, as plain values; not checked.

    Parameters
    ----------
    origin
        What the comments say.
    grid, spacing
        Of the volumes.
    outputs
        The files, by their role.
    labels
        Voxels of each label in the volume.
    classes
        What the comment of the label says of them.
    """
    return {
        "event": "done",
        "case": origin.case,
        "error": None,
        "warnings": [],
        "fingerprint": origin.fingerprint,
        **({"redo": origin.redo} if origin.redo else {}),
        "repaired": True,
        "sources": {role: _unknown(names) for role, names in origin.sources.items()},
        "outputs": {role: output.model_dump() for role, output in outputs.items()},
        "source_grid": (origin.trace or {}).get("source"),
        "source_header": origin.source_header.model_dump(),
        "target_grid": grid.to_json(),
        "trace": origin.trace,
        "spacing": list(spacing),
        "foreground": origin.foreground.model_dump(),
        "labels": {"before": json_histogram(origin.labels_before or {}), "after": json_histogram(labels)},
        **({} if classes is None else {"classes": classes}),
        "seconds": {},
        "peak_mib": 0.0,
    }


def _unknown(names: Sequence[str]) -> Any:
    """Sources of which nothing is known but their names."""
    return one_or_several([{"path": name, "size": 0, "mtime_ns": 0, "sha256": ""} for name in names])
