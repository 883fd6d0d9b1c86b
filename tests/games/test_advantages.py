import math
from dataclasses import replace

import pytest
from rollouts import rollout_of

from tinyzero.config import AdvantagesConfig
from tinyzero.errors import NotFinite
from tinyzero.games.advantages import estimate
from tinyzero.types import Prompt, RewardBreakdown, Role


def make_rollout(reward, *, role=Role.SOLVER, kind="deduction", task_id="a"):
    return rollout_of(role, kind=kind, task_id=task_id, terms={"accuracy": reward})


def test_one_success_in_four_without_scaling():
    rollouts = [make_rollout(reward) for reward in (1, 0, 0, 0)]
    assert estimate(rollouts, AdvantagesConfig(scale="none")) == [0.75, -0.25, -0.25, -0.25]


def test_scaling_divides_by_the_population_deviation():
    rollouts = [make_rollout(reward) for reward in (1, 0, 0, 0)]  # std = sqrt(3)/4
    expected = [3**0.5, -(3**-0.5), -(3**-0.5), -(3**-0.5)]
    assert estimate(rollouts, AdvantagesConfig(scale="std")) == pytest.approx(expected)


def test_scaling_by_the_mean_weighs_what_seldom_succeeds_most():
    seldom = [make_rollout(reward) for reward in (1, 0, 0, 0)]  # mean 1/4: (1 - 1/4) / (1/4) = 3
    often = [make_rollout(reward, task_id="b") for reward in (1, 1, 1, 0)]  # (1 - 3/4) / (3/4) = 1/3
    never = [make_rollout(0, task_id="c"), make_rollout(0, task_id="c")]
    config = AdvantagesConfig(estimator="group", scale="mean")
    expected = [3, -1, -1, -1, 1 / 3, 1 / 3, 1 / 3, -1, 0, 0]
    assert estimate([*seldom, *often, *never], config) == pytest.approx(expected)


def test_a_proposers_penalties_are_not_divided_by_their_mean():
    rollouts = [make_rollout(reward, role=Role.PROPOSER) for reward in (0.75, -0.5)]  # mean 1/8
    config = AdvantagesConfig(estimator="group", scale="mean")
    assert estimate(rollouts, config) == [0.625, -0.625]


def test_leave_one_out_compares_with_the_mean_of_the_others():
    rollouts = [make_rollout(reward) for reward in (1, 0, 0, 0)]
    config = AdvantagesConfig(estimator="leave-one-out", scale="none")
    assert estimate(rollouts, config) == pytest.approx([1 - 0, *[0 - 1 / 3] * 3])


def test_a_baseline_per_task_without_scaling_is_the_plain_difference():
    rollouts = [make_rollout(1), make_rollout(0), make_rollout(1, task_id="b"), make_rollout(1, task_id="b")]
    assert estimate(rollouts, AdvantagesConfig(estimator="group", scale="none")) == [0.5, -0.5, 0, 0]


def test_task_relative_shares_a_baseline_over_the_tasks_of_a_kind():
    rollouts = [
        make_rollout(1, task_id="easy"),
        make_rollout(1, task_id="easy"),
        make_rollout(0, task_id="hard"),
        make_rollout(0, task_id="hard"),
    ]
    assert estimate(rollouts, AdvantagesConfig(scale="none")) == [0.5, 0.5, -0.5, -0.5]
    assert estimate(rollouts, AdvantagesConfig(estimator="group", scale="none")) == [0, 0, 0, 0]


def test_kinds_and_roles_never_share_a_baseline():
    rollouts = [
        make_rollout(1),
        make_rollout(0),
        make_rollout(10, kind="abduction"),
        make_rollout(8, kind="abduction"),
        make_rollout(100, role=Role.PROPOSER),
        make_rollout(98, role=Role.PROPOSER),
    ]
    assert estimate(rollouts, AdvantagesConfig(scale="none")) == [0.5, -0.5, 1, -1, 1, -1]


def test_proposers_share_a_baseline_per_kind_under_every_estimator():
    rollouts = [make_rollout(r, role=Role.PROPOSER, task_id=str(r)) for r in (3, 1)]
    assert estimate(rollouts, AdvantagesConfig(estimator="group", scale="none")) == [1, -1]


@pytest.mark.parametrize("estimator", ["task-relative", "group", "leave-one-out"])
def test_a_flat_or_lonely_group_teaches_nothing(estimator):
    config = AdvantagesConfig(estimator=estimator)
    assert estimate([make_rollout(0.1 + 0.2), make_rollout(0.3)], config) == [0, 0]
    assert estimate([make_rollout(5)], config) == [0]
    assert estimate([], config) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, None, "1"])
def test_a_reward_that_is_no_sane_number_is_named_by_its_term(value):
    rollouts = [make_rollout(1.0), make_rollout(0.0)]
    broken = replace(rollouts[1], reward=RewardBreakdown(terms={"accuracy": 1.0, "my_bonus": value}))
    with pytest.raises(NotFinite, match=f"'my_bonus' of a solver .* is {value!r}".replace("+", r"\+")):
        estimate([rollouts[0], broken], AdvantagesConfig())


def test_siblings_of_a_prompt_share_a_baseline_of_their_own():
    def proposals(text, *rewards):
        prompt = Prompt(kind="deduction", text=text)
        return [rollout_of(Role.PROPOSER, prompt=prompt, terms={"x": reward}) for reward in rewards]

    rollouts = [*proposals("easy references", 1, 0.5), *proposals("hard ones", 0, -0.5)]
    config = AdvantagesConfig(scale="none")
    assert estimate(rollouts, config, siblings=2) == [0.25, -0.25, 0.25, -0.25]
    assert estimate(rollouts, config) == [0.75, 0.25, -0.25, -0.75]
    attempts = [make_rollout(1), make_rollout(0, task_id="b")]
    assert estimate(attempts, config, siblings=2) == [0.5, -0.5]  # a solver's baselines stay
