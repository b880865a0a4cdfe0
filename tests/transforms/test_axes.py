"""One physical result whatever the order and sense of the axes, or an error; never a silent swap."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import SpatialPadd
from monai.transforms.io.dictionary import LoadImaged
from monai.transforms.post.dictionary import Invertd
from monai.transforms.spatial.dictionary import Flipd, Orientationd, RandRotated, Rotate90d
from monai.transforms.utility.dictionary import Lambdad, Transposed

from monai_mriprep.errors import GeometryError, MriprepError, MriprepWarning, ResamplingError
from monai_mriprep.transforms import AnisotropyAwareSpacingd, LoadNpzd, LoadVolumed, NpzReader, SaveNpzd
from tests.oracles import affine_of, phantom, plan, spline

TARGET = (1.5, 1, 0.5)
PAGE = Path(__file__).parents[2] / "docs" / "training.md"
TRAPS = [
    "traps/permuted_axes/ProstateX-0000_sag.mha",
    *(f"traps/axis_codes/{code}.nii.gz" for code in ("AIL", "LAS", "PIR", "RAS", "RSP")),
]
LOADERS = {
    "LoadVolumed": LoadVolumed("image"),
    "ITKReader": LoadImaged("image", reader="ITKReader", ensure_channel_first=True),
    "NibabelReader": LoadImaged("image", reader="NibabelReader", ensure_channel_first=True),
    "NpzReader": lambda data: LoadImaged("image", reader=NpzReader())({"image": npz_of(Path(data["image"]))}),
    "ITKReader, reversed": LoadImaged("image", reader="ITKReader", ensure_channel_first=True, reverse_indexing=True),
}


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    """An oblique scan of 9 x 24 x 22 voxels of 3.0 x 1.1 x 0.9 mm (z y x), which no target divides."""
    path = tmp_path_factory.mktemp("axes") / "scan.nii.gz"
    affine = affine_of((3.0, 1.1, 0.9), 12, (40, -50, 60))[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(phantom((9, 24, 22))[0].astype(np.float32).T, affine), path)
    SaveNpzd("image", path.parent)(LoadVolumed("image")({"image": str(path)}))
    return path


def npz_of(scan: Path) -> Path:
    return scan.parent / "imagesTr" / "scan.npz"


def resampled(path: Path, loader: str, orientation: str | None, **options: object) -> MetaTensor:
    """Step by step: `Compose` would hide which error it was."""
    data = LOADERS[loader]({"image": str(path)})
    if orientation is not None:
        data = Orientationd("image", axcodes=orientation, labels=None)(data)
    return AnisotropyAwareSpacingd("image", target=TARGET, **options)(data)["image"]


def in_the_world(volume: MetaTensor) -> tuple[np.ndarray, np.ndarray]:
    """Values and affine after nibabel has turned the axes to R, A, S."""
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume[0].numpy(), volume.affine.numpy()))
    return np.asarray(image.dataobj), image.affine


# --- The table of docs/training.md ------------------------------------------------------------------------------------

SAME, ERROR = "same", "error"
DECLARED = {None: {}, "xyz": {"array_axes": "xyz"}, "zyx": {"array_axes": "zyx"}}
TABLE = [
    # loaded by, array_axes: None, "xyz", "zyx"
    ("LoadVolumed", (SAME, ERROR, SAME)),
    ("NpzReader", (SAME, SAME, ERROR)),
    ("ITKReader", (ERROR, SAME, ERROR)),
    ("NibabelReader", (ERROR, SAME, ERROR)),
    ("ITKReader, reversed", (ERROR, ERROR, ERROR)),
]


def test_the_page_shows_this_table():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `Load")]
    shown = [
        tuple(cell.strip() for cell in row.strip("|").split("|")[2:])
        for row in rows
        if "Reader" in row or "Npzd" in row
    ]
    assert shown == [outcomes for _, outcomes in TABLE]


@pytest.mark.parametrize("orientation", [None, "RAS", "SPL"])
@pytest.mark.parametrize(
    ("loader", "declared", "outcome"),
    [(loader, declared, row[i]) for loader, row in TABLE for i, declared in enumerate(DECLARED)],
)
def test_every_way_to_load_gives_one_result_or_an_error(scan, loader, orientation, declared, outcome):
    if outcome == ERROR:
        with pytest.raises(ResamplingError, match="array_axes"):
            resampled(scan, loader, orientation, **DECLARED[declared])
        return
    found = resampled(scan, loader, orientation, **DECLARED[declared])
    expected = resampled(scan, "LoadVolumed", None)
    (values, affine), (wanted, wanted_affine) = in_the_world(found), in_the_world(expected)
    np.testing.assert_allclose(affine, wanted_affine, rtol=0, atol=1e-5)  # ITK makes three matrices of one
    np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-6 * np.ptp(wanted) if loader == "ITKReader" else 0)
    assert found.meta["target_spacing"].tolist() == list(TARGET)
    assert found.is_contiguous()


def test_the_one_result_is_that_of_the_oracle(scan):
    image = LoadVolumed("image")({"image": str(scan)})["image"]
    axes = plan(image.shape[1:], image.affine.numpy(), TARGET)
    expected = spline(image[0].numpy(), axes, 3)
    found = resampled(scan, "ITKReader", "SPL", array_axes="xyz")
    turned = Orientationd("image", axcodes=nibabel.aff2axcodes(image.affine), labels=None)({"image": found})["image"]
    np.testing.assert_allclose(turned[0], expected, rtol=0, atol=1e-6 * np.ptp(expected))


@pytest.mark.parametrize("grid", ["monai", "nnunet", "itk"])
@pytest.mark.parametrize("orientation", ["RAS", "SPL", "LPS"])
def test_labels_and_every_rule_of_the_grid_too(scan, grid, orientation):
    """Bit for bit, ties included: half of the target is in the middle between two voxels here."""
    data = LoadVolumed("label")({"label": str(scan)})
    spacing = AnisotropyAwareSpacingd("label", target=(1.5, 2.2, 0.45), mode="nearest", grid=grid)
    expected = in_the_world(spacing(data)["label"])
    found = in_the_world(spacing(Orientationd("label", axcodes=orientation, labels=None)(data))["label"])
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("path", TRAPS)
def test_real_scans_in_any_order_of_axes(scans, path):
    readers = ("ITKReader", "NibabelReader") if path.endswith(".nii.gz") else ("ITKReader",)
    values, affine = in_the_world(resampled(scans / path, "LoadVolumed", None))
    for reader, orientation in ((reader, code) for reader in readers for code in ("RAS", "SPL")):
        other = in_the_world(resampled(scans / path, reader, orientation, array_axes="xyz"))
        np.testing.assert_allclose(other[1], affine, rtol=0, atol=1e-4)  # nibabel and ITK read float32 headers
        np.testing.assert_allclose(other[0], values, rtol=0, atol=2e-6 * np.ptp(values))


# --- Marks and declarations -------------------------------------------------------------------------------------------


def own(array_axes: str | None = None, **meta: object) -> MetaTensor:
    """A volume that no loader of ours or MONAI's has made."""
    mark = {} if array_axes is None else {"array_axes": array_axes}
    return MetaTensor(torch.rand(1, 5, 6, 7), affine=torch.diag(torch.tensor([3.0, 2, 1, 1])), meta={**mark, **meta})


