"""Whether a label lies on its image's grid."""

import pytest

from monai_mriprep.dataset.checks import check_case, mixed_axes, other_axes
from monai_mriprep.errors import GeometryError
from monai_mriprep.formats.header import Header
from monai_mriprep.formats.read import read_header
from monai_mriprep.types import GeometryPolicy


@pytest.fixture
def pair(tmp_path, write_mha):
    """An image of 4 x 3 x 2 voxels and a label with changes to its header."""

    def build(**changes):
        image, label = write_mha(tmp_path / "image.mha"), write_mha(tmp_path / "label.mha", **changes)
        return read_header(image), read_header(label)

    return build


def check(image: Header, label: Header, policy: GeometryPolicy = "strict") -> None:
    check_case({"image": [(image.path, image.grid)], "label": [(label.path, label.grid)]}, policy)


def test_noise_of_real_headers_is_no_difference(pair):
    check(*pair(Offset="1.000001 2 3", ElementSpacing="0.5000001 0.75 3.000001"), "strict")


DIFFERENT = {
    "size": ({"DimSize": "3 4 2"}, "differ in size"),
    "spacing": (
        {"ElementSpacing": "0.5 0.75 3.6"},
        r"spacing \(tolerance 0\.001 mm or 0\.001 of the voxel's edge, .* here \(0\.001, 0\.00075, 0\.0005\) mm",
    ),
    "origin": (
        {"Offset": "1 2 3.5"},
        r"differ in origin \(tolerance 0\.01 mm or 0\.01 of the smallest edge, the smaller; here 0\.005 mm\)",
    ),
    "direction": ({"TransformMatrix": "0.8 0.6 0 -0.6 0.8 0 0 0 1"}, "differ in direction"),
    "elsewhere": ({"Offset": "57 2 3"}, "check that the label belongs"),
    "reversed y": ({"TransformMatrix": "1 0 0 0 -1 0 0 0 1", "Offset": "1 3.5 3"}, "same box, but the label's y runs"),
    "reversed z and x": ({"TransformMatrix": "-1 0 0 0 1 0 0 0 -1", "Offset": "2.5 2 6"}, "z and x runs"),
    "permuted": (
        {"TransformMatrix": "0 1 0 1 0 0 0 0 1", "DimSize": "3 4 2", "ElementSpacing": "0.75 0.5 3"},
        "axes are in another order",
    ),
    "finer": (
        {"DimSize": "8 3 1", "ElementSpacing": "0.25 0.75 6", "Offset": "0.875 2 4.5"},
        "both fill the same box;",
    ),
}


@pytest.mark.parametrize(("changes", "problem"), DIFFERENT.values(), ids=DIFFERENT)
def test_another_grid_is_refused_with_both_geometries(pair, changes, problem):
    image, label = pair(**changes)

    with pytest.raises(GeometryError, match=problem) as caught:
        check(image, label, "strict")

    for fact in (image.path, label.path, image.grid, label.grid, "geometry: resample_label"):
        assert str(fact) in str(caught.value)


@pytest.mark.parametrize("policy", ["resample_label", "resample"])
@pytest.mark.parametrize("changes", [changes for changes, _ in DIFFERENT.values()], ids=DIFFERENT)
def test_the_label_may_be_resampled_instead(pair, changes, policy):
    check(*pair(**changes), policy)


@pytest.mark.parametrize("policy", ["strict", "resample_label"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_channel_on_another_grid_is_refused_unless_channels_are_resampled(pair, policy, number):
    image, other = pair(Offset="1 2 5")
    channels = [image] * 3
    channels[number] = other
    volumes = {"image": [(one.path, one.grid) for one in channels], "label": [(image.path, image.grid)]}

    with pytest.raises(GeometryError, match=f"channel 0 and channel {number} differ in origin"):
        check_case(volumes, policy)
    check_case(volumes, "resample")


def test_real_pairs(scans):
    traps = scans / "traps"
    with pytest.raises(GeometryError, match="the label's y runs the other way"):
        check(
            read_header(traps / "reversed_label/ProstateX-0000_t2w.mha"),
            read_header(traps / "reversed_label/ProstateX-0000_annotation.nii.gz"),
        )
    with pytest.raises(GeometryError, match="differ in spacing"):
        check(
            read_header(traps / "stale_label/ProstateX-0000_0000.nii.gz"),
            read_header(traps / "stale_label/ProstateX-0000.nii.gz"),
        )


@pytest.mark.parametrize("codes", [[], ["LPS"], ["RAS"] * 4])
def test_one_orientation_is_no_warning(codes):
    assert mixed_axes(codes) == ()


def test_orientations_are_counted_the_most_frequent_first():
    (warning,) = mixed_axes(["RAS", "LPS", "LPS", "PIR"])
    assert "(2 LPS, 1 RAS, 1 PIR; the ends that the file's axes x y z run to)" in warning
    assert "`orientation: RAS` turns all alike" in warning


@pytest.mark.parametrize("codes", [[], ["LPS"], ["LAS", "LPS"]])
def test_orientations_of_the_training_set_are_no_warning(codes):
    assert other_axes(codes, {"LPS": 3, "LAS": 1}) == ()


def test_orientations_that_the_training_set_has_not_are_counted():
    (warning,) = other_axes(["RAS", "LPS", "RAS", "PIR"], {"LPS": 3})
    assert "(2 RAS, 1 PIR; there 3 LPS; the ends that the file's axes x y z run to)" in warning


def test_of_a_training_set_without_records_nothing_is_said():
    assert other_axes(["RAS"], {}) == ()
