"""The command line that was given, put together again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from monai_mriprep.cli.given import given_words


def test_an_address_has_both_slashes_again():
    argument = SimpleNamespace(name="dataset_root", param_type_name="argument", is_flag=False)
    context = SimpleNamespace(
        command=SimpleNamespace(params=[argument]),
        params={"dataset_root": Path("s3://bucket/scans")},
        get_parameter_source=lambda name: SimpleNamespace(name="COMMANDLINE"),
    )
    assert given_words(context) == ["s3://bucket/scans"]
