"""What every step owes to those who walk the list, run over all of them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from monai_mriprep import steps
from monai_mriprep.errors import ResamplingError
from monai_mriprep.recipe import extensions
from monai_mriprep.steps import Step, Trace, Volumes, backward, forward, makes_parts
from monai_mriprep.steps.crop import FilledCrop, NonZeroCrop
from monai_mriprep.steps.exact_normalization import ExactNormalization
from monai_mriprep.steps.foreground import ForegroundMask
from monai_mriprep.steps.half_pixel_resampling import HalfPixelResampling
from monai_mriprep.steps.intensities import Intensities
from monai_mriprep.steps.label_cast import LabelCast, OutsideLabelCast
from monai_mriprep.steps.label_numbers import LabelNumbers
from monai_mriprep.steps.label_outside import LabelOutside
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.steps.percentile_range import PercentileRange
from monai_mriprep.steps.resampling import ItkResampling, Resampling
from monai_mriprep.steps.transposition import Transposition
from monai_mriprep.steps.unscaled import Unscaled
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, PREDICTION, Role
from tests.steps.cases import GRIDS, centres, is_inside, role_of, volumes_on

CONTRACTS = {
    "label_numbers": LabelNumbers(new={1: 2, 2: 3, 3: 0}),
    "orientation": Orientation(codes="RAS"),
    "orientation, mirrored": Orientation(codes="PIL"),
    "crop": NonZeroCrop(),
    "crop, a margin": NonZeroCrop(margin=1.7),
    "filled_crop": FilledCrop(),
    "label_outside": LabelOutside(),
    "transposition": Transposition(order=(2, 0, 1)),
    "foreground": ForegroundMask(),
    "resampling": Resampling(target=(2.1, 1.0, 0.7)),
    "resampling, coarser, half-pixel": Resampling(target=(3.3, 2.1, 1.7), rule="nnunet", order=(0, 1, 1), clip=True),
    "resampling, linear": Resampling(target=(1.3, 1.7, 0.6), order=1, boundary="mirror"),
    "itk_resampling": ItkResampling(target=(2.9, 1.0, 1.4)),
    "half_pixel_resampling": HalfPixelResampling(target=(2.2, 1.0, 0.7), label="linear"),
    "half_pixel_resampling, separate": HalfPixelResampling(
        target=(3.3, 2.1, 1.0), label="linear", separate="auto", threshold=1.5, clip="slice"
    ),
    "normalization": Normalization(),
    "normalization, a mask": Normalization(over="foreground", epsilon=1e-6),
    "normalization, positive": Normalization(over="positive"),
    "exact_normalization": ExactNormalization(),
    "exact_normalization, a mask": ExactNormalization(over="foreground"),
    "percentile_range": PercentileRange(),
    "percentile_range, a mask": PercentileRange(over="foreground"),
    "unscaled": Unscaled(over="foreground"),
    "label_cast": LabelCast(),
    "outside_label_cast": OutsideLabelCast(),
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:label.* negative label voxel:monai_mriprep.errors.MriprepWarning"),
    pytest.mark.filterwarnings("ignore:label.*the crop loses:monai_mriprep.errors.MriprepWarning"),
]


@pytest.fixture(params=CONTRACTS)
def step(request) -> Step:
    return CONTRACTS[request.param]


@pytest.fixture(params=GRIDS)
def grid(request):
    return GRIDS[request.param]


@pytest.fixture(params=[torch.int16, torch.float32, torch.float64], ids=str)
def volumes(request, grid) -> Volumes:
    return volumes_on(grid, request.param, channels=2)


def clones(volumes: Volumes) -> dict[Role, torch.Tensor]:
    return {role: volume.clone() for role, volume in volumes.by_role.items()}


def assert_same(found: dict[Role, torch.Tensor], expected: dict[Role, torch.Tensor]) -> None:
    assert list(found) == list(expected)
    for role, volume in found.items():
        assert volume.dtype == expected[role].dtype
        assert torch.equal(volume, expected[role])


def through_json(value: object) -> object:
    return json.loads(json.dumps(value, allow_nan=False))


def test_every_step_is_under_contract():
    ours = {name for name, known in extensions._REGISTERED.items() if known.__module__.startswith(steps.__name__)}
    assert {name.partition(",")[0] for name in CONTRACTS} == ours == {step.name for step in CONTRACTS.values()}


def test_settings_survive_json_and_pickle(step):
    assert Step.from_json(through_json(step.to_json())) == step
    assert pickle.loads(pickle.dumps(step)) == step
    assert hash(step) == hash(type(step).from_json(step.to_json()))


def test_what_was_done_survives_json_and_pickle_and_undoes_the_same_bits(step, volumes, grid):
    done, trace = forward([step], volumes, grid)
    for again in (Trace.from_json(through_json(trace.to_json())), pickle.loads(pickle.dumps(trace))):
        assert again == trace
        assert again.target == trace.target
        for role in (IMAGE, PREDICTION):
            one, other = (backward(which, done.by_role[IMAGE].float(), role)[0] for which in (trace, again))
            assert torch.equal(one, other)


def test_a_case_lies_on_the_grid_that_was_said(step, grid):
    volumes = volumes_on(grid)
    params = step.plan(volumes, grid)
    said = step.grid(grid, params)
    for role, volume in step.carry_out(volumes, grid, params).by_role.items():
        assert tuple(volume.shape[1:]) == said.shape, role.name
    if not isinstance(step, Intensities):  # its values are no places any more
        places = torch.from_numpy(centres(grid))
        simple = {"order": 1, "clip": False, "separate": "none"}
        linear = step.model_copy(update=simple) if isinstance(step, Resampling) else step
        inside = is_inside(said, grid)
        moved = linear.apply(places, IMAGE, grid, linear.plan(volumes, grid)).double().numpy()
        np.testing.assert_allclose(moved[:, inside], centres(said)[:, inside], atol=2e-5)
        assert inside.mean() > 0.4 or grid.shape[0] == 1  # one slice may end between two


def test_before_a_voxel_is_read_the_grid_is_an_upper_bound(step, grid):
    bound, found = step.grid(grid), step.grid(grid, step.plan(volumes_on(grid), grid))
    assert all(most >= n for most, n in zip(bound.shape, found.shape, strict=True))
    assert step.depends_on_voxels or bound == found


def test_no_volume_is_written_to(step, volumes, grid):
    before = clones(volumes)
    done, trace = forward([step], volumes, grid)
    assert_same(dict(volumes.by_role), before)
    after = clones(done)
    for role in done.by_role:
        backward(trace, done.by_role[role], role)
    assert_same(dict(done.by_role), after)


@pytest.mark.parametrize("kind", ["label", "mask", "prediction"])
def test_integers_come_back_in_their_type_and_with_no_new_values(step, grid, kind):
    _, trace = forward([step], volumes_on(grid), grid)
    values = torch.from_numpy(np.random.default_rng(1).integers(0, 99, (2, *trace.target.shape)))
    for dtype in (torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64):
        prediction = (values % 2 if dtype == torch.bool else values).to(dtype)
        back, place = backward(trace, prediction, role_of(kind))
        assert place is trace.source
        assert (back.dtype, tuple(back.shape)) == (dtype, (2, *grid.shape))
        assert set(back.unique().tolist()) <= {0, *prediction.unique().tolist()}


def test_labels_and_masks_are_never_interpolated(step, volumes, grid):
    done, _ = forward([step], volumes, grid)
    allowed = set(volumes.by_role[LABEL].clamp(min=0).unique().tolist()) | {-1}
    assert set(done.by_role[LABEL].unique().tolist()) <= allowed
    assert not done.by_role[LABEL].is_floating_point()
    assert all(volume.dtype == torch.bool for volume in done.of_kind(FOREGROUND.kind).values())


def test_a_label_that_came_alone_goes_the_same_way(step, grid):
    """Where a step cannot be carried out without the image, it says so."""
    volumes = volumes_on(grid)
    alone = Volumes({LABEL: volumes.by_role[LABEL]})
    if step.depends_on_voxels or isinstance(step, LabelOutside):
        with pytest.raises(ResamplingError, match=r"there is no image among label|needs its mask"):
            forward([step], alone, grid)
        return
    done, trace = forward([step], alone, grid)
    with_image, expected = forward([step], volumes, grid)
    assert list(done.by_role) == [LABEL]
    assert torch.equal(done.by_role[LABEL], with_image.by_role[LABEL])
    assert trace.target == expected.target


@pytest.mark.parametrize("role", [IMAGE, LABEL, PREDICTION, role_of("mask")], ids=lambda role: role.name)
def test_floats_come_back_to_the_source_grid(step, grid, role):
    _, trace = forward([step], volumes_on(grid), grid)
    channels = 1 if role == IMAGE else 3
    there = torch.rand(channels, *trace.target.shape)
    back, place = backward(trace, there, role)
    assert (place, back.dtype, tuple(back.shape)) == (grid, torch.float32, (channels, *grid.shape))


def test_the_bits_do_not_depend_on_when_or_on_how_many_threads(step, volumes, grid, threads):
    outcomes = []
    for count in (1, 2, 1):
        threads(count)
        done, trace = forward([step], volumes, grid)
        back = {role: backward(trace, volume, role)[0] for role, volume in done.by_role.items()}
        outcomes.append((done, trace, back))
    first = outcomes[0]
    for done, trace, back in outcomes[1:]:
        assert trace == first[1]
        assert_same(dict(done.by_role), dict(first[0].by_role))
        assert_same(back, first[2])


WITHOUT_PARTS = (FilledCrop, LabelOutside, HalfPixelResampling, ExactNormalization)


def test_a_part_is_what_a_whole_volume_has_there(step, grid):
    """In a box that is turned along one axis, as one sample in training is."""
    if not makes_parts(step):
        assert isinstance(step, WITHOUT_PARTS) or step.clip
        return
    volumes = volumes_on(grid, channels=2)
    done, trace = forward([step], volumes, grid)
    (one,) = trace.steps
    wanted = tuple(range(n // 4, n - n // 3) for n in trace.target.shape[:2])
    wanted = (*wanted, range(trace.target.shape[2])[::-1])
    for role in (IMAGE, LABEL):
        given = step.needed(wanted, role, grid, one.params)
        part = part_of(volumes.by_role[role], given)
        before = part.clone()
        found = step.apply_part(part, given, wanted, role, grid, one.params)
        expected = part_of(done.by_role[role], wanted)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        tolerance = 4e-4 if role == IMAGE else 0  # of a range of 900, or of z-scores
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
        assert torch.equal(part, before)


def part_of(volume: torch.Tensor, box: tuple[range, ...]) -> torch.Tensor:
    return torch.from_numpy(volume.numpy()[np.ix_(range(len(volume)), *box)])


def test_memory_is_a_number_of_bytes(step, grid):
    assert step.working_bytes(grid) >= 0
    assert (step.working_bytes(grid) == 8 * np.prod(grid.shape)) == isinstance(step, ItkResampling)


def test_planning_loads_no_torch():
    code = """
import sys
from monai_mriprep.recipe import Recipe
from monai_mriprep.steps import final_grid, native_steps, steps_of
from monai_mriprep.volume.geometry import Grid
recipe = Recipe(crop="nonzero", orientation="RAS", preset="panther2025")
grid = Grid((3, 4, 5), [[0, 0, 2, 0], [0, 3, 0, 0], [4, 0, 0, 0], [0, 0, 0, 1]])
assert final_grid(steps_of(recipe, (2.0, 3.0, 1.0)), grid).shape == (6, 4, 10)
assert final_grid(native_steps(recipe), grid).shape == (3, 4, 5)
print({"torch", "monai", "itk", "pandas"} & set(sys.modules) or "light")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "light", done.stderr
