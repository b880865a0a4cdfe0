"""The way through a list of steps, and back: what is kept, and what a trace that somebody has edited leads to."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_mriprep.errors import MriprepError, RecordError, ResamplingError
from monai_mriprep.recipe import Recipe
from monai_mriprep.steps import (
    AppliedStep,
    Params,
    Step,
    Trace,
    Volumes,
    backward,
    final_grid,
    forward,
    register_step,
    steps_of,
)
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.types import IMAGE, LABEL, PREDICTION, Role
from monai_mriprep.volume.geometry import Grid
from tests import oracles
from tests.steps.cases import FLOATS, GRIDS, centres, is_inside, volumes_on

pytestmark = pytest.mark.filterwarnings("ignore:label.*the crop loses:monai_mriprep.errors.MriprepWarning")

TARGET = (2.2, 1.0, 0.7)
WHOLE = Recipe(orientation="RAS", crop="nonzero", crop_margin=1.0)


def done(grid: Grid = GRIDS["permuted"], recipe: Recipe = WHOLE) -> tuple[Volumes, Trace]:
    volumes = volumes_on(grid, torch.float32)
    image, label = volumes.by_role[IMAGE], volumes.by_role[LABEL].clamp(min=0)
    return forward(steps_of(recipe, TARGET), Volumes({IMAGE: image, LABEL: label}), grid)


# --- Forward ----------------------------------------------------------------------------------------------------------


def test_the_trace_says_what_was_done_on_which_grid():
    volumes, trace = done()
    names = [one.step.name for one in trace.steps]
    assert names == ["orientation", "crop", "foreground", "resampling", "normalization", "label_cast"]
    assert trace.source == trace.steps[0].grid_in == GRIDS["permuted"]
    for one, after in zip(trace.steps, [*(later.grid_in for later in trace.steps[1:]), trace.target], strict=True):
        assert one.step.grid(one.grid_in, one.params) == after
    assert all(tuple(volume.shape[1:]) == trace.target.shape for volume in volumes.by_role.values())
    assert trace.params("crop") == trace.steps[1].params
    assert trace.params("flip") is None


def test_without_steps_nothing_happens():
    volumes = volumes_on(GRIDS["straight"])
    same, trace = forward((), volumes, GRIDS["straight"])
    assert same is volumes
    assert trace.target is trace.source is GRIDS["straight"]
    assert Trace.from_json(trace.to_json()) == trace
    assert backward(trace, volumes.by_role[IMAGE]) == (volumes.by_role[IMAGE], GRIDS["straight"])


def test_planning_gets_an_upper_bound():
    for name, grid in GRIDS.items():
        bound, found = final_grid(steps_of(WHOLE, TARGET), grid).shape, done(grid)[1].target.shape
        assert all(most >= n for most, n in zip(bound, found, strict=True)), name


# --- Back -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRIDS)
def test_two_resamplings_are_undone_last_first(name):
    """Beside scipy, which resamples twice."""
    grid = GRIDS[name]
    targets = (TARGET, (3.0, 1.3, 1.1))
    steps = [Resampling(target=target, order=1) for target in targets]
    _, trace = forward(steps, Volumes({IMAGE: volumes_on(grid, torch.float32).by_role[IMAGE]}), grid)
    prediction = np.random.default_rng(2).random((2, *trace.target.shape), np.float32)
    back, _ = backward(trace, torch.from_numpy(prediction))
    expected, where = prediction, [grid, *(one.grid_in for one in trace.steps[1:])]
    for target, source in zip(reversed(targets), reversed(where), strict=True):
        axes = oracles.plan(source.shape, source.affine, target)
        way = [oracles.Axis(a.n_out, a.n_in, 1 / a.step, -a.start / a.step) for a in axes]
        expected = np.stack([oracles.spline(channel, way, 1) for channel in expected])
    np.testing.assert_allclose(back.numpy(), expected, atol=2e-6)


def test_each_channel_comes_back_by_itself():
    _, trace = done()
    channels = torch.rand(4, *trace.target.shape)
    together, _ = backward(trace, channels, FLOATS)
    for channel, found in zip(channels, together, strict=True):
        assert torch.equal(backward(trace, channel[None], FLOATS)[0][0], found)


def test_outside_the_crop_there_is_0_whatever_the_role():
    _, trace = done()
    for role in (IMAGE, LABEL, PREDICTION):
        back, _ = backward(trace, torch.full((1, *trace.target.shape), 7.0), role)
        inside, _ = backward(
            Trace(trace.steps[1].grid_in, trace.steps[1:2]), torch.ones(1, *trace.steps[2].grid_in.shape)
        )
        inside = trace.steps[0].step.invert(inside, role, trace.source, {}) == 1
        assert bool((back[~inside] == 0).all())
        assert 0 < int(inside.sum()) < inside.numel()
        assert bool((back[inside] != 0).all())


@pytest.mark.parametrize("role", [FLOATS, LABEL], ids=lambda role: role.name)
def test_padding_is_left_out_and_what_was_cut_off_is_0(role):
    _, trace = done(GRIDS["oblique"], Recipe(crop="nonzero"))
    z, y, x = trace.target.shape
    volume = torch.rand(2, 1, y, x).expand(2, z, y, x)  # alike along z, so a repeated edge is what was cut off
    whole, _ = backward(trace, volume, role)
    padded = torch.nn.functional.pad(volume, (2, 1, 0, 3, 1, 0), value=9.0)
    origin = trace.target.affine.copy()
    origin[:3, 3] -= trace.target.affine[:3, :3] @ (1, 0, 2)
    again, grid = backward(trace, padded, role, Grid(tuple(padded.shape[1:]), origin))
    assert torch.equal(again, whole)
    assert grid == trace.source
    part, _ = backward(trace, volume[:, 1:], role, trace.target.part((1, 0, 0), (z, y, x)))
    differs = part != whole
    assert bool((part[differs] == 0).all())
    assert 0 < int(differs.sum()) < int((whole != 0).sum()) / 2


@pytest.mark.parametrize(
    ("role", "is_linear"), [(FLOATS, True), (IMAGE, True), (LABEL, False)], ids=["floats", "image", "label"]
)
def test_what_was_resampled_since_is_resampled_again(role, is_linear):
    """A ramp in the world comes back exactly where it is interpolated, and in steps where it is not."""
    grid = GRIDS["oblique"]
    finer = Resampling(target=(1.3, 0.9, 1.9)).grid(grid)
    ramp, wanted = (torch.from_numpy(centres(place).sum(axis=0))[None].float() for place in (finer, grid))
    inside = torch.from_numpy(is_inside(grid, finer))
    back, _ = backward(Trace(grid), ramp, role, finer)
    assert (float((back - wanted)[0][inside].abs().max()) < 1e-4) == is_linear
    assert is_linear or set(back.unique().tolist()) <= {0.0, *ramp.unique().tolist()}


def test_a_volume_of_another_shape_does_not_fit():
    _, trace = done()
    z, y, x = trace.target.shape
    with pytest.raises(
        ResamplingError, match=rf"the prediction has \({z}, {y}, {x + 1}\) voxels, .* its grid has \({z}"
    ):
        backward(trace, torch.zeros(1, z, y, x + 1))


# --- A step that errs -------------------------------------------------------------------------------------------------


@register_step
class Erring(Step):
    """Says nothing of its grid, and halves the image or what comes back."""

    name = "erring"
    backwards: bool = False

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        return volume if self.backwards else volume[:, ::2]

    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        return volume[:, ::2]


def test_a_step_that_does_not_keep_to_its_grid_is_named():
    grid, volumes = GRIDS["oblique"], volumes_on(GRIDS["oblique"])
    with pytest.raises(
        ResamplingError, match=r"the image after the step 'erring' has \(5, 8, 11\) voxels, .* \(9, 8, 11\)"
    ):
        forward([Erring()], volumes, grid)
    _, trace = forward([Erring(backwards=True)], volumes, grid)
    with pytest.raises(ResamplingError, match=r"the prediction on the way back of the step 'erring' has \(5, 8, 11\)"):
        backward(trace, volumes.by_role[LABEL])


@register_step
class Unbounded(Step):
    """Forgets that planning has no params, or returns no grid."""

    name = "unbounded"
    returns: bool = False

    def grid(self, grid: Grid, params: Params | None = None) -> Any:
        return params if self.returns else Grid(params["shape"], grid.affine)


@pytest.mark.parametrize(("returns", "found"), [(False, "TypeError.*subscriptable"), (True, "returned None")])
def test_a_step_without_a_grid_before_the_voxels_is_named_with_what_it_owes(returns, found):
    with pytest.raises(
        ResamplingError, match=f"step 'unbounded' cannot tell .*{found}.*without params, .*an upper bound"
    ):
        final_grid([Unbounded(returns=returns)], GRIDS["oblique"])


@register_step
class Unwrapping(Step):
    """Hands out something other than a tensor, on the way back too."""

    name = "unwrapping"
    as_array: bool

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> Any:
        return volume.numpy() if self.as_array else None

    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> Any:
        return volume.numpy() if self.as_array else None


@pytest.mark.parametrize(("as_array", "found"), [(True, "ndarray"), (False, "NoneType")])
def test_a_step_that_gives_no_tensor_is_named(as_array, found):
    grid, volumes, step = GRIDS["oblique"], volumes_on(GRIDS["oblique"]), Unwrapping(as_array=as_array)
    with pytest.raises(ResamplingError, match=f"the image after the step 'unwrapping' is no tensor, but {found}"):
        forward([step], volumes, grid)
    with pytest.raises(ResamplingError, match=f"way back of the step 'unwrapping' is no tensor, but {found}"):
        backward(Trace(grid, (AppliedStep(step, {}, grid),)), volumes.by_role[LABEL])


@register_step
class Finding(Step):
    """Finds what it is told to find, and says what it is given."""

    name = "finding"

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        return FOUND[0]

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        GIVEN.append(params)
        return volume

    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        return self.apply(volume, role, grid, params)


FOUND: list[Any] = [{}]
GIVEN: list[Params] = []


def test_a_step_is_given_the_same_on_both_ways_whoever_kept_the_trace(monkeypatch):
    """Were tuples and numbers as keys handed on as they are, a record and a MetaTensor would lead to two ways back."""
    monkeypatch.setattr("tests.steps.test_trace.FOUND", [{"size": (1, 2), "counts": {3: 0.1 + 0.2}}])
    GIVEN.clear()
    volumes, trace = forward([Finding()], Volumes({IMAGE: torch.zeros(1, 2, 3, 4)}), Grid((2, 3, 4), np.eye(4)))
    for kept in (trace, Trace.from_json(json.loads(json.dumps(trace.to_json())))):
        backward(kept, volumes.by_role[IMAGE])
    assert GIVEN == [{"size": [1, 2], "counts": {"3": 0.1 + 0.2}}] * 3


@pytest.mark.parametrize(
    "found",
    [{"size": np.int64(3)}, {"box": torch.zeros(2)}, {"at": Path("a")}, {"to": np.nan}, {"to": [np.inf]}, 3, None],
)
def test_what_a_record_cannot_hold_is_refused_where_it_is_found(monkeypatch, found):
    monkeypatch.setattr("tests.steps.test_trace.FOUND", [found])
    with pytest.raises(RecordError, match="what the step 'finding' has found cannot be recorded"):
        forward([Finding()], Volumes({IMAGE: torch.zeros(1, 2, 3, 4)}), Grid((2, 3, 4), np.eye(4)))


# --- As JSON ----------------------------------------------------------------------------------------------------------


@cache
def facts() -> dict[str, Any]:
    return json.loads(json.dumps(done()[1].to_json(), allow_nan=False))


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """The facts with one value exchanged, or a key taken away where `to` is `...`."""
    whole = place = copy.deepcopy(facts())
    for key in path[:-1]:
        place = place[key]
    if to is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return whole


EDITED = {
    "no source": (("source",), ...),
    "a source that is text": (("source",), "here"),
    "no shape": (("source", "shape"), ...),
    "two sizes": (("source", "shape"), [3, 4]),
    "a size of 0": (("source", "shape"), [0, 4, 5]),
    "a size of half a voxel": (("source", "shape"), [3.5, 4, 5]),
    "an endless size": (("source", "shape"), [float("inf"), 4, 5]),
    "a size in text": (("source", "shape"), ["9", 4, 5]),
    "another size than the crop was found in": (("source", "shape"), [2, 2, 2]),
    "no affine": (("source", "affine"), None),
    "an affine of 3 rows": (("source", "affine"), [[1, 0, 0, 0]] * 3),
    "an affine that is flat": (("source", "affine"), [[0, 0, 0, 0]] * 4),
    "an affine with nan": (("source", "affine", 0, 0), float("nan")),
    "an affine in words": (("source", "affine", 0, 0), "left"),
    "a huge affine": (("source", "affine", 0, 0), 10**400),
    "no steps": (("steps",), ...),
    "steps that are null": (("steps",), None),
    "steps as a mapping": (("steps",), {}),
    "steps as text": (("steps",), "crop"),
    "a step that is a number": (("steps", 0), 3),
    "a step that is a name alone": (("steps", 0), "crop"),
    "a step without a name": (("steps", 0, "step"), ...),
    "a name that is a list": (("steps", 0, "step"), ["crop"]),
    "a step that nobody knows": (("steps", 0, "step"), "of_a_stranger"),
    "codes that are none": (("steps", 0, "codes"), "XYZ"),
    "a setting too many": (("steps", 0, "speed"), 3),
    "no params": (("steps", 1, "params"), ...),
    "params that are a number": (("steps", 0, "params"), 5),
    "params that are null": (("steps", 0, "params"), None),
    "a box without an end": (("steps", 1, "params", "end"), ...),
    "a box of 1e9 voxels": (("steps", 1, "params", "end"), [10**9] * 3),
    "a box of 1e300 voxels": (("steps", 1, "params", "end"), [1e300] * 3),
    "a box from below 0": (("steps", 1, "params", "begin"), [-1, 0, 0]),
    "a box that is empty": (("steps", 1, "params", "end"), [0, 0, 0]),
    "a box in halves": (("steps", 1, "params", "begin"), [0.5, 0, 0]),
    "a box of two sides": (("steps", 1, "params", "begin"), [0, 0]),
    "a target of 0 mm": (("steps", 3, "target"), [0, 1, 1]),
    "a target in words": (("steps", 3, "target"), "fine"),
    "a target grid without a shape": (("steps", 3, "params", "grid", "shape"), ...),
    "a target grid with a size of 0": (("steps", 3, "params", "grid", "shape"), [0, 1, 1]),
    "a target grid of nested lists": (("steps", 3, "params", "grid", "shape"), [[1], [1], [1]]),
}


def test_the_facts_are_read_where_nobody_has_edited_them():
    assert Trace.from_json(facts()) == done()[1]
    assert Trace.from_json(changed("steps", to=[])).target == GRIDS["permuted"]


@pytest.mark.parametrize("name", EDITED)
def test_what_somebody_has_edited_is_a_record_error(name):
    path, value = EDITED[name]
    with pytest.raises(RecordError, match=r"what was done to the case cannot be (read from its trace|undone)"):
        Trace.from_json(changed(*path, to=value))


@pytest.mark.parametrize("whole", [None, [], "trace", 3, {}], ids=str)
def test_what_is_no_trace_is_a_record_error(whole):
    with pytest.raises(RecordError):
        Trace.from_json(whole)


def test_a_step_that_is_not_registered_here_says_what_to_do():
    with pytest.raises(RecordError, match=r"no step is registered as 'of_a_stranger'.*Import the module that calls"):
        Trace.from_json(changed("steps", 0, "step", to="of_a_stranger"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    ("source",), ("source", "shape"), ("source", "shape", 1), ("source", "affine"), ("source", "affine", 2),
    ("steps",), ("steps", 0), ("steps", 1), ("steps", 0, "step"), ("steps", 0, "codes"), ("steps", 1, "margin"),
    ("steps", 1, "params"), ("steps", 1, "params", "begin"), ("steps", 1, "params", "end", 1),
    ("steps", 3, "params"), ("steps", 3, "params", "grid"), ("steps", 3, "params", "grid", "shape"),
    ("steps", 3, "target"), ("steps", 3, "order"), ("steps", 4, "params"), ("steps", 5, "params"),
]  # fmt: skip


@settings(max_examples=150)
@given(path=st.sampled_from(PLACES), value=JSON)
def test_whatever_is_put_in_it_is_read_or_refused(path, value):
    try:
        trace = Trace.from_json(changed(*path, to=value))
    except RecordError:
        return
    assert Trace.from_json(trace.to_json()).to_json() == trace.to_json()
    if np.prod(trace.source.shape) < 1e6 and np.prod(trace.target.shape) < 1e6:
        try:
            backward(trace, torch.zeros(1, *trace.target.shape))
        except MriprepError:
            return
