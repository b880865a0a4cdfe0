"""The demonstration as a user calls it."""

from __future__ import annotations

import pytest

from tests.cli.shell import cli
from tests.runs import counts


@pytest.mark.stress
def test_it_is_done_twice_in_a_row_in_its_own_folder_and_in_no_other(tmp_path):
    for _ in range(2):
        done = cli("demo", "-w", 0, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert counts(done.stdout)["done"] == 6
        assert "making a synthetic dataset in demo/dataset" in done.stderr
    (tmp_path / "mine").mkdir()
    refused = cli("demo", "mine", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[-1].startswith("error: mine is there already, and `demo` did not make it")
    assert list((tmp_path / "mine").iterdir()) == []
