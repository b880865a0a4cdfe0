"""Where the voxels of each class are: nnU-Net draws its patches around them in training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["class_locations"]

SEED = 1234
LEAST_SAMPLES = 10_000
LEAST_SHARE = 0.01
"""nnU-Net's: all voxels of a class up to 10,000, and no fewer than one in a hundred."""

Locations = dict["int | tuple[int, ...]", Any]


def class_locations(label: NDArray[Any], classes: Iterable[int | tuple[int, ...] | list[int]]) -> Locations:
    """Draw voxels of each class or region, with the random numbers that nnU-Net draws.

    nnU-Net lists the coordinates of every voxel; here, only those that are drawn become coordinates.

    Parameters
    ----------
    label
        ``(1, D, H, W)``, of an integer type.
    classes
        Numbers, or tuples or lists of numbers, which are regions.

    Returns
    -------
    dict
        Class, or region as a tuple, -> int64 of shape (n, 4): 0, z, y, x of each drawn voxel; an empty list for one
        that does not occur.
    """
    keys = [tuple(map(int, one)) if isinstance(one, (tuple, list)) else int(one) for one in classes]
    places = _places_by_value(label.reshape(-1), {value for key in keys for value in _values(key)})
    random = np.random.RandomState(SEED)
    locations: Locations = {}
    for key in keys:
        found = [places[value] for value in _values(key) if value in places]
        locations[key] = _drawn(found, random, label.shape) if found else []
    return locations


def _values(key: int | tuple[int, ...]) -> tuple[int, ...]:
    return key if isinstance(key, tuple) else (key,)


def _places_by_value(label: NDArray[Any], values: Iterable[int]) -> dict[int, NDArray[np.int64]]:
    """Where each of the values is in a flat label, in ascending order; values that do not occur are left out."""
    place = np.flatnonzero(np.isin(label, np.fromiter(values, dtype=np.int64)))
    found = label[place]
    order = np.argsort(found, kind="stable")
    found, first = np.unique(found[order], return_index=True)
    return dict(zip(found.tolist(), np.split(place[order], first[1:]), strict=True)) if len(found) else {}


def _drawn(places: list[NDArray[np.int64]], random: np.random.RandomState, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Coordinates of voxels that are drawn from these places, without repetition."""
    total = sum(map(len, places))
    count = max(min(LEAST_SAMPLES, total), int(np.ceil(total * LEAST_SHARE)))
    chosen = np.concatenate(places)[random.choice(total, count, replace=False)]
    return np.stack(np.unravel_index(chosen, shape), axis=1)
