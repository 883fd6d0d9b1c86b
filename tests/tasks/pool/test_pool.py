"""The pool keeps what it should, forgets the oldest, and comes back from disk as it was."""

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tinyzero.config import PoolConfig
from tinyzero.errors import CheckpointError
from tinyzero.tasks.funnel import make_task
from tinyzero.tasks.pool.pool import Pool
from tinyzero.types import Proposal, Task


def task(
    name: str, *, kind: str = "deduction", program: str = "", step: int = 1, shape: str | None = None
) -> Task:
    return Task(
        id=name, kind=kind, program=program or f"def f(a):\n    return a + '{name}'", inputs=("1",),
        outputs=("2\u2028'",), message="hint", shape=name if shape is None else shape, parents=("p",),
        step=step,
    )  # fmt: skip


SEED = task("seed", step=-1)


def pool_of(*tasks: Task, capacity: int = 16, seeds: tuple[Task, ...] = (SEED,), **config: Any) -> Pool:
    pool = Pool(PoolConfig(capacity=capacity, **config), seeds)
    for item in tasks:
        assert pool.add(item)
    return pool


def test_a_pool_starts_from_its_seeds() -> None:
    pool = pool_of()
    assert len(pool) == 1
    assert "seed" in pool
    assert pool.references("deduction", 4, Random(0)) == [SEED]


def test_a_duplicate_is_refused() -> None:
    pool = pool_of(task("a"))
    assert not pool.add(task("a", step=9))
    assert not pool.add(SEED)
    assert len(pool) == 2


def test_what_differs_in_names_and_constants_only_is_no_news() -> None:
    double = "def f(a):\n    return a * 2 + 1"
    renamed = "def f(number):\n    return number * 3 + 8"
    first = make_task(Proposal(kind="deduction", program=double, inputs=("1",)), [3], step=1)
    second = make_task(Proposal(kind="deduction", program=renamed, inputs=("5",)), [23], step=2)
    other_kind = replace(second, kind="abduction", id="x")
    assert pool_of(first).add(second) is False
    assert pool_of(first).add(other_kind) is True
    assert pool_of(first, dedup="program").add(second) is True
    assert pool_of(first, dedup="program").add(replace(first, step=5)) is False


def test_a_task_without_a_shape_is_known_by_its_id() -> None:
    pool = pool_of(task("a", shape=""), task("b", shape=""))
    assert not pool.add(task("a", shape=""))
    assert len(pool) == 3


def test_a_removed_task_makes_room_for_one_like_it() -> None:
    pool = pool_of(task("a", shape="same"))
    assert not pool.add(task("b", shape="same"))
    pool.remove("a")
    assert pool.add(task("b", shape="same"))


def test_the_newest_task_never_makes_room_even_where_all_others_are_seeds() -> None:
    seeds = tuple(task(f"seed{number}", step=-1) for number in range(16))
    pool = pool_of(task("new"), seeds=seeds)
    assert len(pool) == 17
    assert pool.num_dropped == 0


def test_novelty_is_the_distance_to_the_nearest_task_of_the_kind_at_its_coming() -> None:
    program = "def f(a):\n    return [b for b in a if b]"
    pool = pool_of(task("a"), task("b", program=program), task("c", program=program, kind="abduction"))
    assert pool.entry("a").novelty == 0.0  # the seed has the same form
    assert 0.5 < pool.entry("b").novelty < 1.0
    assert pool.entry("c").novelty == 1.0  # the first of its kind


def test_the_newest_measurement_decides_whether_a_task_is_replayed() -> None:
    pool = pool_of(task("a"), task("b"), task("c"), task("d", kind="abduction"))
    for name, correct in (("a", 1), ("b", 2), ("d", 1)):
        pool.note_attempts(name, step=1, correct=correct, attempts=4)
    pool.note_attempts("a", step=3, correct=4, attempts=4)
    pool.note_attempts("gone", step=3, correct=4, attempts=4)
    assert [one.id for one in pool.mixed(9, Random(0), kinds=["deduction"])] == ["b"]
    assert [one.solve_rate for one in pool.entry("a").measurements] == [0.25, 1.0]


def test_of_many_measurements_the_first_and_the_newest_are_kept() -> None:
    pool = pool_of(task("a"))
    for step in range(40):
        pool.note_attempts("a", step=step, correct=1, attempts=2)
    assert [one.step for one in pool.entry("a").measurements] == [0, *range(9, 40)]


def test_the_newest_tasks_come_first_and_older_ones_fill_up() -> None:
    pool = pool_of(task("old"), task("new", step=7), task("other", step=7, kind="abduction"))
    (one,) = pool.newest(1, Random(0), kinds=["deduction"], since=7)
    assert one.id == "new"
    assert [one.id for one in pool.newest(5, Random(0), kinds=["deduction"], since=7)] == ["new", "old"]


def test_programs_that_a_kind_lacks_come_first() -> None:
    known = replace(task("c", kind="induction", shape="s1"), program="def f(b):\n    return 1")
    pool = pool_of(task("a", shape="s1"), task("b", shape="s2"), known)
    assert [one.id for one in pool.programs(2, Random(0), new_to="induction")] == ["b"]


