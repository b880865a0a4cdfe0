"""One case, from its files to its files. Serial runs, workers and clusters all call `process_case`."""

from __future__ import annotations

import os
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.data.meta_tensor import MetaTensor

from monai_mriprep.cohort.labels import undeclared_labels
from monai_mriprep.dataset.checks import check_case
from monai_mriprep.dataset.voxel_summary import MANY_VALUES
from monai_mriprep.errors import DiskFullError, MriprepError, MriprepWarning, counted, is_disk_full
from monai_mriprep.formats.header import Header
from monai_mriprep.formats.npz import NpzVolume
from monai_mriprep.formats.read import read_channel_headers
from monai_mriprep.pipeline import preprocessing
from monai_mriprep.run.cases import Case, Job, Result
from monai_mriprep.run.look import Look, Volume, look_at, look_at_failed
from monai_mriprep.steps.intensities import Intensities
from monai_mriprep.store.journal import commit_files
from monai_mriprep.store.pictures import remove_pictures, write_picture
from monai_mriprep.store.record_parts import Origin, OutputRecord, RecordedFile, json_histogram, one_or_several
from monai_mriprep.store.staging import StagedFile, removed_on_error, stage_files
from monai_mriprep.store.store import Store, open_store
from monai_mriprep.transforms.apply_steps import trace_of
from monai_mriprep.transforms.files import npz_volume
from monai_mriprep.transforms.tensors import grid_of
from monai_mriprep.types import IMAGE, LABEL, ROLES
from monai_mriprep.volume.class_index import sample_classes
from monai_mriprep.volume.label_map import renumbered_histogram
from monai_mriprep.volume.labels import label_histogram, vanished_labels

__all__ = ["process_case"]


def process_case(job: Job, case: Case) -> Result:
    """Preprocess one case and commit its files.

    Never raises an `Exception`: whatever goes wrong becomes a failed `Result` that names the case.
    """
    if case.problem is not None:
        return Result(case.name, "failed", case.problem)
    watch = _Stopwatch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MriprepWarning)
        try:
            with open_store(job.output_root, job.writer, job.writer is not None) as store:
                with _shown_if_possible(case.name):
                    remove_pictures(store, [case.name])  # of an earlier run: it may show other voxels
                facts, files = _carry_out(job, case, store, watch)
                result = Result(case.name, "done", None, _messages(caught), facts)
                commit_files(store, result.record(), files)
        except Exception as problem:  # noqa: BLE001 - the border: one bad case must not stop the others
            error = _explain(problem, job, case, watch.running)
            seen = _look_at_failed(job, case, problem)
            return Result(case.name, "failed", error, _messages(caught), {**_failure_facts(problem), **seen})
    return result


def _look_at_failed(job: Job, case: Case, problem: Exception) -> dict[str, Any]:
    """What can be seen of a case in spite of the problem, unless it is one of disk or memory, or of ours."""
    if not job.report or not isinstance(problem, MriprepError) or isinstance(problem, DiskFullError):
        return {}
    facts: dict[str, Any] = {}
    with _shown_if_possible(case.name), open_store(job.output_root, job.writer, job.writer is not None) as store:
        facts, picture = look_at_failed(job, case)
        if picture is not None:
            write_picture(store, case.name, picture)
    return facts


