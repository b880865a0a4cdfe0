"""The sources of a virtual folder are as its records say, or it is told what they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.verify.audit import verify_output
from monai_mriprep.verify.sources import source_files, source_problems
from tests.runs import done_line, record_of, write_cases


@pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")
def test_verify_reads_the_sources(tmp_path):
    dataset, out = write_cases(tmp_path / "data", 3), tmp_path / "out"
    preprocess(dataset, out, workers=0, report=False, virtual=True)
    found = verify_output(out)
    assert (found.findings, len(found.intact)) == ((), 3)
    assert found.bytes_read == sum(path.stat().st_size for path in dataset.rglob("*.mha"))
    image = dataset / "ImagesTr" / "case_0.mha"
    status, content = image.stat(), image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(dataset / "LabelsTr" / "case_1.mha")
    (dataset / "LabelsTr" / "case_2.mha").unlink()
    told = {finding.subject: finding.problem for finding in verify_output(out).problems}
    assert [Path(subject).name for subject in told] == ["case_0.mha", "case_1.mha", "case_2.mha"]
    for words, problem in zip(
        ("its SHA-256 is not", "another size or time", "cannot be read"), told.values(), strict=True
    ):
        assert words in problem


def test_what_is_no_file_is_not_read(tmp_path):
    line = done_line(outputs={})
    os.mkfifo(tmp_path / "pipe")
    line["sources"]["image"]["path"], line["sources"]["label"]["path"] = str(tmp_path / "pipe"), "s3://bucket/a.mha"
    record = record_of(line)
    assert [Path(file.path).name for file in source_files(record)] == ["pipe"], "nobody asks a store"
    assert [problem for _, problem in source_problems(record)] == [
        "is no file and no folder; `run --virtual` does its case again"
    ]
