"""A dataset on an S3 server: the same arrays, whatever goes wrong on the way."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.formats.read import read_header
from monai_mriprep.remote import objects, run
from monai_mriprep.remote.dataset import RemoteDataset
from tests.cli.shell import cli
from tests.runs import done_records, write_cases

pytestmark = [pytest.mark.stress, pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")]

SCANS = Path(__file__).parents[3] / "shared" / "data" / "mixed"
CASES = 6


def volumes(folder: Path) -> dict[str, bytes]:
    """The volumes of an output folder, byte by byte."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*T[rs]/*.npz"))}


@pytest.fixture
def scans(bucket, tmp_path):
    """A dataset in the store, the same in a folder, and what a run makes of that."""
    from tests.cluster.servers import upload

    fs, address = bucket
    local = write_cases(tmp_path / "scans", CASES, (16, 40, 40))
    upload(fs, local, f"{address}/scans")
    preprocess(local, tmp_path / "local", workers=0)
    return fs, f"{address}/scans", local


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(objects, "PAUSES", (0.01, 0.02, 0.04))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_volumes_are_those_of_a_folder_and_a_second_run_does_nothing(scans, server, tmp_path, workers):
    _, address, _ = scans
    server.requests.clear()
    summary = run.preprocess(address, tmp_path / "out", workers=workers, scratch=tmp_path)
    assert (len(summary.done), summary.failed) == (CASES, ())
    assert volumes(tmp_path / "out") == volumes(tmp_path / "local")
    # a listing; of each file its header, the file, and once more what it is
    assert server.requests == {"GET": 1 + 2 * 2 * CASES, "HEAD": 2 * CASES}
    assert run.preprocess(address, tmp_path / "out", workers=workers, scratch=tmp_path).done == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local", "out", "scans"]


def test_records_hold_addresses_and_neither_places_of_this_machine_nor_passwords(scans, tmp_path):
    fs, address, _ = scans
    fs.pipe_file(f"{address}/ImagesTr/case_2.mha", b"no header")
    fs.pipe_file(f"{address}/ImagesTr/case_3.mha", fs.cat_file(f"{address}/ImagesTr/case_3.mha")[:-50])
    summary = run.preprocess(address, tmp_path / "out", workers=0, scratch=tmp_path)
    assert sorted(result.case for result in summary.failed) == ["case_2", "case_3"]
    texts = [(tmp_path / "out" / name).read_text() for name in ("manifest.jsonl", "run.json", "manifest.csv")]
    for told in (str(tmp_path), "secret"):
        assert not any(told in text for text in texts)
    assert all(result.error.startswith(f"{address}/ImagesTr/{result.case}.mha: ") for result in summary.failed)
    record = done_records(tmp_path / "out")["case_0"]
    assert record.sources["label"][0].path == f"{address}/LabelsTr/case_0.mha"


@pytest.mark.parametrize("fault", ["slow get", "lost get", "failed get"])
def test_what_goes_wrong_on_the_way_is_tried_again(scans, server, tmp_path, fault):
    _, address, _ = scans
    server.faults[fault] = 3
    summary = run.preprocess(address, tmp_path / "out", workers=0, scratch=tmp_path)
    assert (len(summary.done), summary.failed) == (CASES, ())
    assert server.faults[fault] == 0
    assert volumes(tmp_path / "out") == volumes(tmp_path / "local")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_case_whose_voxels_cannot_be_had_fails_by_name_and_is_never_zeros(scans, tmp_path, workers):
    fs, address, local = scans
    real = RemoteDataset.planned

    def planned(self, plan):
        fs.rm_file(f"{address}/ImagesTr/case_4.mha")
        return real(self, plan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemoteDataset, "planned", planned)
        summary = run.preprocess(address, tmp_path / "out", workers=workers, scratch=tmp_path)
    (failed,) = summary.failed
    assert failed.case == "case_4"
    assert failed.error.startswith(f"{address}/ImagesTr/case_4.mha: cannot read it (FileNotFoundError")
    expected = {name: content for name, content in volumes(tmp_path / "local").items() if "case_4" not in name}
    assert volumes(tmp_path / "out") == expected
    fs.pipe_file(f"{address}/ImagesTr/case_4.mha", (local / "ImagesTr" / "case_4.mha").read_bytes())
    assert [result.case for result in run.preprocess(address, tmp_path / "out", workers=0).done] == ["case_4"]
    assert volumes(tmp_path / "out") == volumes(tmp_path / "local")