def _messages(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    return tuple(str(warning.message) for warning in caught if issubclass(warning.category, MriprepWarning))


def _explain(problem: Exception, job: Job, case: Case, stage: str | None) -> str:
    """The error as it is; where memory or disk ran out, what that means and what to do; else the stage it arose in."""
    text = f"{type(problem).__name__}: {problem}"
    if isinstance(problem, MriprepError):
        return str(problem)
    if isinstance(problem, OSError) and is_disk_full(problem):
        return f"no space left on the disk of {job.output_root}; free some, then run the same command again"
    if isinstance(problem, MemoryError) or "can't allocate memory" in text:
        return f"out of memory (the case needs about {case.memory_bytes / 2**20:.0f} MiB): {text}"
    return f"unexpected {text}" + (f" (in the stage {stage!r})" if stage else "")


def _failure_facts(problem: Exception) -> dict[str, Any]:
    """What else the record of a failed case holds."""
    full = isinstance(problem, DiskFullError) or (isinstance(problem, OSError) and is_disk_full(problem))
    expected = full or isinstance(problem, MriprepError | MemoryError)
    return {"disk_full": full} if expected else {"traceback": "".join(traceback.format_exception(problem))}


class _Stopwatch:
    """Seconds a stage took, by name; and the stage that is running, or in which an error arose."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.running: str | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.running, start = name, time.perf_counter()
        yield  # an error goes past the rest
        self.running = None
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 4)


def _carry_out(job: Job, case: Case, store: Store, watch: _Stopwatch) -> tuple[dict[str, Any], tuple[StagedFile, ...]]:
    """The facts for the record, and the files, complete but not yet in place; in the order to move them."""
    channels = {IMAGE.name: job.recipe.channel_count}
    headers = {role: read_channel_headers(paths, channels.get(role, 1)) for role, paths in case.sources.items()}
    grids = {role: [(header.path, header.grid) for header in of_role] for role, of_role in headers.items()}
    check_case(grids, job.recipe.geometry)  # before a voxel is read
    stamps = {role: [_stamps(header) for header in of_role] for role, of_role in headers.items()}
    volumes, labels, classes, seen = _transform(job, case, watch)
    arrays = {role: npz_volume(volumes[role]) for role in case.sources}
    made = {
        **_grids_and_trace(headers[IMAGE.name][0], volumes[IMAGE.name], arrays[IMAGE.name]),
        "labels": labels,
        **classes,
    }
    with watch.stage("look"), _shown_if_possible(case.name):
        if seen is not None:
            write_picture(store, case.name, seen.picture(_arrays(volumes)))
    written = _with_provenance(job, case, arrays, made)
    with watch.stage("write"):
        outputs_of = {_split(case.outputs[role]): volume for role, volume in written.items()}
        files = stage_files(store, outputs_of, torch.get_num_threads())
    with removed_on_error(store.staging, [file.move for file in files]):
        with watch.stage("hash"):
            sources = {role: _sources(headers[role], stamped, case.origins) for role, stamped in stamps.items()}
        outputs = {role: _output(file) for role, file in zip(case.outputs, reversed(files), strict=True)}
    facts = {
        "fingerprint": job.fingerprint,
        **({"redo": job.redo} if job.redo else {}),
        "sources": sources,
        "outputs": outputs,
        **made,
        **({"measures": seen.measures.model_dump(mode="json")} if seen is not None else {}),
        "seconds": watch.seconds,
        "peak_mib": _peak_mib(),
    }
    return facts, files


def _grids_and_trace(header: Header, image: MetaTensor, written: NpzVolume) -> dict[str, Any]:
    """From which grid to which the image came, what was done to it on the way, and the spacing that its file states."""
    trace = trace_of(image)
    moments = next(one.params for one in trace.steps if isinstance(one.step, Intensities))
    return {
        "source_grid": header.grid.to_json(),
        "source_header": asdict(header.frame),
        "target_grid": grid_of(image).to_json(),
        "trace": trace.to_json(),
        "spacing": written.spacing.tolist(),
        "foreground": {name: one_or_several(moments[name]) for name in ("mean", "std", "voxels")},
    }


def _split(place: str) -> tuple[str, str]:
    """The folder in the output folder, and the name in it."""
    folder, name = place.split("/")
    return folder, name


def _with_provenance(
    job: Job, case: Case, volumes: Mapping[str, NpzVolume], made: Mapping[str, Any]
) -> dict[str, NpzVolume]:
    """Those that are written, with what the comments of their files say; bare names, for the same bytes anywhere."""
    shared = {
        "fingerprint": job.fingerprint,
        **({"redo": job.redo} if job.redo else {}),
        "sources": {role: one_or_several([path.name for path in paths]) for role, paths in case.sources.items()},
        "outputs": {role: _split(place)[1] for role, place in case.outputs.items()},
        **{name: made[name] for name in ("source_header", "foreground", "trace")},
        **{f"labels_{when}": histogram for when, histogram in made["labels"].items()},
    }
    own = {LABEL.name: {name: made[name] for name in ("classes",) if name in made}}
    told = {
        role: volumes[role].with_facts({"case": case.name, "role": role, **shared, **own.get(role, {})})
        for role in case.outputs
    }
    if any("trace" not in volume.facts for volume in told.values()):
        what = "what was done to it does not fit into the comments of its files; `repair` cannot rebuild its record"
        warnings.warn(f"{case.name}: {what}", MriprepWarning, 2)
    return told


class _Transformed(NamedTuple):
    """The preprocessed volumes, the voxels of each label before and after, where they are, and what was seen."""

    volumes: dict[str, Any]
    labels: dict[str, dict[str, int]]
    classes: dict[str, Any]
    seen: Look | None


def _transform(job: Job, case: Case, watch: _Stopwatch) -> _Transformed:
    roles = [role for role in ROLES if role.name in case.sources]
    (load, *checks), steps = preprocessing(job.recipe, job.target, roles, around=watch.stage)
    data: dict[str, Any] = {role: one_or_several(list(map(str, paths))) for role, paths in case.sources.items()}
    with watch.stage("load"):
        data = load(data)
    with watch.stage("count"):
        before = _histogram(data)
    seen = None
    with watch.stage("look"), _shown_if_possible(case.name):
        seen = look_at(_arrays(data)) if job.report else None
    for check in checks:
        with watch.stage(type(check).__name__):
            data = check(data)
    with steps.trace_transform(True):  # the record needs the trace, whatever MONAI_TRACE_TRANSFORM says
        data = steps.consume(data)
    with watch.stage("count"):
        after = _histogram(data)
        classes = _classes(case, data, after)
    _warn_of_labels(case, renumbered_histogram(before, dict(job.recipe.label_map)), after)
    strange = () if job.declared_labels is None else sorted(set(before).difference(job.declared_labels))
    if strange:
        sentence = undeclared_labels(strange, job.declared_labels or ())
        warnings.warn(f"{case.name}: {sentence}", MriprepWarning, 2)
    return _Transformed(data, {"before": json_histogram(before), "after": json_histogram(after)}, classes, seen)


def _arrays(data: Mapping[str, MetaTensor]) -> dict[str, Volume]:
    """The volumes of a case as numpy sees them, which is no copy."""
    return {role.name: (data[role.name].numpy(), grid_of(data[role.name])) for role in ROLES if role.name in data}


@contextmanager
def _shown_if_possible(case: str) -> Iterator[None]:
    """What the report cannot show is a warning: it must not decide what becomes of a case."""
    try:
        yield
    except Exception as problem:  # noqa: BLE001 - whatever it is
        warnings.warn(f"{case}: the report cannot show it: {type(problem).__name__}: {problem}", MriprepWarning, 2)


def _histogram(data: Mapping[str, MetaTensor]) -> dict[int, int]:
    """Voxels of each label; nothing where the image came alone."""
    return label_histogram(data[LABEL.name].as_tensor()) if LABEL.name in data else {}


def _classes(case: Case, data: Mapping[str, MetaTensor], counts: Mapping[int, int]) -> dict[str, Any]:
    """Some voxels of each class, for the record; nothing where the image came alone."""
    if LABEL.name not in data:
        return {}
    return {"classes": sample_classes(data[LABEL.name].as_tensor()[0].numpy(), counts, case.name).to_json()}


def _stamps(header: Header) -> list[tuple[Path, os.stat_result]]:
    """A volume's files, its header's first, and their state before a voxel is read."""
    return [(path, path.stat()) for path in header.files]


def _sources(
    headers: Sequence[Header],
    stamps: Sequence[Sequence[tuple[Path, os.stat_result]]],
    origins: Mapping[str, Origin],
) -> Any:
    """What is recorded of the sources of a role."""
    return one_or_several([_source(*of_file, origins) for of_file in zip(headers, stamps, strict=True)])


def _source(
    header: Header, stamps: Sequence[tuple[Path, os.stat_result]], origins: Mapping[str, Origin]
) -> dict[str, Any]:
    """What is recorded of a source, and who read it; ``data`` lists the other files that hold its voxels."""
    files = (RecordedFile.of(path, status, origins.get(str(path))) for path, status in stamps)
    first, *data = (file.model_dump(exclude_none=True) for file in files)
    return {**first, "reader": header.reader, **({"data": data} if data else {})}


def _output(file: StagedFile) -> dict[str, Any]:
    """Path relative to the output root, so that the folder may be moved."""
    path, size, mtime_ns = file.move.path, file.size, file.mtime_ns
    return OutputRecord(path=path, size=size, mtime_ns=mtime_ns, sha256=file.sha256, crc32=file.crc32).model_dump(
        exclude_none=True
    )


def _warn_of_labels(case: Case, before: dict[int, int], after: dict[int, int]) -> None:
    label = " and ".join(map(str, case.sources.get(LABEL.name, ())))
    gone = vanished_labels(before, after)
    if gone:
        counts = ", ".join(f"{value} ({counted(before[value], 'voxel')})" for value in gone)
        warnings.warn(f"{label}: vanished in preprocessing: label {counts}", MriprepWarning, 2)
    if len(before) > MANY_VALUES:
        message = f"{label}: {len(before)} different values look like intensities, not like a label"
        warnings.warn(message, MriprepWarning, 2)


def _peak_mib() -> float:
    """Highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
