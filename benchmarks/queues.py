"""A closed network of queues, simulated event by event: few tokens go round, and at each station wait for a server."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["Flow", "Station", "simulate"]


@dataclass(frozen=True)
class Station:
    """A place where something takes time.

    Parameters
    ----------
    name
        Of what is waited for.
    seconds
        What a visit takes, once a server is free: a number, or drawn from a source of random numbers.
    servers
        How many visits at once; the rest wait, first come, first served.
    """

    name: str
    seconds: float | Callable[[Random], float]
    servers: float = 1

    def draw(self, random: Random) -> float:
        """Of one visit."""
        return self.seconds(random) if callable(self.seconds) else self.seconds


@dataclass(frozen=True)
class Flow:
    """What came of it.

    Parameters
    ----------
    seconds
        From the first visit to the last.
    rate
        Rounds a second, once all tokens have begun.
    busy
        Of each station the share of its servers' time that was used; 0 where there are servers without end.
    """

    seconds: float
    rate: float
    busy: dict[str, float]


def simulate(stations: Sequence[Station], tokens: int, rounds: int, seed: int = 0) -> Flow:
    """Let tokens visit the stations in their order, again and again, until so many rounds are complete.

    Parameters
    ----------
    stations
        Of one round.
    tokens
        How many go round at once, at least 1; all begin at the first station.
    rounds
        How many are to be completed in all.
    seed
        Of the random numbers.
    """
    random, last = Random(seed), len(stations) - 1
    free = [station.servers for station in stations]
    waiting: list[deque[int]] = [deque() for _ in stations]
    used = [0.0] * len(stations)
    ends: list[tuple[float, int, int]] = []  # when, a number that keeps the order, and at which station
    now, begun, done, number, warm, warm_at = 0.0, min(tokens, rounds), 0, 0, rounds // 4, 0.0

    def begin(position: int) -> None:
        nonlocal number
        free[position] -= 1
        seconds = stations[position].draw(random)
        used[position] += seconds
        number += 1
        heapq.heappush(ends, (now + seconds, number, position))

    def arrive(position: int) -> None:
        if free[position] > 0:
            begin(position)
        else:
            waiting[position].append(position)

    for _ in range(begun):
        arrive(0)
    while ends:
        now, _, position = heapq.heappop(ends)
        free[position] += 1
        if waiting[position]:
            begin(waiting[position].popleft())
        if position < last:
            arrive(position + 1)
            continue
        done += 1
        if done == warm:
            warm_at = now
        if begun < rounds:
            begun += 1
            arrive(0)
    counted = (rounds - warm) / (now - warm_at) if now > warm_at else math.inf
    shares = (
        u / (now * s.servers) if now and math.isfinite(s.servers) else 0.0 for u, s in zip(used, stations, strict=True)
    )
    return Flow(now, counted, dict(zip((station.name for station in stations), shares, strict=True)))