def killed_once(died: Path, work, job, case):
    """The work on a case; the worker of one of them dies, once."""
    if case.name == "case_2" and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(job, case)


def test_a_case_whose_worker_dies_is_done_while_files_are_fetched(scans, tmp_path, monkeypatch):
    """Workers are forked again while threads of this process fetch; what is here is not fetched twice."""
    from monai_mriprep.run import preprocess as module

    _, address, _ = scans
    fetched, fetch = [], RemoteDataset.fetch
    monkeypatch.setattr(module, "process_case", partial(killed_once, tmp_path / "died", module.process_case))
    monkeypatch.setattr(RemoteDataset, "fetch", lambda self, case: fetched.append(case.name) or fetch(self, case))
    summary = run.preprocess(address, tmp_path / "out", workers=2, scratch=tmp_path)
    assert (len(summary.done), summary.failed, (tmp_path / "died").exists()) == (CASES, (), True)
    assert sorted(fetched) == [f"case_{number}" for number in range(CASES)]
    assert volumes(tmp_path / "out") == volumes(tmp_path / "local")


def test_a_replaced_object_is_done_again_and_one_written_again_is_not(scans, tmp_path):
    fs, address, _ = scans
    run.preprocess(address, tmp_path / "out", workers=0)
    fs.pipe_file(f"{address}/ImagesTr/case_1.mha", fs.cat_file(f"{address}/ImagesTr/case_1.mha"))
    fs.pipe_file(f"{address}/ImagesTr/case_5.mha", fs.cat_file(f"{address}/ImagesTr/case_0.mha"))
    assert [result.case for result in run.preprocess(address, tmp_path / "out", workers=0).done] == ["case_5"]


def test_a_case_that_left_the_dataset_is_retired(scans, tmp_path):
    fs, address, _ = scans
    run.preprocess(address, tmp_path / "out", workers=0)
    for folder in ("ImagesTr", "LabelsTr"):
        fs.rm_file(f"{address}/{folder}/case_3.mha")
    summary = run.preprocess(address, tmp_path / "out", workers=0)
    assert (summary.retired, summary.done) == (("case_3",), ())


def test_the_command_takes_an_address(scans, tmp_path):
    _, address, _ = scans
    done = cli("run", address, "out", "--workers", 2, "--scratch", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert volumes(tmp_path / "out") == volumes(tmp_path / "local")
    assert "mriprep-" not in done.stdout + done.stderr
    again = cli("run", address, "out", cwd=tmp_path)
    assert "already done  6" in again.stdout
    dry = cli("run", address, "out", "--dry-run", cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr
    refused = cli("check", address, cwd=tmp_path)
    assert (refused.returncode, f"aws s3 sync {address} FOLDER" in refused.stderr) == (2, True)


def test_headers_of_every_format_are_read_by_range(bucket, tmp_path):
    """The first bytes of real scans, and of what nibabel and SimpleITK make of one, are enough for their headers."""
    if not SCANS.is_dir():
        pytest.skip(f"needs the scans of {SCANS}")
    import nibabel
    import SimpleITK

    from tests.cluster.servers import upload

    fs, address = bucket
    scan = SimpleITK.ReadImage(str(SCANS / "ImagesTr" / "20001_0001_t2w.mha"))
    made = tmp_path / "made"
    made.mkdir()
    for suffix in ("mha", "mhd", "nii", "nii.gz", "nrrd", "nhdr"):
        SimpleITK.WriteImage(scan, str(made / f"{suffix.replace('.', '_')}.{suffix}"), useCompression=suffix == "mha")
    voxels = nibabel.load(made / "nii.nii")
    nibabel.save(nibabel.MGHImage(voxels.get_fdata().astype("float32"), voxels.affine), made / "mgz.mgz")
    upload(fs, made, address)
    upload(fs, SCANS / "ImagesTr", f"{address}/scans")
    (tmp_path / "scratch").mkdir()
    remote = RemoteDataset(objects.Objects(address), tmp_path / "scratch")
    remote.read_headers()
    files = [*made.iterdir(), *(SCANS / "ImagesTr").iterdir()]
    headers = [path for path in files if path.suffix not in (".raw", ".zraw")]
    assert len(headers) > 15
    for path in headers:
        stub = remote.root / path.name if path.parent == made else remote.root / "scans" / path.name
        assert read_header(stub).outline == read_header(path).outline, path
    assert sum(path.stat().st_blocks * 512 for path in remote.root.rglob("*")) < len(files) * (1 << 18)
