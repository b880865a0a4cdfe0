"""Which part of a run this process works on, and how the cases are split."""

from __future__ import annotations

import random

import pytest

from monai_mriprep.errors import RecipeError
from monai_mriprep.run.cases import Case
from monai_mriprep.run.estimates import case_seconds
from monai_mriprep.run.shards import plan_hash, read_shard, split
from monai_mriprep.store.attempts import Shard


def slurm(number, first, step, count):
    values = {"ID": number, "MIN": first, "STEP": step, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("3/8", {}, (3, 8)),
        ("1/1", {}, (1, 1)),
        ("auto", slurm(3, 1, 1, 8), (3, 8)),
        ("auto", slurm(0, 0, 1, 8), (1, 8)),
        ("auto", slurm(30, 10, 10, 8), (3, 8)),
        ("auto", {**slurm(10, 1, 3, 4), "SLURM_ARRAY_TASK_MAX": "10"}, (4, 4)),
        ("auto", {**slurm(7, 1, 3, 3), "SLURM_ARRAY_TASK_MAX": "9"}, (3, 3)),
        ("auto/8", slurm(3, 3, 1, 1), (3, 8)),  # a part of the array, started again
        ("auto/8", {"PBS_ARRAY_INDEX": "8"}, (8, 8)),
        ("auto/8", {"PBS_ARRAYID": "2"}, (2, 8)),
    ],
)
def test_a_part_is_given_or_found_in_the_environment(text, environment, shard):
    assert read_shard(text, environment) == Shard(*shard)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("3", {}, "--shard 3: is no shard; give I/N"),
        ("0/8", {}, "--shard 0/8: there is no shard 0 of 8, for shards are numbered from 1"),
        ("9/8", {}, "no shard 9 of 8"),
        ("-1/8", {}, "is no shard"),
        ("auto", {}, "SLURM_ARRAY_TASK_ID is not set, so this is no array job"),
        ("auto", slurm("x", 1, 1, 8), "SLURM_ARRAY_TASK_ID is 'x', which is no number"),
        ("auto", slurm(9, 1, 1, 8), "SLURM_ARRAY_TASK_ID is 9, which is not among 8 numbers from 1 in steps of 1"),
        ("auto", slurm(2, 1, 2, 8), "not among 8 numbers from 1 in steps of 2"),
        *(
            ("auto", {**slurm(number, 1, step, 3), "SLURM_ARRAY_TASK_MAX": "9"}, "not among 3 numbers from 1")
            for number in (1, 3, 9)  # --array=1,3,9
            for step in (1, 2)
        ),
        ("auto/8", {}, "none of SLURM_ARRAY_TASK_ID, PBS_ARRAY_INDEX, PBS_ARRAYID is set"),
        ("auto/8", {"PBS_ARRAY_INDEX": "0"}, "no shard 0 of 8"),
    ],
)
def test_what_is_no_part_is_refused_with_variable_value_and_remedy(text, environment, message):
    with pytest.raises(RecipeError) as error:
        read_shard(text, environment)
    assert message in str(error.value)


def cases(count, seed=0):
    sizes = random.Random(seed)
    return [Case(f"case {n}", {}, {}, int(1e8 * sizes.lognormvariate(0, 1))) for n in range(count)]


def test_every_case_is_in_one_part_and_keeps_its_order():
    every = cases(101)
    parts = [split(every, Shard(number, 8)) for number in range(1, 9)]
    assert sorted(case.name for part in parts for case in part) == sorted(case.name for case in every)
    assert all(list(part) == [case for case in every if case in part] for part in parts)


def test_the_parts_take_equal_time():
    every = cases(400)
    seconds = [sum(map(case_seconds, split(every, Shard(number, 8)))) for number in range(1, 9)]
    assert max(seconds) < 1.02 * min(seconds)


def test_the_split_does_not_depend_on_the_order_in_which_the_cases_were_found():
    every = cases(50)
    shuffled = random.Random(1).sample(every, len(every))
    assert set(split(every, Shard(2, 3))) == set(split(shuffled, Shard(2, 3)))
    assert plan_hash(every) == plan_hash(shuffled) != plan_hash(every[1:])


def test_lists_that_are_split_otherwise_have_another_hash():
    small, large = (Case("a \udcff", {}, {}, size) for size in (1, 2))
    assert plan_hash([small]) != plan_hash([large])


def test_the_longest_case_has_a_part_of_its_own():
    sizes = [1, 1, 1, 1, 1, 1, 20]
    parts = [split([Case(f"{n}", {}, {}, int(1e9) * s) for n, s in enumerate(sizes)], Shard(i, 2)) for i in (1, 2)]
    assert sorted(map(len, parts)) == [1, 6]


def test_there_may_be_more_parts_than_cases():
    assert [len(split(cases(2), Shard(number, 4))) for number in range(1, 5)] == [1, 1, 0, 0]
