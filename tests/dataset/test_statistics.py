"""The table of spacings, and the target that follows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.dataset.pairing import pair_by_stem
from monai_mriprep.dataset.statistics import (
    SpacingStatistics,
    check_axis_order,
    statistics_of,
)
from monai_mriprep.dataset.target_rules import target_spacing
from monai_mriprep.errors import HeaderError, OutputError, StatisticsError

HEADER = "median_spacing,10th_percentile_spacing\n"
EXPECTED = SpacingStatistics((3.3, 0.75, 0.5), (3.0, 0.5, 0.25))


def test_x_y_z_order_is_reversed_on_request(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(HEADER + "[0.5 0.75 3.3],[0.25 0.5 3]\n", encoding="utf-8")

    assert SpacingStatistics.from_csv(path, axis_order="xyz") == EXPECTED
    with pytest.raises(StatisticsError, match="zyx or xyz, not 'XYZ'"):
        SpacingStatistics.from_csv(path, axis_order="XYZ")


positive = st.floats(1e-3, 1e3)
triples = st.tuples(positive, positive, positive)


@given(median=triples, shares=st.tuples(*[st.floats(0.01, 1)] * 3))
def test_a_table_reads_back_to_the_same_numbers(tmp_path_factory, median, shares):
    p10 = tuple(value * share for value, share in zip(median, shares, strict=True))
    statistics, path = SpacingStatistics(median, p10), tmp_path_factory.getbasetemp() / "round_trip.csv"

    statistics.to_csv(path)

    assert SpacingStatistics.from_csv(path) == statistics


def test_writing_leaves_nothing_beside_the_table(tmp_path):
    EXPECTED.to_csv(tmp_path / "out.csv")
    EXPECTED.to_csv(tmp_path / "out.csv")

    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == HEADER + "[3.3 0.75 0.5],[3.0 0.5 0.25]\n"


def test_a_table_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "folder.csv").mkdir()

    with pytest.raises(OutputError, match="cannot write"):
        EXPECTED.to_csv(tmp_path / "folder.csv")
    with pytest.raises(OutputError, match="cannot write"):
        EXPECTED.to_csv(tmp_path / "gone" / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


@given(st.lists(triples, min_size=1, max_size=9))
def test_statistics_are_numpys_linear_percentiles(spacings):
    statistics = SpacingStatistics.from_spacings(spacings)

    np.testing.assert_allclose(statistics.median, np.median(spacings, axis=0), atol=1e-9)
    np.testing.assert_allclose(statistics.p10, np.percentile(spacings, 10, axis=0), atol=1e-9)


def test_no_spacings_are_an_error():
    with pytest.raises(StatisticsError, match="no spacings"):
        SpacingStatistics.from_spacings([])
    with pytest.raises(StatisticsError, match="a spacing must be three"):
        SpacingStatistics.from_spacings([(1.0, np.nan, 1.0)])


def test_a_percentile_above_the_median_is_refused_but_for_float_noise():
    with pytest.raises(StatisticsError, match="above the median"):
        SpacingStatistics((3, 1, 1), (3.1, 1, 1))
    SpacingStatistics((3, 1, 1), (3.0000000001, 1, 1))


def test_a_table_in_x_y_z_order_is_found_out():
    table = SpacingStatistics((0.5, 0.5, 5.0), (0.4, 0.4, 3.0))

    with pytest.raises(StatisticsError, match=r"my\.csv.*`axis_order: xyz`"):
        check_axis_order(table, (5.2, 0.5, 0.5), "my.csv")


@pytest.mark.parametrize(
    ("table", "headers"),
    [
        ((5, 0.5, 0.5), (5.2, 0.5, 0.5)),
        ((1.0, 1.1, 1.15), (1.15, 1.1, 1.0)),
        ((8, 0.5, 0.5), (5, 0.5, 0.5)),
        ((3, 3, 3), (5, 0.5, 0.5)),
    ],
    ids=["agrees", "near-isotropic", "another sample", "neither order fits"],
)
def test_other_differences_are_no_reason_to_stop(table, headers):
    check_axis_order(SpacingStatistics(table, table), headers, "my.csv")


def test_real_tables_and_headers_agree(scans):
    for dataset, target in {"mixed": (1, 1, 1), "anisotropic": (2.98, 0.664062, 0.664062)}.items():
        root = scans / dataset
        table = SpacingStatistics.from_csv(root / "mri_statistics.csv")
        computed = statistics_of(pair_by_stem(root / "ImagesTr", root / "LabelsTr"))

        check_axis_order(table, computed.median, "the table")
        assert target_spacing(table) == target
        assert target_spacing(computed) == pytest.approx(target, abs=1e-6)


def test_statistics_read_headers_only(tmp_path, write_mha):
    for name, spacing in {"a": "0.5 0.75 3", "b": "1 1 5"}.items():
        write_mha(tmp_path / f"{name}.mha", body=b"\xff" * 48, ElementSpacing=spacing, CompressedData="True")

    assert statistics_of(sorted(tmp_path.glob("*.mha"))).median == (4.0, 0.875, 0.75)


def test_a_bad_header_stops_the_statistics(write_mha):
    with pytest.raises(HeaderError, match="at least 1"):
        statistics_of([write_mha(DimSize="0 0 0")])
