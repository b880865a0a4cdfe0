"""Logits whose resampling waits until it is known what is wanted of them.

nnU-Net resamples all channels of a prediction to the scan's grid, and then takes the highest one of each voxel. It asks
for the two in two calls, of which only the first is ours. So that call returns a tensor that has not been computed yet,
and the second, ``.numpy().argmax(0)``, computes both at once, a few slices at a time. Regions are asked for one channel
after the other. Whatever else is done with the tensor, such as a softmax for ``--save_probabilities``, gets what
nnU-Net's own function returns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.nnunet.threads import limited_threads
from monai_mriprep.volume.argmax import resample_argmax
from monai_mriprep.volume.half_pixel import separate_axis
from monai_mriprep.volume.resample import ResamplingPlan, apply_plan, is_finite, plan_half_pixel

__all__ = ["LaterResampling", "PendingLogits"]

Resampler = Callable[..., Any]
TYPES = (torch.float16, torch.float32)


class LaterResampling:
    """In place of nnU-Net's function that resamples logits.

    Parameters
    ----------
    stock
        That function, for what is not ours.
    """

    def __init__(self, stock: Resampler) -> None:
        self.stock = stock

    def __call__(self, logits: Any, shape: Any, spacing: Any, new_spacing: Any) -> Any:
        """Logits ``(C, D, H, W)`` on a grid of this shape, once they are needed; spacings in mm, z y x."""
        tensor = torch.as_tensor(logits)
        if tuple(shape) == tuple(tensor.shape[1:]) or not _is_ours(tensor):
            return self.stock(logits, shape, spacing, new_spacing)
        before, after = (tuple(map(int, sizes)) for sizes in (tensor.shape[1:], shape))
        plan = plan_half_pixel(before, after, order=1, separate=separate_axis(spacing, new_spacing))
        return PendingLogits.of(tensor, plan, cache(partial(self.stock, logits, shape, spacing, new_spacing)))


def _is_ours(logits: torch.Tensor) -> bool:
    """Numbers of a type that a network gives, in the memory of the CPU."""
    return logits.dtype in TYPES and logits.device.type == "cpu" and is_finite(logits)


class PendingLogits(torch.Tensor):
    """A tensor ``(C, *plan.shape_out)`` of which nothing has been computed yet."""

    logits: torch.Tensor
    plan: ResamplingPlan
    stock: Callable[[], Any]
    pointwise: tuple[Callable[..., torch.Tensor], ...]

    @classmethod
    def of(
        cls,
        logits: torch.Tensor,
        plan: ResamplingPlan,
        stock: Callable[[], Any],
        pointwise: tuple[Callable[..., torch.Tensor], ...] = (),
    ) -> PendingLogits:
        """The logits before they are resampled; functions of single numbers to be called after it.

        `stock` gives the resampled logits as nnU-Net does.
        """
        pending = torch.empty(0).as_subclass(cls)
        pending.logits, pending.plan, pending.stock, pending.pointwise = logits, plan, stock, pointwise
        return pending

    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        """Of the resampled logits."""
        return torch.Size((len(self.logits), *self.plan.shape_out))

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Of the resampled logits."""
        return self.logits.device

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Postpone what can wait; for everything else, compute the tensor first."""
        one = args[0] if args and isinstance(args[0], cls) else None
        if one is not None and not kwargs:
            if function is torch.Tensor.numpy and not one.pointwise:
                return _Highest(one)
            if function in (torch.Tensor.float, torch.sigmoid) and len(args) == 1:
                return cls.of(one.logits, one.plan, one.stock, (*one.pointwise, function))
            if function is torch.Tensor.__getitem__ and type(args[1]) is int and 0 <= args[1] < len(one.logits):
                return one.channel(args[1])
        return function(*_computed(args), **_computed(kwargs or {}))

    def computed(self) -> torch.Tensor:
        """All channels, by nnU-Net's own function."""
        return self._finished(torch.as_tensor(self.stock()))

    def channel(self, index: int) -> torch.Tensor:
        """One channel, ``(D, H, W)``."""
        with limited_threads():
            resampled = apply_plan(self.logits[index : index + 1], self.plan)[0]
        return self._finished(resampled.to(self.logits.dtype))

    def highest(self) -> NDArray[Any]:
        """The highest channel of each voxel, ``(D, H, W)``; of equal ones the first."""
        half = self.logits.dtype == torch.float16
        with limited_threads():
            return resample_argmax(self.logits, self.plan, round_to=torch.float16 if half else None).numpy()

    def _finished(self, resampled: torch.Tensor) -> torch.Tensor:
        for function in self.pointwise:
            resampled = function(resampled)
        return resampled


def _computed(value: Any) -> Any:
    """The arguments of a function, with all that is pending computed."""
    if isinstance(value, PendingLogits):
        return value.computed()
    if isinstance(value, dict):
        return {key: _computed(one) for key, one in value.items()}
    return type(value)(map(_computed, value)) if type(value) in (list, tuple) else value


class _Highest:
    """What ``.numpy()`` of pending logits gives: ``.argmax(0)`` is fused, all else is computed first."""

    def __init__(self, pending: PendingLogits) -> None:
        self._pending = pending

    def argmax(self, axis: int | None = None, *rest: Any, **settings: Any) -> Any:
        if axis == 0 and not rest and not settings:
            return self._pending.highest()
        return self.__array__().argmax(axis, *rest, **settings)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self._pending.computed().numpy(), dtype=dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__array__(), name)
