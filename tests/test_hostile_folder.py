"""Links, pipes, devices and folders in place of everything that a run uses: nothing outside is read or touched."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from monai_mriprep.store.layout import FILES, FOLDERS, RETIRED, ROLE_FOLDERS, SPLITS
from monai_mriprep.store.writers import this_writer
from tests.hostile import PLANTED, Outside, Site, command, plant
from tests.runs import counts, outputs

STAGED, ENTRY = f"7-{'a' * 32}", f"{'0' * 64}.journal"
OWN = this_writer()
WRITERS = {
    "OWN": OWN.name,
    "OWN+": f"{OWN.name}+{'a' * 32}",
    "DEAD": replace(OWN, start="1").name,
    "FOREIGN": replace(OWN, host="elsewhere").name,
}
INSIDE = (
    "imagesTr/case_1.npz",
    "labelsTr/case_1.npz",
    "imagesTr/other.npz",
    f"imagesTr/.probe-{STAGED}.npz",
    f"{RETIRED}/imagesTr",
    f"{RETIRED}/labelsTr/case_1.npz",
    f".partial/{ENTRY}",
    f".partial/{STAGED}.npz",
    ".partial/manifest.csv",
    *(f".partial/{name}" for name in WRITERS),
    f".partial/DEAD/{ENTRY}",
    f".partial/DEAD/{STAGED}.npz",
    f".partial/DEAD/{STAGED}.old",
    "run.json.set-aside",
    "notes.txt",
)
NAMES = (*FILES, *FOLDERS, RETIRED, *INSIDE)
KINDS = tuple(PLANTED)
MATRIX = [(name, kind) for name in NAMES for kind in KINDS]
SOME = [(name, KINDS[(turn + 3 * step) % len(KINDS)]) for turn, name in enumerate(NAMES) for step in range(2)]
"""Each name in two ways, and each way at several names."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Site:
    return Site.make(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def outside(tmp_path) -> Outside:
    return Outside(tmp_path / "outside")


def place_of(site: Site, name: str) -> Path:
    return site.output.joinpath(*(WRITERS.get(part, part) for part in Path(name).parts))


def is_in_the_way(name: str, kind: str) -> bool:
    """Whether a run needs a file or a folder of this name, and what stands there is another thing."""
    is_file, is_folder = kind in ("file", "second name"), kind == "folder"
    if name == SPLITS:
        return is_folder  # else `split`, which comes first, replaces it
    if name in FILES or name in ("imagesTr/case_1.npz", "labelsTr/case_1.npz"):
        return not is_file
    return (name in FOLDERS or name == ".partial/OWN") and not is_folder


@pytest.mark.parametrize(("name", "kind"), SOME)
def test_what_stands_in_the_way_is_set_aside(finished, outside, tmp_path, name, kind):
    attack(finished.copied(tmp_path), outside, name, kind)


@pytest.mark.stress
@pytest.mark.timeout(900)
def test_everything_in_place_of_everything(finished, tmp_path):
    for number, (name, kind) in enumerate(MATRIX):
        place = tmp_path / str(number)
        attack(finished.copied(place), Outside(place / "outside"), name, kind)
        shutil.rmtree(place)
    print(f"\n{len(NAMES)} names x {len(KINDS)} things in their place")  # noqa: T201


def attack(site: Site, outside: Outside, name: str, kind: str) -> None:
    """Plant one thing, and use the folder in every way."""
    expected = outputs(site.output)
    (site.output / "labelsTr" / "case_1.npz").unlink()
    plant(place_of(site, name), kind, outside)
    where = f"{kind} as {name}"
    with outside.untouched(watched=kind != "second name"):
        assert all(status in (0, 1, 2) for status, _ in site.readers()), where
        status, text = site.run()
        assert status == 0, (where, text)
        assert ("is set aside as" in text) == is_in_the_way(name, kind), (where, text)
        status, again = site.run()
        assert status == 0, (where, again)
        assert counts(again) == {"done": 0, "already done": 2}, (where, again)
        assert "is set aside as" not in again, "it is out of the way for good"
        assert [site.restore()[0], site.split()[0]] == [0, 0], where
        assert site.repair()[0] in (0, 1), where
    found = {path: digest for path, digest in outputs_that_are_files(site.output).items() if "other" not in path}
    assert found == expected, where


def outputs_that_are_files(output: Path) -> dict[str, str]:
    for folder in ROLE_FOLDERS.values():
        for path in (output / folder).iterdir():
            if path.is_symlink() or not path.is_file():
                assert path.name.startswith(("other", ".probe-", "in it")), "only what a run does not need stays"
                remove(path)
            elif path.name.startswith(".probe-"):
                path.unlink()
    return outputs(output)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("file", "second name")])
