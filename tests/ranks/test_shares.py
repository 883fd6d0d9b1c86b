"""Shares of requests, programs and pairs: together they give what one process gives."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thread_world import together

from tinyzero.config import SamplingConfig
from tinyzero.ranks.shares import RanksComparer, RanksRunner, RanksSampler, deal, pieces_of
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.types import Execution, Job, Outcome, Prompt, Role, SamplingRequest

TEXTS = ("2+2", "a much longer question than the others", "?", "f(x)", "what is f('abc')", "x", "y", "z", "w")


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(1, 8))
def test_every_place_is_dealt_once_and_loads_differ_by_no_more_than_the_largest_weight(weights, size):
    shares = deal(weights, size)
    assert sorted(place for share in shares for place in share) == list(range(len(weights)))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(weights[place] for place in share) for share in shares]
    assert max(loads) - min(loads) <= max(weights, default=0) + 1e-6


def request(texts=TEXTS, *, num_samples=3):
    return SamplingRequest(
        role=Role.SOLVER,
        prompts=tuple(Prompt(kind="deduction", text=text) for text in texts),
        num_samples=num_samples,
        max_tokens=10,
        stream="7/solve",
    )


@pytest.mark.parametrize(
    ("num_prompts", "num_samples", "ranks", "expected"),
    [(9, 3, 2, 3), (1, 24, 2, 3), (1, 7, 2, 1), (1, 1, 4, 1), (4, 8, 4, 2)],
)
def test_samples_of_a_prompt_are_parted_only_where_prompts_are_few(num_prompts, num_samples, ranks, expected):
    size, pieces = pieces_of(request(("?",) * num_prompts, num_samples=num_samples), ranks)
    assert size == expected
    covered = [(prompt, first + sample) for prompt, first in pieces for sample in range(size)]
    assert covered == [(prompt, sample) for prompt in range(num_prompts) for sample in range(num_samples)]


def written(groups):
    return [[(completion.token_ids, completion.text) for completion in group] for group in groups]


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]], ids=["many prompts", "one prompt, parted"])
def test_ranks_sample_the_tokens_of_one_process(make_policy, texts):
    policies = [make_policy() for _ in range(3)]
    samplers = [BuiltinSampler(policy, SamplingConfig(), 5) for policy in policies]
    asked = request(texts, num_samples=6)
    alone = samplers[2].sample(asked)
    first, second = together(lambda world: RanksSampler(samplers[world.rank], world).sample(asked))
    assert first == second
    assert written(first) == written(alone)
    assert len({tokens for group in written(alone) for tokens, _ in group}) > 3
    for group, other in zip(first, alone, strict=True):
        for completion, expected in zip(group, other, strict=True):
            assert completion.sampler_logprobs == pytest.approx(expected.sampler_logprobs, abs=1e-4)


def test_a_part_of_a_part_keeps_its_random_numbers(make_policy):
    sampler = BuiltinSampler(make_policy(), SamplingConfig(), 5)
    alone = sampler.sample(request())
    part = replace(request(TEXTS[4:5], num_samples=2), origins=((4, 1),))
    assert written(sampler.sample(part)) == [written(alone)[4][1:]]


class NotingSampler:
    def __init__(self):
        self.asked = []

    def sample(self, request):
        self.asked.append(request)
        return [[] for _ in request.prompts]


def test_nobody_is_asked_for_an_empty_share():
    samplers = [NotingSampler(), NotingSampler()]
    asked = request(TEXTS[:1], num_samples=1)
    groups = together(lambda world: RanksSampler(samplers[world.rank], world).sample(asked))
    assert groups == [[[]], [[]]]
    assert sorted(len(sampler.asked) for sampler in samplers) == [0, 1]


class NotingRunner:
    """Every run says who ran it."""

    def __init__(self, rank):
        self.rank = rank
        self.ran = []

    def run_jobs(self, jobs):
        self.ran += [job.program for job in jobs]
        return [
            [Execution(outcome=Outcome.OK, value=f"{job.program} {i}", wall_s=self.rank) for i in job.inputs]
            for job in jobs
        ]


def test_programs_run_once_and_all_ranks_see_the_one_outcome():
    jobs = [
        Job(program=f"p{n}", inputs=("1",) * (1 + n % 3), check_determinism=n % 2 == 0) for n in range(12)
    ]
    runners = [NotingRunner(rank) for rank in range(3)]
    outcomes = together(lambda world: RanksRunner(runners[world.rank], world).run_jobs(jobs), size=3)
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert [[run.value for run in runs] for runs in outcomes[0]] == [
        [f"{job.program} {i}" for i in job.inputs] for job in jobs
    ]
    assert sorted(program for runner in runners for program in runner.ran) == sorted(j.program for j in jobs)
    assert all(runner.ran for runner in runners)


class CountingComparer:
    def __init__(self):
        self.num_undecided, self.num_skipped, self.compared = 0, 0, []

    def same(self, pairs):
        self.compared += pairs
        self.num_undecided += len(pairs)
        return [first == second for first, second in pairs]


def test_pairs_are_compared_once_and_what_is_undecided_is_counted_over_all_ranks():
    pairs = [("1", "1"), ("1", "2"), ("x", "x"), ("1", "1"), ("y", "z")]
    comparers = [CountingComparer(), CountingComparer()]

    def compare(world):
        comparer = RanksComparer(comparers[world.rank], world)
        return comparer.same(pairs), comparer.num_undecided, comparer.num_skipped

    assert together(compare) == [([True, False, True, True, False], 4, 0)] * 2
    assert sorted(comparers[0].compared + comparers[1].compared) == sorted(set(pairs))
