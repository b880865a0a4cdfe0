"""The axes of a chart: where a value lies between 0 and 1, and which values get a tick."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Axis", "axis_of", "counting", "shown_number", "shown_row"]

LOGARITHMIC_FROM = 8.0
"""Positive values whose largest is this many times the smallest go onto a logarithmic axis."""
TICKS = 4
"""As many as these on an axis, about."""
LARGEST = 1e100
"""Values of this size are no measurements, and their differences may not be numbers."""
MARGIN = 0.04
"""Of the length of an axis, free on both sides."""


@dataclass(frozen=True)
class Axis:
    """A scale.

    Parameters
    ----------
    low, high
        The values at 0 and at 1; of a logarithmic axis their logarithms to base 10.
    ticks
        Values that are written at it.
    is_log
        Whether it is logarithmic. A value that is not above 0 then lies at 0.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False

    @property
    def labels(self) -> tuple[tuple[float, str], ...]:
        """The ticks with their texts, which have as many digits as tell them apart."""
        texts = [shown_number(tick) for tick in self.ticks]
        if len(set(texts)) < len(texts):
            texts = [f"{tick:.9g}" for tick in self.ticks]
        return tuple(zip(self.ticks, texts, strict=True))

    def place(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        if self.is_log and value <= 0:
            return 0.0
        place = ((math.log10(value) if self.is_log else value) - self.low) / (self.high - self.low)
        return min(max(place, 0.0), 1.0)


def axis_of(values: Iterable[float]) -> Axis:
    """An axis that shows all of these values; those that are not finite, or absurd, are left out.

    Examples
    --------
    >>> axis_of([0.5, 2.0, 3.0])
    Axis(low=0.4, high=3.1, ticks=(1.0, 2.0, 3.0), is_log=False)
    """
    finite = [value for value in values if abs(value) < LARGEST] or [0.0, 1.0]
    positive = [value for value in finite if value > 1 / LARGEST]
    has_zero, is_positive = min(finite) == 0, min(finite) >= 0 and bool(positive)
    if is_positive and max(positive) >= LOGARITHMIC_FROM * min(positive):
        return _logarithmic(min(positive) / (2 if has_zero else 1), max(positive))
    return _linear(min(finite), max(finite))


def counting(most: int) -> Axis:
    """An axis of counts from 0 on; its ticks are whole numbers."""
    high = max(most, 1) * (1 + MARGIN)
    return Axis(0.0, high, tuple(tick for tick in _round_steps(0.0, high) if tick.is_integer()))


def _linear(low: float, high: float) -> Axis:
    if math.isclose(low, high, rel_tol=1e-6):
        half = abs(low) / 10 or 1.0
        low, high = low - half, high + half
    margin = MARGIN * (high - low)
    low, high = low - margin, high + margin
    return Axis(low, high, tuple(_round_steps(low, high)))


def _round_steps(low: float, high: float) -> Iterator[float]:
    """Round numbers in between, at a distance of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    return (float(f"{number * step:.12g}") for number in range(first, math.floor(high / step) + 1))


def _logarithmic(low: float, high: float) -> Axis:
    bottom, top = math.log10(low), math.log10(high)
    margin = MARGIN * (top - bottom)
    bottom, top = bottom - margin, top + margin
    return Axis(bottom, top, _round_factors(bottom, top), is_log=True)


def _round_factors(bottom: float, top: float) -> tuple[float, ...]:
    """Round numbers in between: of each power of ten the 1, 2 and 5, or only the 1 where there are many powers."""
    powers = range(math.floor(bottom), math.ceil(top) + 1)
    factors = (1, 2, 5) if top - bottom < TICKS / 2 else (1,)
    every = max(1, round((top - bottom) / TICKS))
    numbers = (factor * 10.0**power for power in powers if power % every == 0 for factor in factors)
    return tuple(number for number in numbers if bottom <= math.log10(number) <= top)


def shown_number(value: float) -> str:
    """A number for people: about three digits that count, no exponent for what is usual in a scan.

    Examples
    --------
    >>> [shown_number(value) for value in (0, 0.92508, 3.3, 812.26, 1234567, 2.5e-7, 3e12)]
    ['0', '0.925', '3.3', '812', '1,234,567', '2.5e-07', '3e+12']
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "?"
    if abs(value) >= 1e9 or abs(value) < 1e-3:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def shown_row(values: Iterable[float]) -> str:
    """Numbers in a row, such as sizes or spacings."""
    return " x ".join(map(shown_number, values))
