"""Folders stand for addresses as long as the block lasts, and errors tell of addresses."""

from __future__ import annotations

import errno
from pathlib import Path
from unittest.mock import Mock

import pytest

from monai_mriprep.errors import DiskFullError, HeaderError, OutputError
from monai_mriprep.remote.at_hand import at_hand
from monai_mriprep.remote.output import RemoteOutput
from monai_mriprep.run.cases import Result

ADDRESS = "memory://bucket/scans"


def test_what_stands_for_a_dataset_goes_with_the_block(address, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with at_hand(address, tmp_path / "out", scratch) as here:
        here.plan()
        assert [place.name for place in scratch.glob("mriprep-*/*")] == ["data"]
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


def test_an_output_whose_volumes_would_lie_in_its_dataset_is_refused(tmp_path):
    output = Path("memory://bucket/nnunet")
    with pytest.raises(OutputError, match="would mix with the dataset"), at_hand(output / "imagesTs", output, tmp_path):
        pass


def test_an_output_in_its_dataset_is_refused(address, tmp_path):
    for output in (ADDRESS, f"{ADDRESS}/out"):
        with pytest.raises(OutputError, match="would mix with the dataset"), at_hand(address, Path(output), tmp_path):
            pass


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
