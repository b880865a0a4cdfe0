"""A dataset that several of these tests look at."""

import pytest

from tests.runs import write_case


@pytest.fixture
def dataset(tmp_path):
    """Slices of 4, 4 and 3 mm; 4 x 8 x 9 voxels, which are too many slices for nnU-Net's rule."""
    for name, z in {"a": 4.0, "b": 4.0, "c": 3.0}.items():
        write_case(tmp_path / "dataset", name, (4, 8, 9), (z, 1.0, 1.0))
    return tmp_path / "dataset"
