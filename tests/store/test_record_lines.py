"""Lines of files of records, as they are appended; `tests/store/test_manifest.py` reads them."""

from __future__ import annotations

from monai_mriprep.store.folder import opened
from monai_mriprep.store.record_lines import append_lines
from tests.store.faults import note


def test_lines_are_appended_by_one_call_and_not_synced(tmp_path, monkeypatch):
    written = []
    seen = note(monkeypatch)
    with opened(tmp_path) as root:
        with monkeypatch.context() as patch:
            patch.setattr("monai_mriprep.store.calls.write", lambda _, content: written.append(content))
            append_lines(root, ["1", "2"])
        assert written == [b"1\n2\n"]
        assert seen == [("sync", f"{tmp_path.parent.name}/{tmp_path.name}")], "a new name survives a power cut"
        seen.clear()
        append_lines(root, ["3"])
        assert seen == []