@pytest.mark.parametrize("name", [RETIRED, f"{RETIRED}/imagesTr", f"{RETIRED}/imagesTr/case_1.npz"])
def test_a_case_that_leaves_goes_to_a_folder_of_ours(finished, outside, tmp_path, name, kind):
    site = smaller(finished.copied(tmp_path), tmp_path / "smaller")
    plant(site.output / name, kind, outside)
    with outside.untouched():
        status, text = site.run("--retire")
        assert status == 0, text
    assert list(outputs(site.output)) == ["imagesTr/case_0.npz", "labelsTr/case_0.npz"]
    kept = [path for path in (site.output / RETIRED).rglob("case_1*.npz") if path.is_file() and not path.is_symlink()]
    assert len(kept) == 2, text
    is_right = kind == "folder" or name.endswith(".npz")
    assert ("is set aside as" in text) == (not is_right)


def smaller(site: Site, dataset: Path) -> Site:
    """The same without the sources of case_1."""
    shutil.copytree(site.dataset, dataset)
    for folder in ("ImagesTr", "LabelsTr"):
        (dataset / folder / "case_1.mha").unlink()
    return replace(site, dataset=dataset)


def test_names_of_what_was_set_aside_are_never_reused(finished, outside, tmp_path):
    site = finished.copied(tmp_path)
    for count in range(3):
        plant(site.output / "run.json", "link to a file", outside)
        assert f"run.json.set-aside{f'.{count + 1}' * (count > 0)}\n" in site.run()[1]
    assert len(list(site.output.glob("run.json.set-aside*"))) == 3


def test_the_folder_itself_may_be_a_link(finished, tmp_path):
    """The user has named it."""
    site = finished.copied(tmp_path)
    (tmp_path / "link").symlink_to(site.output)
    linked = replace(site, output=tmp_path / "link")
    assert linked.run()[0] == linked.verify()[0] == linked.restore()[0] == 0


def test_a_folder_in_the_place_of_a_volume_is_set_aside_with_all_in_it(finished, outside, tmp_path):
    site = finished.copied(tmp_path)
    plant(site.output / "imagesTr" / "case_1.npz", "folder", outside)
    status, text = site.run()
    assert status == 0, text
    assert (site.output / "case_1.npz.set-aside" / "in it" / "file").read_bytes() == b"of somebody"
    assert site.verify()[0] == 0


def test_control_characters_in_names_do_not_reach_the_terminal(finished, outside, tmp_path):
    site, evil = finished.copied(tmp_path), "\x1b]0;owned\x07\x1b[2J\r\n"
    for folder in ("imagesTr", "labelsTr", ".partial", "."):
        (site.output / folder / f"{evil}.npz").write_bytes(b"")
    (site.output / "labelsTr" / "case_1.npz").unlink()
    for status, text in (site.verify(), site.run(), site.verify(), site.repair()):
        assert status in (0, 1), text
        assert not set("\x1b\x07\r") & set(text)
        assert "owned" not in text or r"\x1b" in text


def test_an_output_folder_below_a_link_to_a_device_is_refused(finished, tmp_path):
    (tmp_path / "out").symlink_to("/dev/null")
    status, text = command("run", finished.dataset, tmp_path / "out")
    assert status == 2
    assert "cannot be made" in text
    assert os.readlink(tmp_path / "out") == "/dev/null"  # noqa: PTH115