def test_over_capacity_the_oldest_goes_but_never_a_seed() -> None:
    pool = pool_of(*(task(f"t{number}", step=number) for number in range(20)), capacity=16)
    assert len(pool) == 16
    assert "seed" in pool
    assert [f"t{number}" in pool for number in range(20)] == [False] * 5 + [True] * 15


def test_a_dropped_task_may_come_back() -> None:
    pool = pool_of(*(task(f"t{number}") for number in range(16)), capacity=16)
    assert "t0" not in pool
    assert pool.add(task("t0"))
    assert "t1" not in pool


def test_references_are_of_the_kind_and_never_repeat() -> None:
    pool = pool_of(task("a"), task("b"), task("c", kind="abduction"))
    drawn = pool.references("deduction", 3, Random(0))
    assert sorted(item.id for item in drawn) == ["a", "b", "seed"]
    assert [item.id for item in pool.references("abduction", 3, Random(0))] == ["c"]
    assert pool.references("question", 3, Random(0)) == []


def test_references_are_drawn_uniformly_and_by_the_given_randomness() -> None:
    pool = pool_of(*(task(name) for name in "abc"), seeds=())
    counts = dict.fromkeys("abc", 0)
    for seed in range(3000):
        (drawn,) = pool.references("deduction", 1, Random(seed))
        counts[drawn.id] += 1
    assert all(900 < count < 1100 for count in counts.values())  # 1000 expected, standard deviation 26
    assert pool.references("deduction", 2, Random(7)) == pool.references("deduction", 2, Random(7))


def test_programs_come_once_each() -> None:
    shared = "def f(a):\n    return a * 2"
    pool = pool_of(task("a", program=shared), task("b", program=shared, kind="abduction"), task("c"))
    drawn = pool.programs(5, Random(0))
    assert len(drawn) == 2
    assert {item.program for item in drawn} == {shared, task("c").program}


def test_a_program_that_may_fail_on_its_input_is_no_subject_and_neither_is_a_seed() -> None:
    pool = pool_of(task("a", kind="error-prediction"), task("b"))
    assert [item.id for item in pool.programs(5, Random(0))] == ["b"]
    assert pool_of().programs(5, Random(0)) == []


def test_a_task_with_several_inputs_is_known_by_them() -> None:
    first = replace(task("a", shape="same", kind="induction"), inputs=("1", "2"))
    second = replace(first, id="b", inputs=("3", "4"))
    assert pool_of(first).add(second)
    assert not pool_of(first).add(replace(first, step=5))


def test_one_answer_to_a_task_says_less_than_the_attempts_that_measured_it() -> None:
    pool = pool_of(task("a"), task("b"))
    pool.note_attempts("a", step=1, correct=4, attempts=8)
    pool.note_attempts("a", step=2, correct=1, attempts=1)
    pool.note_attempts("b", step=2, correct=1, attempts=1)
    assert (pool.entry("a").solve_rate, pool.entry("b").solve_rate) == (0.5, 1.0)
    assert pool.entry("a").is_mixed


def test_counts_are_per_kind() -> None:
    assert pool_of(task("a"), task("b", kind="abduction")).counts() == {"deduction": 2, "abduction": 1}


def test_a_saved_pool_comes_back_the_same(tmp_path: Path) -> None:
    pool = pool_of(task("a"), task("b", kind="abduction"), task("c"))
    pool.note_attempts("a", step=2, correct=3, attempts=8)
    pool.save(tmp_path)
    other = pool_of(task("x"), seeds=())
    other.load(tmp_path)
    assert len(other) == 4
    assert "x" not in other
    for seed in range(5):
        assert other.references("deduction", 2, Random(seed)) == pool.references("deduction", 2, Random(seed))
    assert other.programs(9, Random(1)) == pool.programs(9, Random(1))
    assert other.entry("a") == pool.entry("a")
    assert not other.add(task("y", shape="c"))


def test_the_order_survives_saving_so_that_the_oldest_still_goes_first(tmp_path: Path) -> None:
    pool_of(*(task(f"t{number}") for number in range(15))).save(tmp_path)
    pool = pool_of(seeds=())
    pool.load(tmp_path)
    pool.add(task("new"))
    assert ("t0" in pool, "t1" in pool, "seed" in pool) == (False, True, True)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "no json\n",
        "{}\n",
        '{"id": 1}\n',
        "[]\n",
        '{"id": "a", "kind": "k", "program": "", "inputs": [], "outputs": [], "measurements": 3}\n',
        *(
            f'{{"id": "a", "kind": "k", "program": "", "inputs": [], "outputs": [], {field}}}\n'
            for field in (
                '"measurements": [[1, 0, 0]]',
                '"measurements": [[1, 3, 2]]',
                '"measurements": [[1, Infinity, 2]]',
                '"novelty": NaN',
                '"novelty": "much"',
            )
        ),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "pool.jsonl").write_text(content)
    pool = pool_of()
    with pytest.raises(CheckpointError, match=r"cannot read the task pool .*pool\.jsonl"):
        pool.load(tmp_path)
    assert len(pool) == 1
