"""Which nnU-Net is installed, and whether it is one that this package is tested with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from monai_mriprep.errors import NnunetError

__all__ = ["TESTED", "untested"]

TESTED = {"nnunetv2": ("2.8.1",), "batchgenerators": ("0.25.5",)}
"""Package -> versions. nnU-Net decides what is resampled and how; batchgenerators how a label's ties are broken."""


def untested() -> str | None:
    """What is installed that was not tested, as part of a sentence; None if nothing is.

    Raises
    ------
    NnunetError
        If nnU-Net is not installed.
    """
    found = {package: _version(package) for package in TESTED}
    others = [f"{package} {found[package]}" for package in TESTED if found[package] not in TESTED[package]]
    if not others:
        return None
    tested = " and ".join(f"{package} {', '.join(versions)}" for package, versions in TESTED.items())
    return f"{' and '.join(others)} is installed, and {tested} are tested"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        msg = f"{package} is not installed; install it with: pip install 'monai-mriprep[nnunet]'"
        raise NnunetError(msg) from None