def test_arrays_of_your_own_may_be_declared_either_way():
    for axes, target in (("zyx", TARGET), ("xyz", TARGET[::-1])):
        found = AnisotropyAwareSpacingd("image", target=target, array_axes=axes)({"image": own()})["image"]
        np.testing.assert_allclose(found.pixdim, TARGET, atol=1e-12)
        assert found.meta["array_axes"] == axes
        assert torch.equal(found.meta["original_affine"], own().affine)
        again = AnisotropyAwareSpacingd("image", target=target)({"image": found})["image"]  # it is marked now
        assert torch.equal(again.as_tensor(), found.as_tensor())


def test_orders_are_given_in_z_y_x_too():
    image = own()
    options = {"target": TARGET, "order": [(0, 1, 3)]}
    expected = AnisotropyAwareSpacingd("image", **options, array_axes="zyx")({"image": image})["image"]
    turned = MetaTensor(image.as_tensor().permute(0, 3, 2, 1), affine=image.affine[:, [2, 1, 0, 3]])
    found = AnisotropyAwareSpacingd("image", **options, array_axes="xyz")({"image": turned})["image"]
    assert torch.equal(found.as_tensor(), expected.as_tensor().permute(0, 3, 2, 1))


def test_a_declaration_against_the_mark_is_an_error():
    with pytest.raises(ResamplingError, match="marked the array xyz, array_axes says zyx"):
        AnisotropyAwareSpacingd("image", target=TARGET, array_axes="zyx")({"image": own("xyz")})


def test_an_unknown_order_is_refused_when_the_transform_is_made(tmp_path):
    for make in (
        lambda: AnisotropyAwareSpacingd("image", target=TARGET, array_axes="xzy"),
        lambda: SaveNpzd("image", tmp_path, array_axes="yzx"),
    ):
        with pytest.raises(ResamplingError, match="array_axes must be xyz or zyx"):
            make()


def test_geometries_are_told_in_z_y_x_whatever_the_array():
    image = own()  # x y z: 3, 2 and 1 mm
    label = MetaTensor(image.as_tensor(), affine=torch.diag(torch.tensor([3.0, 2, 1.5, 1])))
    with pytest.raises(GeometryError, match=r"image.*spacing \(1, 2, 3\) mm[^@]*label.*spacing \(1\.5, 2, 3\) mm"):
        AnisotropyAwareSpacingd(["image", "label"], TARGET, array_axes="xyz")({"image": image, "label": label})


def test_a_transposition_behind_the_affine_is_an_error(scan):
    data = Transposed("image", (0, 3, 2, 1))(LOADERS["NibabelReader"]({"image": str(scan)}))
    with pytest.raises(ResamplingError, match=r"NibabelReader loaded it in x y z order; .* Transposed"):
        AnisotropyAwareSpacingd("image", target=TARGET, array_axes="xyz")(data)


