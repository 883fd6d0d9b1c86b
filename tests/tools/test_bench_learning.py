import math
import sys

import pytest
import torch
from bench.learning import race_against_trl
from bench.peak_memory import peak_memory
from settled import learner_section

from tinyzero.cli.speed import as_rollouts, mixed_advantages
from tinyzero.config import SamplingConfig
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.types import Prompt, Role, SamplingRequest


def test_both_learners_learn_from_every_token(make_policy):
    policy = make_policy()
    prompts = tuple(Prompt(kind="deduction", text=text) for text in ("2+2", "f(x)"))
    request = SamplingRequest(role=Role.SOLVER, prompts=prompts, num_samples=2, max_tokens=6, stream="bench")
    rollouts = as_rollouts(request, BuiltinSampler(policy, SamplingConfig(), seed=0).sample(request))
    assert [rollout.prompt for rollout in rollouts] == [prompts[0], prompts[0], prompts[1], prompts[1]]
    config = learner_section(schedule="linear", normalization="fixed")  # which need to know more of a run
    raced = race_against_trl(policy, config, rollouts, repeats=2)
    num_tokens = sum(len(rollout.completion.token_ids) for rollout in rollouts)
    assert {lap.amount for lap in (*raced.race.ours, *raced.race.theirs)} == {num_tokens}
    assert policy.versions == {"shared": 2 * (1 + 2 + 1)}  # laps of both, and one each for the memory
    assert all(math.isnan(peak) == (sys.platform != "linux") for peak in (raced.ours_peak, raced.theirs_peak))


def test_advantages_are_mixed_and_none_is_left_out():
    assert sorted(mixed_advantages(6)) == [-1.0] * 3 + [1.0] * 3
    assert mixed_advantages(6) not in ([-1.0, 1.0] * 3, [-1.0] * 3 + [1.0] * 3)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process cannot be reset elsewhere")
def test_the_peak_is_what_was_held_at_once_and_not_what_is_left():
    def work():
        torch.ones(64 << 20, dtype=torch.uint8)  # 64 MiB, and free again
        return torch.ones(16 << 20, dtype=torch.uint8)

    peaks = [peak_memory(work, torch.device("cpu")) for _ in range(3)]
    assert min(peaks) > 63 << 20  # the later ones too: what the first has freed must not hide it
    assert min(peaks) < 72 << 20  # not the sum; of three, since other threads of the process count as well
