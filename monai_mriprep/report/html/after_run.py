"""The report at the end of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from monai_mriprep.errors import package_logger
from monai_mriprep.store.layout import MANIFEST, REPORT

if TYPE_CHECKING:
    from monai_mriprep.run.session import RunSummary

__all__ = ["new_report", "warn_of_older_report", "with_report"]


def with_report(summary: RunSummary) -> RunSummary:
    """The summary, with the place of the report, which is written anew where it does not show the last records.

    The run is over, and nothing that happens here may spoil it: what prevents a report is logged.
    """
    has_changed = bool(summary.done or summary.failed or summary.retired)
    page, suspects = new_report(Path(summary.output_root), has_changed)
    return replace(summary, report=page, suspects=suspects)


def new_report(output_root: Path, has_changed: bool) -> tuple[Path | None, tuple[str, ...]]:
    """The place of the report, None if it cannot be written; and the suspects, if it was written anew."""
    page = output_root / REPORT
    if not has_changed and _is_current(page):
        return page, ()
    package_logger().info("writing the report ...")
    try:
        return page, _write(output_root)
    except Exception as error:  # noqa: BLE001 - whatever it is
        why, again = f"{type(error).__name__}: {error}", f"monai-mriprep report {output_root}"
        package_logger().warning("%s cannot be written: %s; `%s` tries again", page, why, again)
        return None, ()


def warn_of_older_report(summary: RunSummary) -> None:
    """Say that a report that is there shows what was before a run that writes none: cases may have left since."""
    page = Path(summary.output_root) / REPORT
    if page.is_file() and not _is_current(page):
        again = f"`monai-mriprep report {summary.output_root}` writes it anew"
        package_logger().warning("%s is older than the records, and may show cases that have left; %s", page, again)


def _is_current(page: Path) -> bool:
    """Whether it is newer than the records: else an earlier run was ended before it had written it."""
    try:
        return page.stat().st_mtime_ns >= page.with_name(MANIFEST).stat().st_mtime_ns
    except OSError:
        return False


def _write(output_root: Path) -> tuple[str, ...]:
    """Write it, and name the suspects."""
    from monai_mriprep.report.html.write import write_stored_report
    from monai_mriprep.store.store import open_store

    with open_store(output_root) as store:
        page = write_stored_report(store)
    return tuple(case.name for case in page.cases if case.reasons)
