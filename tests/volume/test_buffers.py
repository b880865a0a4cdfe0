"""What Linux says of the caches."""

from __future__ import annotations

import pytest

from monai_mriprep.volume.buffers import cache_share


@pytest.fixture
def caches(tmp_path):
    def build(*described: tuple[str, str]):
        for number, (size, processors) in enumerate(described):
            cache = tmp_path / f"index{number}"
            cache.mkdir()
            (cache / "size").write_text(f"{size}\n")
            (cache / "shared_cpu_map").write_text(f"{processors}\n")
        return tmp_path

    return build


def test_the_largest_share_counts(caches):
    folder = caches(("48K", "1"), ("1024K", "1"), ("32768K", "000000ff"))
    assert cache_share(folder) == 4096 * 1024


def test_a_cache_of_many_processors_may_have_less_to_give_than_one_of_its_own(caches):
    folder = caches(("2048K", "00000000,00000001"), ("32768K", "ffffffff,ffffffff"))
    assert cache_share(folder) == 2048 * 1024


@pytest.mark.parametrize("described", [("", "1"), ("much", "1"), ("32K", "all"), ("32K", "")])
def test_what_cannot_be_read_is_no_cache(caches, described):
    assert cache_share(caches(described)) == 0


def test_a_system_that_says_nothing_has_none(tmp_path):
    assert cache_share(tmp_path / "nowhere") == 0
