"""What the machine lends to this process."""

import os
import platform

import pytest

from monai_mriprep import machine
from monai_mriprep.machine import processor_type, processors

AMD = (
    "processor\t: 0\nmodel name\t: AMD  EPYC 7763\nflags\t\t: fpu avx avx2 sse\n\nprocessor\t: 1\nmodel name\t: other\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"


def test_there_are_processors():
    assert 1 <= processors() <= os.cpu_count()


def test_they_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 4}, raising=False)
    assert processors() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processors() == os.cpu_count()


@pytest.mark.parametrize(("told", "known"), [(AMD, "AMD EPYC 7763, avx2"), (ARM, "0x41 0xd0c, sve"), ("", "")])
def test_the_type_of_the_processor_is_what_linux_tells_of_the_first(monkeypatch, tmp_path, told, known):
    file = tmp_path / "cpuinfo"
    file.write_text(told)
    monkeypatch.setattr(machine, "CPUINFO", file)
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor_type.__wrapped__() == ", ".join(filter(None, (platform.machine(), known)))


def test_without_that_it_is_what_python_knows(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "i386")
    monkeypatch.setattr(machine.sys, "platform", "freebsd")
    assert processor_type.__wrapped__() == f"{platform.machine()}, i386"
