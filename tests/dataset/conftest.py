"""Builders of MetaImage files, honest and lying."""

from __future__ import annotations

import numpy as np
import pytest

HONEST = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "1 2 3",
    "ElementSpacing": "0.5 0.75 3",
    "DimSize": "4 3 2",
    "ElementType": "MET_SHORT",
}
BODY = np.arange(24, dtype="<i2").tobytes()


@pytest.fixture
def write_mha(tmp_path):
    """Write an honest 4 x 3 x 2 MetaImage, with changes to its header."""

    def write(path=tmp_path / "volume.mha", *, body=BODY, data_file="LOCAL", drop=(), **changes):
        fields = {key: value for key, value in (HONEST | changes).items() if key not in drop}
        lines = [f"{key} = {value}\n" for key, value in fields.items()] + [f"ElementDataFile = {data_file}\n"]
        path.write_bytes("".join(lines).encode() + body)
        return path

    return write
