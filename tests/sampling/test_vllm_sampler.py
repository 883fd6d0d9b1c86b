"""The sampler over a vLLM, with an engine that really samples in its place."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sampling.nano_engine import NanoEngine
from settled import defaults

from tinyzero.config import Config
from tinyzero.errors import ConfigError, SamplerBroken
from tinyzero.learning.scoring import score_completions
from tinyzero.sampling.canary import check_sampler
from tinyzero.sampling.choice import over_engine
from tinyzero.sampling.vllm.sampler import sample_seed
from tinyzero.types import Prompt, Resident, Role, SamplingRequest

TEXTS = ("2+2", "a longer question, to be sure", "?")


def request(texts=TEXTS, *, num_samples=2, max_tokens=8, temperature=1.0, role=Role.SOLVER, stream="7/solve"):
    return SamplingRequest(
        role=role,
        prompts=tuple(Prompt(kind="deduction", text=text) for text in texts),
        num_samples=num_samples,
        max_tokens=max_tokens,
        stream=stream,
        temperature=temperature,
    )


@pytest.fixture
def make_sampler(make_policy, tmp_path):
    """A sampler, its policy, and its engine, which has a policy of its own."""
    made = []

    def make(*, faults=(), context_tokens=512, seed=0, sampling=None, **options):
        policy = make_policy(**options)
        of_engine = {name: options[name] for name in ("adapters", "rank") if name in options}
        engine = NanoEngine(
            make_policy(randomize=False, **of_engine), context_tokens=context_tokens, faults=faults
        )
        settings = {"engine": "vllm", "server_adapters": str(tmp_path / "adapters"), **(sampling or {})}
        config = Config.model_validate({"run": {"seed": seed}, "sampling": settings})
        sampler = over_engine(engine, policy, config)
        made.append(sampler)
        return sampler, policy, engine

    yield make
    for sampler in made:
        sampler.close()


def folders(tmp_path):
    return sorted(path.name for path in tmp_path.glob("adapters/*/*"))


def change(policy, adapter):
    """As an update does."""
    with torch.no_grad():
        for parameter in policy.trainable_parameters(adapter):
            parameter.add_(0.05)
    policy.versions[adapter] += 1


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("adapters", ["shared", "per-role"])
def test_its_answers_are_those_of_the_policy(make_sampler, adapters, temperature):
    sampler, policy, _ = make_sampler(adapters=adapters, temperature=temperature)
    score = partial(score_completions, policy)
    gap = check_sampler(sampler, score, engine="vllm", temperature=temperature)
    assert 0 < gap.mean < 1e-5
    for adapter in policy.adapters:
        change(policy, adapter)
    assert check_sampler(sampler, score, engine="vllm", temperature=temperature).mean < 1e-5


@pytest.mark.parametrize(("fault", "temperature"), [("no adapter", 1.0), ("untempered", 0.4)])
def test_an_engine_that_serves_something_else_is_refused(make_sampler, fault, temperature):
    sampler, policy, _ = make_sampler(faults=[fault], temperature=temperature)
    with pytest.raises(SamplerBroken, match=r"sampler \(vllm\) and the learner disagree.*processed_logprobs"):
        check_sampler(sampler, partial(score_completions, policy), engine="vllm", temperature=temperature)


def test_a_completion_tells_what_was_drawn_by_whom(make_sampler):
    sampler, policy, _ = make_sampler(adapters="per-role")
    policy.versions["solver"] = 3
    asked = request(num_samples=3)
    found = sampler.sample(asked)
    assert [len(samples) for samples in found] == [3, 3, 3]
    for prompt, samples in zip(asked.prompts, found, strict=True):
        for one in samples:
            assert one.prompt_ids == tuple(policy.encode(prompt))
            assert len(one.sampler_logprobs) == len(one.token_ids) <= 8
            assert (one.adapter, one.adapter_version, one.temperature) == ("solver", 3, 1.0)
            is_stopped = one.token_ids[-1] in policy.stop_ids
            assert one.finish_reason == ("stop" if is_stopped else "length")
            assert one.text == policy.decode(one.token_ids[:-1] if is_stopped else one.token_ids)


def test_an_end_token_is_kept_and_not_shown(make_sampler):
    sampler, policy, _ = make_sampler()
    ended = [
        one
        for samples in sampler.sample(request(num_samples=12, max_tokens=40))
        for one in samples
        if one.finish_reason == "stop"
    ]
    assert ended
    for one in ended:
        assert one.token_ids[-1] in policy.stop_ids
        assert not policy.stop_ids.intersection(one.token_ids[:-1])
        assert one.text == policy.decode(one.token_ids[:-1])
        assert "<|" not in one.text


def test_an_end_token_that_is_no_special_one_is_not_shown_either(make_sampler):
    sampler, policy, _ = make_sampler()
    policy.stop_ids = frozenset(range(3, 60))
    ((one, *_),) = sampler.sample(request(["2+2"], num_samples=8, max_tokens=40))
    assert one.finish_reason == "stop"
    assert policy.decode(one.token_ids[-1:]) != ""
    assert one.text == policy.decode(one.token_ids[:-1])


def test_greedy_logprobs_are_those_at_temperature_1(make_sampler):
    sampler, policy, _ = make_sampler()
    ((one, other),) = sampler.sample(request(["2+2"], temperature=0.0))
    assert one == other
    (scored,) = score_completions(policy, [one])
    assert one.sampler_logprobs == pytest.approx(scored, abs=1e-4)


def test_a_sample_depends_on_its_own_names_only(make_sampler):
    sampler, _, _ = make_sampler()
    whole = sampler.sample(request(num_samples=4))
    assert sampler.sample(request(num_samples=4)) == whole
    assert sampler.sample(request(TEXTS[:1], num_samples=2)) == [whole[0][:2]]
    assert sampler.sample(request(num_samples=4, stream="8/solve")) != whole
    assert len({one.token_ids for one in whole[0]}) > 1


def test_seeds_are_told_apart_by_every_name():
    base = {"prompt": 1, "sample": 2}
    seeds = {
        sample_seed(0, "7/solve", **base),
        sample_seed(1, "7/solve", **base),
        sample_seed(0, "8/solve", **base),
        sample_seed(0, "7/solve", prompt=2, sample=1),
        sample_seed(0, "7/solve", prompt=1, sample=22),
        sample_seed(0, "7/solve", prompt=12, sample=2),
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sample_seed(0, "7/solve", **base) == 4050947579503774012


def test_an_adapter_is_handed_over_when_it_has_changed_and_the_old_one_is_removed(make_sampler, tmp_path):
    sampler, policy, engine = make_sampler()
    sampler.sample(request())
    sampler.sample(request(stream="again"))
    assert engine.calls == ["load shared-1", "shared-1", "shared-1"]
    assert folders(tmp_path) == ["000001"]
    change(policy, "shared")
    sampler.sample(request())
    assert engine.calls[3:] == ["load shared-2", "unload shared-1", "shared-2"]
    assert folders(tmp_path) == ["000002"]


def test_what_is_handed_over_is_peft_s_own_form(make_sampler, tmp_path):
    sampler, policy, _ = make_sampler(rank=4)
    sampler.sample(request())
    (folder,) = tmp_path.glob("adapters/*/000001/shared")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"], config["bias"]) == ("LORA", 4, 8, "none")
    assert not config["use_dora"]
    assert not config["modules_to_save"]
    assert isinstance(config["target_modules"], list)
    saved = load_file(folder / "adapter_model.safetensors")
    key = next(key for key in saved if key.endswith("q_proj.lora_A.weight"))
    assert key.startswith("base_model.model.model.layers.")  # vLLM goes by these names
    live = dict(policy.model.named_parameters())[key.replace(".weight", ".shared.weight")]
    assert torch.equal(saved[key], live)


def test_each_role_has_its_own_adapter_and_a_frozen_one_none(make_sampler, make_policy):
    sampler, _, engine = make_sampler(adapters="per-role")
    sampler.sample(request())
    sampler.sample(request(role=Role.PROPOSER))
    sampler.sample(request())
    assert engine.calls == ["load solver-1", "solver-1", "load proposer-2", "proposer-2", "solver-1"]
    sampler, _, engine = make_sampler(frozen_roles=[Role.PROPOSER])
    ((one,),) = sampler.sample(request(["2+2"], role=Role.PROPOSER, num_samples=1))
    assert engine.calls == ["base"]
    assert one.policy == "base@0"


def test_restored_weights_of_the_same_version_are_handed_over_again(make_sampler, make_policy, tmp_path):
    sampler, policy, engine = make_sampler()
    before = sampler.sample(request())
    make_policy(randomize=False).save(tmp_path / "saved")
    policy.load(tmp_path / "saved")
    assert policy.versions == {"shared": 0}
    assert sampler.sample(request()) != before
    assert engine.calls == ["load shared-1", "shared-1", "load shared-2", "unload shared-1", "shared-2"]


def test_an_adapter_that_is_not_taken_leaves_no_folder(make_sampler, tmp_path, monkeypatch):
    sampler, _, engine = make_sampler()

    def refuse(_):
        raise SamplerBroken("no")

    monkeypatch.setattr(engine, "load", refuse)
    with pytest.raises(SamplerBroken, match="no"):
        sampler.sample(request())
    assert folders(tmp_path) == []


def test_an_engine_that_cannot_forget_does_not_stop_the_run(make_sampler, tmp_path, monkeypatch, caplog):
    sampler, policy, engine = make_sampler()
    sampler.sample(request())
    change(policy, "shared")

    def refuse(_):
        raise SamplerBroken("gone")

    monkeypatch.setattr(engine, "unload", refuse)
    sampler.sample(request())
    assert "vLLM keeps the adapter" in caplog.text
    assert folders(tmp_path) == ["000002"]


def test_in_the_end_nothing_is_left(make_sampler, tmp_path):
    sampler, _, engine = make_sampler()
    sampler.sample(request())
    sampler.sleep()
    sampler.close()
    assert engine.calls[2:] == ["sleep", "unload shared-1", "close"]
    assert list((tmp_path / "adapters").iterdir()) == []
    assert isinstance(sampler, Resident)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("cut short", r"after 1 of 8 tokens, without an end token"),
        ("short of logprobs", r"7 logprobs for 8 tokens|logprobs for"),
        ("deaf to ends", r"went on after an end token"),
    ],
)
def test_what_was_not_asked_for_is_refused(make_sampler, fault, message):
    sampler, _, _ = make_sampler(faults=[fault])
    with pytest.raises(SamplerBroken, match=message):
        sampler.sample(request(num_samples=20, max_tokens=8 if fault != "deaf to ends" else 40))


def test_a_prompt_and_its_answer_fit_into_the_shorter_context(make_sampler):
    sampler, policy, _ = make_sampler(context_tokens=60)
    room = 60 - len(policy.encode(request([""]).prompts[0]))
    fitting = request(["x" * (room - 1)], max_tokens=9)
    assert sampler.fits(fitting.prompts[0])
    assert {len(one.token_ids) for one in sampler.sample(fitting)[0]} == {1}
    too_long = request(["x" * room], max_tokens=9)
    assert not sampler.fits(too_long.prompts[0])
    with pytest.raises(ConfigError, match=r"a prompt has 60 tokens; .* and the context has 60"):
        sampler.sample(too_long)


def test_a_request_without_prompts_asks_no_engine(make_sampler):
    sampler, _, engine = make_sampler()
    assert sampler.sample(replace(request(), prompts=())) == []
    assert engine.calls == []


def test_only_end_tokens_that_the_model_can_draw_are_named(make_sampler, monkeypatch):
    sampler, policy, engine = make_sampler()
    policy.stop_ids = frozenset({0, 2, 10**6})
    seen = []
    generate = engine.generate
    monkeypatch.setattr(engine, "generate", lambda *a, **k: seen.append(k["stop_ids"]) or generate(*a, **k))
    sampler.sample(request())
    assert seen == [[0, 2]]


def test_a_folder_that_cannot_be_made_closes_the_engine(make_policy, tmp_path):
    (tmp_path / "file").write_text("")
    engine = NanoEngine(None)
    config = defaults(sampling={"engine": "vllm", "server_adapters": str(tmp_path / "file")})
    with pytest.raises(ConfigError, match=r"sampling\.server_adapters .*name one"):
        over_engine(engine, make_policy(), config)
    assert engine.calls == ["close"]


def test_without_a_folder_for_adapters_a_temporary_one_is_used_and_removed(
    make_policy, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = NanoEngine(make_policy(randomize=False))
    sampler = over_engine(engine, make_policy(), defaults(sampling={"engine": "vllm"}))
    sampler.sample(request())
    (folder,) = tmp_path.iterdir()
    assert next(iter(engine.served.values())).folder == Path(folder / "000001" / "shared")
    sampler.close()
    assert list(tmp_path.iterdir()) == []
