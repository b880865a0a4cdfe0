"""Where a run reads and writes on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep.remote import run
from monai_mriprep.remote.at_hand import at_hand
from monai_mriprep.report.outlook import needs_text
from monai_mriprep.run.cases import Result
from monai_mriprep.run.dry_run import dry_run
from monai_mriprep.run.session import RunSummary

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


def test_folders_are_what_they_are(tmp_path):
    with at_hand(tmp_path / "scans", tmp_path / "out") as here:
        assert (here.dataset, here.output) == (tmp_path / "scans", tmp_path / "out")
        assert here.told(f"{tmp_path}: bad") == f"{tmp_path}: bad"
        assert list(here.through([Result("a", "failed", "bad")])) == [Result("a", "failed", "bad")]


@pytest.fixture
def done(address, tmp_path) -> Path:
    """Of an output with two cases."""
    run.preprocess(tmp_path / "scans", "memory://bucket/out", workers=0)
    return Path("memory://bucket/out")


def test_a_report_is_written_with_all_pictures_and_again_with_the_voxels_of_suspects(done, tmp_path):
    seen = []

    def write(summary: RunSummary) -> RunSummary:
        seen.append(sorted(str(path.relative_to(here.output)) for path in here.output.rglob("case_*")))
        return replace(summary, suspects=("case_1",))

    with at_hand(tmp_path / "scans", done, tmp_path) as here:
        assert here.reported(RunSummary(here.output), write).suspects == ("case_1",)
    pictures = [".report/case_0.webp", ".report/case_1.webp"]
    assert seen == [pictures, [*pictures, "imagesTr/case_1.npz", "labelsTr/case_1.npz"]]


def test_a_dry_run_knows_what_is_done(done, store, tmp_path):
    with at_hand(tmp_path / "scans", done, tmp_path) as here:
        plan, _ = here.plan()
        found = here.foreseen(dry_run(plan, elsewhere=here.elsewhere))
    assert found.output_root == "memory://bucket/out"
    assert [case.action for case in found.cases] == ["skip", "skip"]
    type(store)("memory://bucket/out").remove("imagesTr/case_0.npz")
    with at_hand(tmp_path / "scans", done, tmp_path) as here:
        plan, _ = here.plan()
        found = here.foreseen(dry_run(plan, elsewhere=here.elsewhere))
    assert [case.action for case in found.cases] == ["redo", "skip"]
    assert (found.needs.output_root, found.needs.free_bytes) == ("memory://bucket/out", None)
    assert " of disk; " in needs_text(found.needs)


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_a_report_that_comes_later_is_written_back(done, store, tmp_path):
    def write(summary: RunSummary) -> RunSummary:
        (here.output / "report.html").write_text("page")
        return replace(summary, report=here.output / "report.html")

    for _ in range(2):
        with at_hand(tmp_path / "scans", done, tmp_path) as here:
            plan, _ = here.plan()
            with here.session(plan) as session:
                summary = session.summary()
            summary = here.finish(here.reported(summary, write))
        assert summary.report == "memory://bucket/out/report.html"
        assert type(store)("memory://bucket/out").read("report.html") == b"page"
