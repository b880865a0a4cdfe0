"""Where a run reads and writes on this machine."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from monai_mriprep.errors import DiskFullError, HeaderError, OutputError
from monai_mriprep.remote import run
from monai_mriprep.remote.output import RemoteOutput
from monai_mriprep.remote.places import at_hand
from monai_mriprep.run.cases import Result
from monai_mriprep.run.dry_run import dry_run
from monai_mriprep.run.plan import plan_run
from monai_mriprep.run.session import RunSummary, open_session
from tests.remote.test_dataset import put_folder
from tests.runs import write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

ADDRESS = "memory://bucket/scans"


@pytest.fixture
def address(store, tmp_path) -> Path:
    """Of a dataset, as the command line gets it."""
    put_folder(store, write_cases(tmp_path / "scans", 2))
    return Path(ADDRESS)


def test_folders_are_what_they_are(tmp_path):
    with at_hand(tmp_path / "scans", tmp_path / "out") as here:
        assert (here.dataset, here.output) == (tmp_path / "scans", tmp_path / "out")
        assert here.told(f"{tmp_path}: bad") == f"{tmp_path}: bad"
        assert list(here.through([Result("a", "failed", "bad")])) == [Result("a", "failed", "bad")]


def test_what_stands_for_a_dataset_goes_with_the_block(address, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with at_hand(address, tmp_path / "out", scratch) as here:
        assert here.dataset.is_dir()
        assert here.dataset.parts[: len(scratch.parts)] == scratch.parts
    assert list(scratch.iterdir()) == []


def test_errors_and_results_name_addresses(address, tmp_path):
    with at_hand(address, tmp_path / "out", tmp_path) as here:
        (result,) = here.through([Result("a", "failed", f"{here.dataset}/a: bad", (f"{here.dataset}/a: odd",))])
    assert (result.error, result.warnings) == (f"{ADDRESS}/a: bad", (f"{ADDRESS}/a: odd",))
    with pytest.raises(HeaderError) as raised, at_hand(address, tmp_path / "out", tmp_path) as here:
        raise HeaderError(here.dataset / "a.mha", "bad")
    assert str(raised.value) == f"{ADDRESS}/a.mha: bad"


def test_a_scratch_that_cannot_be_written_to_is_named(address, tmp_path):
    with pytest.raises(OutputError, match="give --scratch a folder"), at_hand(address, tmp_path, tmp_path / "none"):
        pass


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
        plan = here.planned(plan_run(here.dataset, here.output))
        found = here.foreseen(dry_run(plan, elsewhere=here.elsewhere))
    assert found.output_root == "memory://bucket/out"
    assert [case.action for case in found.cases] == ["skip", "skip"]
    type(store)("memory://bucket/out").remove("imagesTr/case_0.npz")
    with at_hand(tmp_path / "scans", done, tmp_path) as here:
        plan = here.planned(plan_run(here.dataset, here.output))
        assert [case.action for case in dry_run(plan, elsewhere=here.elsewhere).cases] == ["redo", "skip"]


def test_an_output_in_its_dataset_is_refused(address, tmp_path):
    for output in (ADDRESS, f"{ADDRESS}/out"):
        with pytest.raises(OutputError, match="would mix with the dataset"), at_hand(address, Path(output), tmp_path):
            pass


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_a_report_that_comes_later_is_written_back(done, store, tmp_path):
    def write(summary: RunSummary) -> RunSummary:
        (here.output / "report.html").write_text("page")
        return replace(summary, report=here.output / "report.html")

    for _ in range(2):
        with at_hand(tmp_path / "scans", done, tmp_path) as here:
            plan = here.planned(plan_run(here.dataset, here.output))
            with open_session(plan, elsewhere=here.elsewhere) as session:
                here.begin(session)
                summary = session.summary()
            summary = here.finish(here.reported(summary, write))
        assert summary.report == "memory://bucket/out/report.html"
        assert type(store)("memory://bucket/out").read("report.html") == b"page"


def full_disk(place: Path) -> DiskFullError:
    return DiskFullError(f"{place}: full")


def test_a_disk_that_is_full_is_that_of_the_scratch_folder(address, store, tmp_path, monkeypatch):
    message = "memory://bucket/out: full; what is full is the scratch folder: give --scratch one with more space"
    with at_hand(tmp_path, Path("memory://bucket/out"), tmp_path) as here:
        (result,) = here.through([Result("a", "failed", f"{here.output}: full", facts={"disk_full": True})])
    assert result.error == message
    with pytest.raises(DiskFullError) as raised, at_hand(tmp_path, Path("memory://bucket/out"), tmp_path) as here:
        raise full_disk(here.output)
    assert str(raised.value) == message
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(RemoteOutput, "read_records", Mock(side_effect=full))
    with (
        pytest.raises(DiskFullError, match=r"No space left on device\); give --scratch a folder with space"),
        at_hand(tmp_path, Path("memory://bucket/out"), tmp_path),
    ):
        pass