@pytest.mark.parametrize(
    "turn", [Transposed("image", (0, 3, 2, 1)), Lambdad("image", lambda volume: volume.permute(0, 3, 2, 1))]
)
def test_our_array_transposed_behind_its_affine_is_an_error(scan, turn):
    data = turn(LOADERS["LoadVolumed"]({"image": str(scan)}))
    with pytest.raises(ResamplingError, match=r"the file's shape the other way round; Transposed and permute"):
        AnisotropyAwareSpacingd("image", target=TARGET)(data)


def test_a_quarter_turn_is_followed_and_a_rotation_is_refused(scan):
    data = LoadVolumed("image")({"image": str(scan)})
    spacing = AnisotropyAwareSpacingd("image", target=TARGET)
    turned = spacing(Rotate90d("image", spatial_axes=(0, 2))(data))["image"]
    for one, other, tolerance in zip(
        in_the_world(turned), in_the_world(spacing(data)["image"]), (0, 1e-9), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
    rotated = RandRotated("image", prob=1, range_x=(0.3, 0.3))(data)
    with pytest.raises(ResamplingError, match="resample before rotating"):
        spacing(rotated)


def test_the_way_back_through_other_axes(scan):
    """There by MONAI's loader and two permutations, and back by `Invertd` to where the file lies."""
    loaded = LOADERS["NibabelReader"]({"image": str(scan)})
    steps = Compose(
        [
            Orientationd("image", axcodes="SPL", labels=None),
            AnisotropyAwareSpacingd("image", target=(1.0, 0.55, 0.3), array_axes="xyz"),
            Orientationd("image", axcodes="RAS", labels=None),
        ]
    )
    data = steps(loaded)
    data["pred"] = MetaTensor((data["image"].as_tensor() > 300.5).to(torch.uint8))
    back = Invertd("pred", steps, orig_keys="image", nearest_interp=True, to_tensor=False)(data)["pred"]
    np.testing.assert_allclose(back.affine, loaded["image"].affine, atol=1e-9)
    assert torch.equal(back.as_tensor(), (loaded["image"].as_tensor() > 300.5).to(back.dtype))


# --- Files promise z y x ----------------------------------------------------------------------------------------------


def test_save_refuses_arrays_in_another_order(scan, tmp_path):
    for loader, orientation, options in (("ITKReader", None, {"array_axes": "xyz"}), ("LoadVolumed", "SPR", {})):
        data = LOADERS[loader]({"image": str(scan)})
        if orientation:
            data = Orientationd("image", axcodes=nibabel.aff2axcodes(data["image"].affine)[::-1], labels=None)(data)
        with pytest.raises(MriprepError, match=r"scan\.nii\.gz: .*promise z y x: load it with LoadVolumed"):
            SaveNpzd("image", tmp_path, **options)(data)
    with pytest.raises(ResamplingError, match="array_axes"):
        SaveNpzd("image", tmp_path)(LOADERS["ITKReader"]({"image": str(scan)}))
    assert not list(tmp_path.rglob("*.npz"))


def test_save_takes_what_runs_the_other_way(scan, tmp_path):
    """The affine in the file tells of a flip."""
    data = LoadVolumed("image")({"image": str(scan)})
    codes = nibabel.aff2axcodes(data["image"].affine)
    opposite = dict(zip("RLAPSI", "LRPAIS", strict=True))
    flipped = Orientationd("image", axcodes=[opposite[code] for code in codes], labels=None)(data)
    SaveNpzd("image", tmp_path)(flipped)
    found = LoadNpzd("image")({"image": str(tmp_path / "imagesTr/scan.npz")})["image"]
    assert torch.equal(found.affine, flipped["image"].affine)
    assert found.meta["array_axes"] == "zyx"


def test_nothing_warns_where_the_axes_are_known(scan):
    with warnings.catch_warnings():
        warnings.simplefilter("error", MriprepWarning)
        resampled(scan, "LoadVolumed", "SPL")


def test_what_was_done_since_does_not_hide_how_it_was_loaded(scan):
    data = LOADERS["ITKReader, reversed"]({"image": str(scan)})
    data = SpatialPadd("image", (40, 40, 40))(Flipd("image", 0)(data))
    with pytest.raises(ResamplingError, match="ITKReader loaded it"):
        AnisotropyAwareSpacingd("image", target=TARGET, array_axes="xyz")(data)


def test_the_mark_of_every_key_counts():
    data = {"image": own("zyx"), "label": own("xyz")}
    with pytest.raises(ResamplingError, match="label: its loader marked the array xyz"):
        AnisotropyAwareSpacingd(["image", "label"], target=TARGET, array_axes="zyx")(data)


@pytest.mark.parametrize("orientation", ["PIR", "LSA", "ILP"])
@pytest.mark.parametrize("loader", ["LoadVolumed", "NibabelReader"])
def test_the_result_has_the_axes_that_the_array_had(scan, loader, orientation):
    declared = None if loader == "LoadVolumed" else "xyz"
    found = resampled(scan, loader, orientation, array_axes=declared)
    assert "".join(nibabel.aff2axcodes(found.affine.numpy())) == orientation
