"""``advice.json``: what is written is read again, what is damaged is refused by name, and nothing is in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_mriprep import advise, preprocess
from monai_mriprep.advice.file import read_advice, write_advice
from monai_mriprep.advice.model import Advice
from monai_mriprep.errors import OutputError, RecordError
from monai_mriprep.run.prune import prune_output
from monai_mriprep.store.store import open_store
from monai_mriprep.verify.audit import verify_output
from tests.advice.datasets import write_blobs

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_blobs(tmp_path_factory.mktemp("advice") / "dataset")


@pytest.fixture(scope="module")
def advice(dataset) -> Advice:
    return advise(dataset, spacings=2)


def read(root: Path) -> Advice | None:
    with open_store(root) as store:
        return read_advice(store)


def test_what_is_written_is_read_again_and_the_bytes_are_the_same(dataset, tmp_path):
    again = advise(dataset, spacings=2, output_root=tmp_path / "out", workers=2)
    assert read(tmp_path / "out") == again
    first = (tmp_path / "out/advice.json").read_bytes()
    advise(dataset, spacings=2, output_root=tmp_path / "out", workers=2)
    assert (tmp_path / "out/advice.json").read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".partial", "advice.json"]


def test_there_is_none_where_nobody_asked(tmp_path):
    assert read(tmp_path) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-40],
        lambda content: content.replace(b'"default": true', b'"default": null'),
        lambda content: b"\xff\xfe",
        lambda content: b"[" * 100_000,
    ],
)
def test_what_is_damaged_is_refused_and_named(advice, tmp_path, damage):
    file = write_advice(tmp_path, advice)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(RecordError, match=r"advice\.json: cannot be read .*; `advise` makes it again"):
        read(tmp_path)


def test_a_folder_in_its_place_is_named(tmp_path):
    (tmp_path / "advice.json").mkdir()
    with pytest.raises(RecordError, match=r"advice\.json: cannot be read"):
        read(tmp_path)


def test_a_name_that_is_no_text_is_written_and_read(advice, tmp_path):
    odd = advice.model_copy(update={"empty": ("scan_\udcff",)})
    write_advice(tmp_path, odd)
    assert read(tmp_path) == odd


def test_it_does_not_mix_with_the_dataset(dataset):
    before = sorted(dataset.rglob("*"))
    with pytest.raises(OutputError, match="the output would mix with the dataset"):
        advise(dataset, output_root=dataset)
    assert sorted(dataset.rglob("*")) == before


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_read(dataset, tmp_path):
    (tmp_path / "file").touch()
    told = []
    with pytest.raises(OutputError, match="it is a file"):
        advise(dataset, output_root=tmp_path / "file" / "out", observe=lambda *event: told.append(event))
    assert told == []


@pytest.mark.stress
def test_a_run_goes_into_the_folder_and_prune_deletes_what_may_name_a_case(tmp_path):
    root, out = write_blobs(tmp_path / "dataset"), tmp_path / "out"
    advise(root, spacings=2, output_root=out)
    preprocess(root, out, workers=0)
    assert not verify_output(out).findings
    assert read(out) is not None
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder / "case_0.nii.gz").unlink()
    preprocess(root, out, workers=0, retire=True)
    assert "advice.json" in prune_output(out, dry_run=True).files
    assert (out / "advice.json").exists()
    assert "advice.json" in prune_output(out).files
    assert not (out / "advice.json").exists()
