"""Learning on two ranks: the step of one process, up to the order of sums, and the same bits on both."""

import math

import pytest
import torch
from rounds import BUDGETS, TEMPERATURE, learner, make_round, relative_distance, weights
from settled import learner_section
from thread_world import together

from tinyzero.learning.learner import LoraLearner
from tinyzero.ranks.engine import RanksEngine, share_of


def learner_of(policy, world, wrap=lambda engine, rank: engine, **config):
    return LoraLearner(
        policy,
        learner_section(**config),
        TEMPERATURE,
        completion_budgets=BUDGETS,
        spread=lambda engine: RanksEngine(wrap(engine, world.rank), policy, world),
    )


def update_together(
    make_policy, *, adapters="shared", wrap=lambda engine, rank: engine, dtype=None, **config
):
    """Two ranks and one process after the same update: policies and metrics."""
    options = {"dtype": dtype} if dtype else {}
    policies = [make_policy(adapters=adapters, temperature=TEMPERATURE, **options) for _ in range(3)]
    rollouts, advantages = make_round(policies[2])

    def update(world):
        return learner_of(policies[world.rank], world, wrap, **config).update(rollouts, advantages)

    metrics = together(update)
    return policies, [*metrics, learner(policies[2], **config).update(rollouts, advantages)]


CONFIGS = [
    {},
    {"normalization": "sequence"},
    {"normalization": "fixed", "kl_coef": 0.5},
    {"micro_batch_tokens": 64},
    {"updates_per_round": 2, "clip_low": 0.001, "clip_high": 0.001, "lr": 1e-3},
    {"engine": "trl"},
    {"engine": "trl", "normalization": "sequence", "kl_coef": 0.5},
    {"engine": "trl", "updates_per_round": 2},
]


@pytest.mark.parametrize("adapters", ["shared", "per-role"])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_two_ranks_take_the_step_of_one_process(make_policy, adapters, config):
    start = make_policy(adapters=adapters, temperature=TEMPERATURE)
    (first, second, alone), metrics = update_together(make_policy, adapters=adapters, **config)
    assert metrics[0] == metrics[1]
    assert metrics[0] == pytest.approx(metrics[2], rel=1e-3, abs=1e-5)
    for adapter in alone.adapters:
        before = weights(start, adapter)
        moved, moved_alone = weights(first, adapter) - before, weights(alone, adapter) - before
        assert weights(first, adapter).equal(weights(second, adapter))
        assert moved_alone.norm() > 0
        assert relative_distance(moved, moved_alone) < 1e-2  # AdamW divides tiny gradients by their size


class OnceOutOfMemory:
    def __init__(self, engine):
        self.engine, self.budgets = engine, []

    def accumulate(self, parts, starts, *, max_tokens, scale):
        result = self.engine.accumulate(parts, starts, max_tokens=max_tokens, scale=scale)
        self.budgets.append(max_tokens)
        if len(self.budgets) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")  # with gradients there already
        return result


def test_all_ranks_halve_their_batches_where_one_is_out_of_memory(make_policy):
    (first, second, alone), metrics = update_together(
        make_policy,
        wrap=lambda engine, rank: OnceOutOfMemory(engine) if rank else engine,
        micro_batch_tokens=256,
    )
    assert metrics[0] == metrics[1]
    assert metrics[0]["learner/shared/micro_batch_tokens"] == 128
    assert metrics[0]["learner/shared/grad_norm"] == pytest.approx(metrics[2]["learner/shared/grad_norm"])
    assert weights(first, "shared").equal(weights(second, "shared"))
    assert relative_distance(weights(first, "shared"), weights(alone, "shared")) < 1e-4


class Poisoned:
    """The loss of one rank is no number, and so are its gradients."""

    def __init__(self, engine):
        self.engine = engine

    def accumulate(self, parts, starts, *, max_tokens, scale):
        poisoned = lambda loss: scale(loss) * math.nan  # noqa: E731
        loss, measured = self.engine.accumulate(parts, starts, max_tokens=max_tokens, scale=poisoned)
        return loss, measured


def test_all_ranks_skip_a_step_whose_gradient_is_not_finite_on_one(make_policy):
    start = make_policy(temperature=TEMPERATURE)
    (first, second, _), metrics = update_together(
        make_policy, wrap=lambda engine, rank: Poisoned(engine) if rank else engine
    )
    assert [own["learner/shared/skipped"] for own in metrics] == [1, 1, 0]
    assert first.versions == second.versions == start.versions
    assert weights(first, "shared").equal(weights(start, "shared"))


def test_all_ranks_agree_on_a_loss_scale(make_policy):
    policies = [make_policy(temperature=TEMPERATURE, dtype="float16") for _ in range(2)]
    rollouts, advantages = make_round(policies[0])

    def update(world):
        subject = learner_of(policies[world.rank], world)
        scaler = subject._scalers["shared"]
        scaler.load_state_dict(scaler.state_dict() | {"scale": 2.0**30})  # any gradient leaves float16
        return subject.update(rollouts, advantages), scaler.get_scale()

    (first, scale), (second, other) = together(update)
    assert scale == other == 2.0**29
    assert first["learner/shared/skipped"] == second["learner/shared/skipped"] == 1


def test_a_rank_without_a_share_takes_the_step_too(make_policy):
    policies = [make_policy(temperature=TEMPERATURE) for _ in range(3)]
    rollouts, _ = make_round(policies[0])
    update = lambda world: learner_of(policies[world.rank], world).update(rollouts[:1], [1.0])  # noqa: E731
    first, second = together(update)
    alone = learner(policies[2]).update(rollouts[:1], [1.0])
    assert first == second == pytest.approx(alone)
    assert weights(policies[0], "shared").equal(weights(policies[2], "shared"))
    assert weights(policies[1], "shared").equal(weights(policies[2], "shared"))


def test_each_sample_has_one_rank_and_the_counts_of_its_role_stay(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy)
    parts = learner(policy)._parts(list(zip(rollouts, advantages, strict=True)))
    shares = [share_of(parts, rank, 3) for rank in range(3)]
    dealt = [sample for share in shares for part in share for sample in part.samples]
    assert sorted(map(id, dealt)) == sorted(id(sample) for part in parts for sample in part.samples)
    counts = {(part.num_rollouts, part.num_tokens, part.budget) for part in parts}
    assert {(p.num_rollouts, p.num_tokens, p.budget) for share in shares for p in share} == counts
    sizes = [
        sum(len(s.prompt_ids) + len(s.token_ids) for part in share for s in part.samples) for share in shares
    ]
    assert max(sizes) < 2 * min(sizes)
