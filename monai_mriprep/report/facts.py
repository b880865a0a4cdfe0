"""Reports as plain values, for scripts. The command line prints them as JSON; docs/commands.md lists the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from monai_mriprep.dataset.statistics import SpacingStatistics
    from monai_mriprep.dataset.target_rules import TargetDerivation
    from monai_mriprep.export.splits import Fold
    from monai_mriprep.report.html.facts import Page
    from monai_mriprep.run.dataset_report import DatasetReport
    from monai_mriprep.run.plan import RunPlan
    from monai_mriprep.run.session import RunSummary
    from monai_mriprep.verify.audit import VerifyReport
    from monai_mriprep.verify.comparison import Comparison

__all__ = [
    "check_json",
    "diff_json",
    "plain",
    "report_json",
    "run_json",
    "split_json",
    "stats_json",
    "verify_json",
]


def plain(value: Any) -> Any:
    """Convert frozen values to what JSON can hold."""
    if isinstance(value, Grid):
        return value.to_json()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path | Exception) else value


def check_json(report: DatasetReport) -> dict[str, Any]:
    """Everything in a report."""
    told = replace(report, cases=tuple(replace(case, measures=None) for case in report.cases), cohort=(), recipe=None)
    facts: dict[str, Any] = plain(told)
    for case in facts["cases"]:
        del case["measures"]  # for machines of ours
    del facts["cohort"], facts["recipe"]
    return {"status": report.status, "ready": len(report.ready), **facts}


def run_json(summary: RunSummary, plan: RunPlan) -> dict[str, Any]:
    """What a run did, and to which target."""
    facts: dict[str, Any] = plain(summary)
    return {
        **facts,
        "target_spacing": list(plan.job.target),
        "derivation": plan.derivation,
        "done": [{"case": result.case, "warnings": list(result.warnings)} for result in summary.done],
        "failed": [
            {"case": result.case, "error": result.error, "warnings": list(result.warnings)} for result in summary.failed
        ],
    }


def verify_json(report: VerifyReport) -> dict[str, Any]:
    """What is there, and apart what is wrong and what the next run does."""
    facts: dict[str, Any] = plain(report)
    of_kinds = {"problems": report.problems, "unfinished": report.unfinished}
    for kind, findings in of_kinds.items():
        facts[kind] = [{"subject": finding.subject, "problem": finding.problem} for finding in findings]
    del facts["findings"]
    return facts


def diff_json(found: Comparison) -> dict[str, Any]:
    """Everything that was found; what is told of both folders is a list of two."""
    return {"equal": found.is_equal, **plain(found)}


def stats_json(
    statistics: SpacingStatistics, derived: TargetDerivation, images: int, warnings: Sequence[str]
) -> dict[str, Any]:
    """The table, under the names of its columns, and the target that it gives."""
    return {
        "median_spacing": list(statistics.median),
        "10th_percentile_spacing": list(statistics.p10),
        "images": images,
        "target_spacing": list(derived.spacing),
        "derivation": derived.text,
        "warnings": list(warnings),
    }


def split_json(folds: Sequence[Fold], file: Path) -> dict[str, Any]:
    """The folds, and the file that they are in."""
    return {"file": str(file), "folds": plain(tuple(folds))}


def report_json(page: Page, file: Path) -> dict[str, Any]:
    """The file, the names of all cases and of those that failed, and why which ones deserve a look."""
    return {
        "path": str(file),
        "cases": [case.name for case in page.cases],
        "failed": [case.name for case in page.cases if "failed" in case.kinds],
        "suspects": [plain(suspect) for case in page.cases for suspect in case.suspicions],
    }
