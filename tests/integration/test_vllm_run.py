"""Whole runs whose completions come over HTTP, from a server that stands in for `vllm serve`."""

import math
from contextlib import contextmanager
from dataclasses import replace

import pytest
from rollouts import rollout_of
from sampling.nano_engine import NanoEngine
from sampling.nano_server import NanoServer, serving
from settled import defaults, learner_section, settled

from tinyzero.assembly import assemble
from tinyzero.config import resolve_base
from tinyzero.errors import SamplerBroken
from tinyzero.learning.learner import LoraLearner
from tinyzero.policy.loading import load_policy
from tinyzero.run.folder import RunFolder
from tinyzero.sampling.choice import over_engine
from tinyzero.types import Prompt, Role, SamplingRequest

SMALL = [
    "run.checkpoint_every_steps=1",
    "selfplay.proposals_per_step=8",
    "selfplay.attempts=4",
    "selfplay.proposal_tokens=48",
    "selfplay.answer_tokens=24",
    "hardware.threads=1",
    'evaluation.heldout="none"',
    "sampling.engine=vllm",
    "sampling.batch_rows=4",
]


@contextmanager
def a_server(**options):
    config = settled("nano-cpu", SMALL[:-2])
    policy = load_policy(config.model, config.policy, device="cpu", temperature=1.0)
    nano = NanoServer(NanoEngine(policy), model=resolve_base("nano"), **options)
    with serving(nano) as url:
        yield nano, url


def config_of(url, tmp_path, *more):
    folder = f"sampling.server_adapters={tmp_path / 'adapters'}"
    return settled("nano-cpu", [*SMALL, f"sampling.server_url={url}", folder, *more])


def play(config, run, *, steps):
    """Steps of a run, dropped afterwards like a process that was killed."""
    with assemble(config, run) as trainer:
        reports = []
        while trainer.steps_done < steps:
            reports.append(trainer.step())
            trainer.checkpoint()
    return reports


def comparable(report):
    return {name: value for name, value in report.metrics.items() if not name.startswith("time/")}


@pytest.mark.slow
def test_a_run_trains_on_what_a_server_samples_and_resumes(tmp_path):
    with a_server() as (nano, url):
        config = config_of(url, tmp_path)
        whole = RunFolder.create(tmp_path, "whole", config)
        broken = RunFolder.create(tmp_path, "broken", config)
        first, second = play(config, whole, steps=2)
        assert nano.loras == {}
        assert list((tmp_path / "adapters").iterdir()) == []
        play(config, broken, steps=1)
        (resumed,) = play(config, broken, steps=2)
    assert comparable(resumed) == comparable(second)
    assert comparable(first) != comparable(second)
    for adapter in ("proposer", "solver"):
        assert first.metrics[f"learner/{adapter}/grad_norm"] > 0
        assert first.metrics[f"learner/{adapter}/sampler_gap_mean"] < 1e-4
    policies = {rollout.completion.policy for rollout in second.round.rollouts}
    assert "proposer@1" in policies
    assert policies <= {"proposer@1", "solver@1"}
    assert second.metrics["learner/proposer/sampler_gap_mean"] < 1e-4


@pytest.mark.slow
def test_a_server_that_leaves_the_adapter_off_is_refused_once_there_is_something_to_leave_off(tmp_path):
    with a_server() as (nano, url):
        config = config_of(url, tmp_path, "learner.lr=0.05")
        run = RunFolder.create(tmp_path, "run", config)
        play(config, run, steps=1)
        nano.engine.faults.add("no adapter")
        with pytest.raises(SamplerBroken, match=r"sampler \(vllm\) and the learner disagree"):
            play(config, run, steps=2)
        assert nano.loras == {}


@pytest.mark.slow
def test_the_sampler_sleeps_before_the_learner_learns_and_is_closed_in_the_end(tmp_path):
    """A sampler of one's own that is a Resident, as the colocated engine's is."""
    config = settled("nano-cpu", SMALL[:-2])
    calls = []

    def make_sampler(policy, config):
        base = load_policy(config.model, config.policy, device="cpu", temperature=1.0)
        engine = NanoEngine(base)
        engine.calls = calls
        return over_engine(engine, policy, config)

    run = RunFolder.create(tmp_path, "run", config)
    with assemble(config, run, make_sampler=make_sampler) as trainer:
        update, at_learning = trainer.learner.update, []

        def update_and_note(*given):
            at_learning.append(calls[-1])
            return update(*given)

        trainer.learner.update = update_and_note
        trainer.step()
    assert at_learning == ["sleep"]
    assert calls[-1] == "close"


def test_the_gap_to_the_engine_s_logprobs_weighs_in_the_gradient(tmp_path, make_policy):
    """A token's weight is exp(policy - sampler): logprobs lower by log 1.5 make a gradient of 1.5 times."""

    def learn(shift):
        policy = make_policy()
        folder = str(tmp_path / str(shift))
        config = defaults(sampling={"engine": "vllm", "server_adapters": folder})
        sampler = over_engine(NanoEngine(make_policy(randomize=False)), policy, config)
        prompt = Prompt(kind="deduction", text="2+2")
        (samples,) = sampler.sample(
            SamplingRequest(role=Role.SOLVER, prompts=(prompt,), num_samples=2, max_tokens=6, stream="s")
        )
        rollouts = [rollout_of(Role.SOLVER, prompt=prompt, completion=lowered(one, shift)) for one in samples]
        settings = learner_section(optimizer="adamw", max_grad_norm=1e9, sampler_cap=4.0)
        learner = LoraLearner(
            policy, settings, 1.0, completion_budgets=dict.fromkeys(Role, 6), total_rounds=1
        )
        return learner.update(rollouts, [1.0, -0.5])

    plain, heavier = learn(0.0), learn(math.log(1.5))
    assert plain["learner/shared/sampler_gap_mean"] < 1e-5
    assert heavier["learner/shared/sampler_gap_mean"] == pytest.approx(math.log(1.5), abs=1e-4)
    grown = heavier["learner/shared/grad_norm"] / plain["learner/shared/grad_norm"]
    assert grown == pytest.approx(1.5, rel=1e-4)


def lowered(completion, shift):
    return replace(completion, sampler_logprobs=tuple(one - shift for one in completion.sampler_logprobs))
