"""Which nnU-Net is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from monai_mriprep.errors import NnunetError
from monai_mriprep.nnunet import versions
from monai_mriprep.nnunet.versions import TESTED, untested


@pytest.fixture
def installed(monkeypatch):
    found = {package: numbers[0] for package, numbers in TESTED.items()}

    def version(package: str) -> str:
        if package not in found:
            raise PackageNotFoundError(package)
        return found[package]

    monkeypatch.setattr(versions, "version", version)
    return found


def test_tested_versions_have_no_problem(installed):
    assert untested() is None


def test_another_version_is_named_beside_the_tested_ones(installed):
    installed["batchgenerators"] = "0.25.1"
    assert untested() == "batchgenerators 0.25.1 is installed, and nnunetv2 2.8.1 and batchgenerators 0.25.5 are tested"


def test_without_nnunet_the_way_to_install_it_is_told(installed):
    del installed["nnunetv2"]
    with pytest.raises(NnunetError, match=r"pip install 'monai-mriprep\[nnunet\]'"):
        untested()
