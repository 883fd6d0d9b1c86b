"""Optional terms of proposers: values worked out by hand, bounds, and the names of what is not there."""

import pytest

from tinyzero.config import BonusConfig
from tinyzero.errors import ConfigError, NotFinite
from tinyzero.games.absolute_zero.rewards import BONUSES, Proposed, bonus_terms, choose_bonuses
from tinyzero.types import Task


def task(program="def f(a):\n    return a", outputs=("1",)):
    return Task(id="t", kind="deduction", program=program, inputs=("1",), outputs=outputs)


def value(name, proposed_task, *, novelty=0.0, references=(), peers=()):
    proposed = Proposed(task=proposed_task, novelty=novelty, references=references, peers=peers)
    return BONUSES[name].value(proposed)


def test_novelty_is_what_the_pool_measured():
    assert value("novelty", task(), novelty=0.375) == 0.375


@pytest.mark.parametrize(
    ("body", "branches"),
    [
        ("return a", 0),
        ("return 1 if a else 2", 1),
        ("return a and b and c", 2),
        ("return [x for x in a if x if a]", 1),
        ("for x in a:\n        if x:\n            return x\n    return 0", 2),
        (
            "while a:\n        try:\n            a = a[1:]\n        except ValueError:\n            return 1",
            2,
        ),
        ("match a:\n        case 1:\n            return 1\n        case _:\n            return 2", 2),
        ("\n    ".join(["if a: a = 1"] * 30 + ["return a"]), 15),
    ],
)
def test_complexity_counts_the_points_where_a_program_branches(body, branches):
    assert value("complexity", task(f"def f(a):\n    {body}")) == pytest.approx(branches / 15)


def test_edit_distance_is_the_mean_over_the_references():
    # Skeleton of `a + 1`: FunctionDef arguments arg Return BinOp Name Add int; `a * 1` differs in one of 8.
    same, near = task("def f(b):\n    return b + 9"), task("def f(b):\n    return b * 9")
    proposed = task("def f(a):\n    return a + 1")
    assert value("edit_distance", proposed, references=[same]) == 0
    assert value("edit_distance", proposed, references=[near]) == pytest.approx(1 / 8)
    assert value("edit_distance", proposed, references=[same, near]) == pytest.approx(1 / 16)
    assert value("edit_distance", proposed) == 0


def test_answers_are_diverse_where_their_type_and_their_value_are_rare():
    peers = [task(outputs=("1",)), task(outputs=("1",)), task(outputs=("2",)), task(outputs=("'a'",))]
    assert value("answer_diversity", task(outputs=("1",)), peers=peers) == (1 / 2 + 1 / 4) / 2
    assert value("answer_diversity", task(outputs=("'b'",)), peers=peers) == (1 + 3 / 4) / 2
    assert value("answer_diversity", task(outputs=("[]",)), peers=peers) == 1
    assert value("answer_diversity", task(outputs=("1",))) == 1
    pairs = [task(outputs=("1", "'a'"))]
    assert value("answer_diversity", task(outputs=("2", "'a'")), peers=pairs) == (1 + 0) / 2


def test_a_term_is_the_value_times_its_coefficient_up_to_its_cap():
    proposed = Proposed(task=task(), novelty=0.5, references=(), peers=())

    def terms(**config):
        return bonus_terms(proposed, choose_bonuses({"novelty": BonusConfig(**config)}, BONUSES))

    assert terms(coefficient=0.5, cap=1) == {"novelty": 0.25}
    assert terms(coefficient=3, cap=0.5) == {"novelty": 0.5}
    assert terms(coefficient=0) == {}


def test_an_unknown_term_is_named_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"'novlety'.*did you mean novelty"):
        choose_bonuses({"novlety": BonusConfig()}, BONUSES)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -0.5, 1e308, None, "1"])
def test_a_bonus_that_gives_no_number_from_0_to_1_is_named(value):
    class Mine:
        name = "mine"

        def value(self, proposed):
            return value

    proposed = Proposed(task=task(), novelty=0.0, references=(), peers=())
    with pytest.raises(NotFinite, match=r"the bonus 'mine' gives .* for the task t; its value has to be"):
        bonus_terms(proposed, [(Mine(), BonusConfig())])
