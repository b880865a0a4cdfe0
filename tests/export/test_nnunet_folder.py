"""The ledger of an export: what it holds, and what it may not reach."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_mriprep.errors import LockedError, OutputError
from monai_mriprep.export.nnunet_folder import LEDGER, Entry, opened_raw_folder
from monai_mriprep.formats.header import Frame
from monai_mriprep.volume.geometry import Grid

FRAME = Frame.of_grid(Grid((2, 3, 4), np.eye(4)))
FILES = ("labelsTr/a.nii.gz", "imagesTr/a_0000.nii.gz")


def entry_of(name: str = "a", **changes) -> Entry:
    facts = {
        "output_root": "/out",
        "case": name,
        "name": name,
        "sources": ["0" * 64],
        "labels": {"2": 1},
        "files": {file.replace("/a", f"/{name}"): [0, 0] for file in FILES},
    }
    return Entry.model_validate({**facts, **changes})


def volumes() -> list[tuple[np.ndarray, Frame]]:
    return [(np.ones((2, 3, 4), dtype), FRAME) for dtype in (np.uint8, np.int16)]


def test_what_was_added_is_held_by_the_next_export(tmp_path):
    with opened_raw_folder(tmp_path / "raw") as raw:
        assert not raw.holds(entry_of())
        raw.add(entry_of(), volumes())
        assert raw.holds(entry_of())
    with opened_raw_folder(tmp_path / "raw") as raw:
        assert raw.holds(entry_of())
        assert not raw.holds(entry_of(labels={"2": 2}))
        assert not raw.holds(entry_of(sources=["1" * 64]))
        assert not raw.holds(entry_of(output_root="/other"))
        raw.remove(entry_of())
        assert not raw.holds(entry_of())
    assert list((tmp_path / "raw").glob("*/*")) == []


def test_names_need_not_be_text(tmp_path):
    with opened_raw_folder(tmp_path / "raw") as raw:
        raw.add(entry_of("caf\udce9"), volumes())
    with opened_raw_folder(tmp_path / "raw") as raw:
        assert raw.holds(entry_of("caf\udce9"))


def test_a_link_in_the_place_of_a_folder_is_refused_for_it_may_lead_to_the_sources(tmp_path):
    with opened_raw_folder(tmp_path / "raw") as raw:
        raw.add(entry_of(), volumes())
    images = tmp_path / "raw/imagesTr"
    images.rename(tmp_path / "sources")
    images.symlink_to(tmp_path / "sources")
    with (
        pytest.raises(OutputError, match="imagesTr: is a link, and must be a folder"),
        opened_raw_folder(images.parent),
    ):
        pass
    images.unlink()
    images.write_text("")
    with (
        pytest.raises(OutputError, match="imagesTr: is a file, and must be a folder"),
        opened_raw_folder(images.parent),
    ):
        pass


def test_a_torn_line_is_no_line_and_spoils_none(tmp_path):
    with opened_raw_folder(tmp_path / "raw") as raw:
        raw.add(entry_of("a"), volumes())
    ledger = tmp_path / "raw" / LEDGER
    ledger.write_bytes(ledger.read_bytes() + b'{"output_root": "/out", "ca')
    with opened_raw_folder(tmp_path / "raw") as raw:
        assert raw.holds(entry_of("a"))
        raw.add(entry_of("b"), volumes())
    with opened_raw_folder(tmp_path / "raw") as raw:
        assert (raw.holds(entry_of("a")), raw.holds(entry_of("b"))) == (True, True)


@pytest.mark.parametrize("file", ["../mine.nii.gz", "/etc/a.nii.gz", "imagesTr/../../a.nii.gz", "imagesTr/a.txt", "x"])
def test_a_ledger_cannot_name_what_lies_elsewhere(tmp_path, file):
    with opened_raw_folder(tmp_path / "raw"):
        pass
    facts = {**entry_of().model_dump(), "files": {file: [0, 0]}}
    (tmp_path / "raw" / LEDGER).write_text(json.dumps(facts) + "\n")
    with opened_raw_folder(tmp_path / "raw") as raw:
        assert raw.entries == {}


def test_only_one_export_works_in_a_folder(tmp_path):
    with opened_raw_folder(tmp_path / "raw"), pytest.raises(LockedError), opened_raw_folder(tmp_path / "raw"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    path = tmp_path / "file" / "raw"
    with pytest.raises(OutputError, match=f"{path}: the export cannot be written"), opened_raw_folder(path):
        pass
