"""The pool keeps what it should, forgets the oldest, and comes back from disk as it was."""

from pathlib import Path
from random import Random

import pytest

from tinyzero.config import PoolConfig
from tinyzero.errors import CheckpointError
from tinyzero.pool import Pool
from tinyzero.types import Task


def task(name: str, *, kind: str = "deduction", program: str = "", step: int = 1) -> Task:
    return Task(
        id=name, kind=kind, program=program or f"def f(a):\n    return a + '{name}'", inputs=("1",),
        outputs=("2\u2028'",), message="hint", shape="s", parents=("p",), step=step,
    )  # fmt: skip


SEED = task("seed", step=-1)


def pool_of(*tasks: Task, capacity: int = 16, seeds: tuple[Task, ...] = (SEED,)) -> Pool:
    pool = Pool(PoolConfig(capacity=capacity), seeds)
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


def test_programs_come_once_each_and_seeds_only_alone() -> None:
    shared = "def f(a):\n    return a * 2"
    pool = pool_of(task("a", program=shared), task("b", program=shared, kind="abduction"), task("c"))
    drawn = pool.programs(5, Random(0))
    assert len(drawn) == 2
    assert {item.program for item in drawn} == {shared, task("c").program}
    assert pool_of().programs(5, Random(0)) == [SEED]


def test_counts_are_per_kind() -> None:
    assert pool_of(task("a"), task("b", kind="abduction")).counts() == {"deduction": 2, "abduction": 1}


def test_a_saved_pool_comes_back_the_same(tmp_path: Path) -> None:
    pool = pool_of(task("a"), task("b", kind="abduction"), task("c"))
    pool.save(tmp_path)
    other = pool_of(task("x"), seeds=())
    other.load(tmp_path)
    assert len(other) == 4
    assert "x" not in other
    for seed in range(5):
        assert other.references("deduction", 2, Random(seed)) == pool.references("deduction", 2, Random(seed))
    assert other.programs(9, Random(1)) == pool.programs(9, Random(1))


def test_the_order_survives_saving_so_that_the_oldest_still_goes_first(tmp_path: Path) -> None:
    pool_of(*(task(f"t{number}") for number in range(15))).save(tmp_path)
    pool = pool_of(seeds=())
    pool.load(tmp_path)
    pool.add(task("new"))
    assert ("t0" in pool, "t1" in pool, "seed" in pool) == (False, True, True)


@pytest.mark.parametrize("content", [None, "no json\n", "{}\n", '{"id": 1}\n', "[]\n"])
def test_a_broken_file_is_one_clear_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "pool.jsonl").write_text(content)
    pool = pool_of()
    with pytest.raises(CheckpointError, match=r"cannot read the task pool .*pool\.jsonl"):
        pool.load(tmp_path)
    assert len(pool) == 1
