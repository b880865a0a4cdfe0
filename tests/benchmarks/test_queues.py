"""The simulation against closed forms: where there is one, it must come to the same."""

import math

import pytest

from benchmarks.queues import Station, simulate


@pytest.mark.parametrize(("servers", "tokens", "rounds"), [(1, 1, 7), (1, 5, 7), (3, 3, 7), (3, 20, 9), (4, 2, 6)])
def test_one_station_takes_as_long_as_its_servers_do(servers, tokens, rounds):
    flow = simulate([Station("work", 2.0, servers)], tokens, rounds)
    assert flow.seconds == 2 * math.ceil(rounds / min(servers, tokens))


def test_a_row_of_stations_is_as_quick_as_the_slowest():
    """The first one takes all of them, each further one what the slowest takes."""
    seconds = (0.5, 2.0, 1.0)
    flow = simulate([Station(str(one), one) for one in seconds], 100, 50)
    assert flow.seconds == sum(seconds) + 49 * max(seconds)
    assert flow.rate == pytest.approx(1 / max(seconds))
    assert flow.busy["2.0"] == pytest.approx(50 * 2 / flow.seconds)


@pytest.mark.parametrize(("tokens", "rate"), [(1, 1 / 3.5), (2, 1 / 2), (7, 1 / 2)])
def test_few_tokens_leave_stations_idle(tokens, rate):
    """Of fixed times: the rate of the slowest station, or that of the tokens, whichever is less."""
    flow = simulate([Station("a", 0.5), Station("b", 2.0), Station("c", 1.0)], tokens, 4000)
    assert flow.rate == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("tokens", [1, 3, 10])
def test_random_times_give_the_rate_of_mean_value_analysis(tokens):
    """Two stations with one server and one without end, exponential times (Reiser and Lavenberg, 1980)."""
    demands, thinking = (1.0, 0.6), 3.0
    lengths, rate = [0.0, 0.0], 0.0
    for number in range(1, tokens + 1):
        times = [demand * (1 + length) for demand, length in zip(demands, lengths, strict=True)]
        rate = number / (thinking + sum(times))
        lengths = [rate * one for one in times]
    drawn = [Station(str(demand), lambda random, demand=demand: random.expovariate(1 / demand)) for demand in demands]
    think = Station("think", lambda random: random.expovariate(1 / thinking), math.inf)
    assert simulate([*drawn, think], tokens, 20_000).rate == pytest.approx(rate, rel=0.04)


def test_the_same_seed_gives_the_same_numbers():
    stations = [Station("work", lambda random: random.random(), 2)]
    assert simulate(stations, 4, 500, 1) == simulate(stations, 4, 500, 1) != simulate(stations, 4, 500, 2)
