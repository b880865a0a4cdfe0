"""Which names are ours."""

from __future__ import annotations

from itertools import count

import pytest

from monai_mriprep.errors import RecordError
from monai_mriprep.store.folder import temporary_name
from monai_mriprep.store.journal import entry_name
from monai_mriprep.store.layout import (
    PROBE,
    check_bare,
    is_entry,
    is_output,
    is_page,
    is_probe,
    is_staged,
    is_temporary,
)

HEX = "0123456789abcdef" * 2
STAGED = f"123-{HEX}.npz"
ENTRY = f"{HEX}{HEX}.journal"
NOT_BARE = ("", ".", "..", "/", "/a", "a/b", "../a", "a/", "a\0", "\ud800")
KINDS = (is_output, is_staged, is_entry, is_probe, is_temporary, is_page)


def kinds(name: str) -> set[str]:
    return {kind.__name__.removeprefix("is_") for kind in KINDS if kind(name)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (temporary_name("npz"), {"output", "staged", "temporary"}),
        (temporary_name("json"), {"temporary"}),
        (temporary_name("old"), {"temporary"}),
        (entry_name("a case"), {"entry", "temporary"}),
        (f"{HEX}{HEX}.unfinished", {"temporary"}),
        ("page-0001.html", {"page"}),
        ("page-1.html", set()),
        ("report.html", set()),
        ("manifest.csv", {"temporary"}),
        (PROBE + temporary_name("npz"), {"probe"}),
        ("10000_0001.npz", {"output"}),
        ("odd \n name \udcff.npz", {"output"}),
        ("x" * 251 + ".npz", {"output"}),
        ("ä" * 125 + ".npz", {"output"}),
    ],
    ids=count(),  # a random name would differ in each process of pytest-xdist
)
def test_names_that_we_give(name, expected):
    assert kinds(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        *NOT_BARE,
        *(f"../{name}" for name in (STAGED, ENTRY, "a.npz")),
        *(f"{name}\n" for name in (STAGED, ENTRY)),
        *("a.npy", "a.npz ", ".npz", ".a.npz", "x" * 252 + ".npz", "ä" * 126 + ".npz", "\ud800.npz", "a\0.npz"),
        *(STAGED.replace("-", "_"), STAGED.upper(), STAGED + ".old", f"x{STAGED}".replace(".npz", ".json")),
        *("\u0661-" + HEX + ".json", "12345678901-" + HEX + ".json", "-" + HEX + ".json"),
        *(ENTRY[1:], ENTRY.upper(), ENTRY.replace("journal", "old"), f"{HEX}.journal"),
        *(PROBE, PROBE + "a.npz", f"{PROBE}{PROBE}{STAGED}", PROBE + STAGED.replace("npz", "json")),
        *("manifest.jsonl", "manifest.csv.old", "run.json", ".lock", ".partial", "imagesTr"),
    ],
)
def test_names_that_are_not_ours(name):
    found = kinds(name)
    assert found <= {"output"}
    assert not found or name.endswith(".npz")
    if name in NOT_BARE or "/" in name or "\0" in name or "\ud800" in name or name.startswith("."):
        assert found == set()


@pytest.mark.parametrize("name", ["a.npy", "a.npz ", ".npz", ".a.npz", "x" * 252 + ".npz", "ä" * 126 + ".npz"])
def test_names_that_no_volume_has(name):
    assert not is_output(name)


@pytest.mark.parametrize("name", NOT_BARE)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(RecordError, match="is not the bare name of a file"):
        check_bare(name)


@pytest.mark.parametrize("name", ["a", "...", ".a", " ", "a\n", "a\udcff", "-rf"])
def test_a_bare_name_stays_as_it_is(name):
    assert check_bare(name) == name
