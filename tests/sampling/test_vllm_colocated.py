"""vLLM on this card, with a module of the same signatures in its place."""

import os
import signal
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from sampling.fake_vllm import FakeVllm, VLLMError
from sampling.nano_engine import NanoEngine
from settled import CARD, defaults

from tinyzero.config import VLLM_RANKS
from tinyzero.errors import ConfigError, OutOfMemory, SamplerBroken
from tinyzero.learning.scoring import score_completions
from tinyzero.sampling.canary import check_sampler
from tinyzero.sampling.choice import (
    VllmSupport,
    builtin_sampler,
    check_colocated,
    choose_sampler,
    over_engine,
)
from tinyzero.sampling.vllm.colocated import llm_arguments, open_colocated
from tinyzero.sampling.vllm.engine import lora_rank_for
from tinyzero.types import Prompt, Role, SamplingRequest

GIB = 2**30
ALL_THERE = VllmSupport(version="0.31.0", has_nf4=True, has_cuda=True)


def config_of(**sections):
    settings = {"sampling": {"engine": "vllm", "vllm_gib": 6.0, **sections.pop("sampling", {})}, **sections}
    return defaults(CARD, **settings)


def request(*, role=Role.SOLVER, temperature=1.0):
    prompts = (Prompt(kind="deduction", text="2+2"),)
    return SamplingRequest(
        role=role, prompts=prompts, num_samples=2, max_tokens=6, stream="1/solve", temperature=temperature
    )


@pytest.fixture
def card(monkeypatch):
    """A card of 24 GiB of which 16 are free."""
    room = SimpleNamespace(free=16 * GIB, total=24 * GIB)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (room.free, room.total))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return room


@pytest.fixture
def fake(make_policy, monkeypatch):
    return FakeVllm(NanoEngine(make_policy(randomize=False))).install(monkeypatch)


@pytest.fixture
def make_sampler(fake, card, make_policy, tmp_path):
    def make(**options):
        policy = make_policy(**options)
        config = config_of(
            policy={"rank": 4}, sampling={"server_adapters": str(tmp_path / "adapters"), "batch_rows": 8}
        )
        return over_engine(open_colocated(config, policy), policy, config), policy

    return make


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_its_answers_are_those_of_the_policy(make_sampler, temperature):
    sampler, policy = make_sampler(temperature=temperature, frozen_roles=[Role.PROPOSER])
    score = partial(score_completions, policy)
    assert check_sampler(sampler, score, engine="vllm", temperature=temperature).mean < 1e-5


def test_the_whole_distribution_is_asked_for_with_a_seed_for_each(make_sampler, fake):
    sampler, policy = make_sampler()
    sampler.sample(request(temperature=0.7))
    first, second = fake.parameters
    assert first.seed != second.seed
    for asked in (first, second):
        assert (asked.n, asked.temperature, asked.top_p, asked.top_k, asked.min_p) == (1, 0.7, 1.0, 0, 0)
        assert (asked.logprobs, asked.detokenize, asked.ignore_eos) == (0, False, True)
        assert (asked.max_tokens, asked.stop_token_ids) == (6, sorted(policy.stop_ids))
        assert (asked.repetition_penalty, asked.frequency_penalty, asked.presence_penalty) == (1, 0, 0)


def test_it_sleeps_when_told_to_and_wakes_for_the_next_request(make_sampler, fake):
    sampler, policy = make_sampler()
    sampler.sample(request())
    sampler.sleep()
    sampler.sleep()
    policy.versions["shared"] += 1
    sampler.sample(request())
    sampler.sleep()
    sampler.close()
    assert fake.log == [
        "LLM", "add_lora 1", "generate", "sleep 1", "wake_up", "add_lora 2", "remove_lora 1", "generate",
        "sleep 1", "shutdown",
    ]  # fmt: skip


def test_the_card_is_cleared_before_it_wakes(fake, card, make_policy, monkeypatch):
    policy, order = make_policy(), []
    monkeypatch.setattr("tinyzero.sampling.vllm.colocated.release_memory", lambda: order.append("release"))
    engine = open_colocated(config_of(), policy)
    monkeypatch.setattr(fake, "note", order.append)
    engine.sleep()
    engine.generate([], adapter=None, temperature=1.0, stop_ids=())
    assert order == ["release", "sleep 1", "release", "wake_up", "generate"]


def test_the_base_is_the_one_that_is_trained(tiny_model_folder):
    config = config_of(
        model={"base": str(tiny_model_folder), "revision": "abc", "quantization": "nf4"},
        policy={"rank": 20},
        run={"seed": 3},
        sampling={"batch_rows": 48, "cuda_graphs": False, "max_prompt_tokens": 100},
        selfplay={"proposal_tokens": 50, "answer_tokens": 70},
    )
    asked = partial(llm_arguments, dtype="bfloat16", num_adapters=2, share=0.25)
    assert asked(config, context_tokens=4096) == {
        "model": str(tiny_model_folder),
        "revision": "abc",
        "tokenizer_revision": "abc",
        "trust_remote_code": False,
        "dtype": "bfloat16",
        "quantization": "bitsandbytes",
        "max_model_len": 170,
        "max_num_seqs": 48,
        "gpu_memory_utilization": 0.25,
        "enforce_eager": True,
        "enable_lora": True,
        "max_lora_rank": 32,
        "max_loras": 1,
        "max_cpu_loras": 3,
        "enable_sleep_mode": True,
        "logprobs_mode": "processed_logprobs",
        "generation_config": "vllm",
        "seed": 3,
        "use_tqdm_on_load": False,
    }
    assert asked(config, context_tokens=128)["max_model_len"] == 128
    plain = config_of(model={"base": str(tiny_model_folder), "quantization": "none"})
    assert asked(plain, context_tokens=128)["quantization"] is None


def test_the_share_of_the_card_is_what_was_allowed_in_gib(fake, card, make_policy):
    engine = open_colocated(config_of(), make_policy())
    assert fake.arguments["gpu_memory_utilization"] == 0.25
    assert fake.arguments["dtype"] == "float32"
    assert engine.context_tokens == fake.arguments["max_model_len"] == 512


def test_a_card_without_the_room_is_said_before_anything_is_loaded(fake, card, make_policy):
    card.free = 5 * GIB
    with pytest.raises(
        OutOfMemory, match=r"vllm_gib is 6, and 5\.0 of the card's 24\.0 GiB are free .*lower"
    ):
        open_colocated(config_of(), make_policy())
    assert fake.log == []


def test_it_sends_no_statistics_and_leaves_standard_output_alone(fake, card, make_policy):
    os.environ["VLLM_NO_USAGE_STATS"] = "0"
    open_colocated(config_of(), make_policy())
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"
    assert os.environ["VLLM_LOGGING_STREAM"] == "ext://sys.stderr"


def test_its_process_does_not_hear_ctrl_c(fake, card, make_policy, monkeypatch):
    """A blocked signal stays blocked in what is started meanwhile, and only there."""
    blocked = []
    monkeypatch.setattr(
        fake, "note", lambda _: blocked.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    )
    open_colocated(config_of(), make_policy())
    assert blocked == [True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("error", [ValueError("No available memory\nand more"), VLLMError("engine is dead.")])
@pytest.mark.parametrize("call", ["LLM", "add_lora", "generate", "sleep", "wake_up"])
def test_what_vllm_raises_is_told_in_one_line(make_sampler, fake, call, error):
    def sample_twice():
        sampler, _ = make_sampler()
        for _ in range(2):
            sampler.sample(request())
            sampler.sleep()

    fake.fails = {call: error}
    reason = str(error).splitlines()[0].rstrip(".")
    with pytest.raises(SamplerBroken, match=f"vLLM on this card failed: {reason}; .*set sampling.engine to"):
        sample_twice()
    assert fake.log[-1].startswith(call)


def test_our_own_mistakes_stay_ours(make_sampler, fake):
    fake.fails = {"generate": KeyError("x")}
    sampler, _ = make_sampler()
    with pytest.raises(KeyError):
        sampler.sample(request())


def test_a_shutdown_that_fails_does_not_hide_what_came_before(make_sampler, fake, caplog):
    sampler, _ = make_sampler()
    fake.fails = {"shutdown": RuntimeError("gone already")}
    sampler.close()
    assert "gone already" in caplog.text


@pytest.mark.parametrize(
    ("found", "settings", "message"),
    [
        ({"has_cuda": False}, {}, r"needs a CUDA card .*sampling\.server_url"),
        ({}, {"hardware": {"device": "cpu"}}, r"needs a CUDA card"),
        ({"version": None}, {}, r"not installed; pip install -e '.\[vllm\]'"),
        ({"version": "0.33.0"}, {}, r"vllm 0\.33\.0 is installed, and only 0\.31 is known .*pip install"),
        ({"version": "0.3.1"}, {}, r"vllm 0\.3\.1 is installed"),
        ({"has_nf4": False}, {}, r"in 4 bit, which vLLM reads with vllm-bnb-plugin"),
    ],
)
def test_what_this_machine_lacks_is_said_in_one_line(found, settings, message):
    there = VllmSupport(**{**{name: getattr(ALL_THERE, name) for name in VllmSupport.__slots__}, **found})
    with pytest.raises(ConfigError, match=message) as told:
        check_colocated(config_of(**settings), there)
    assert "\n" not in str(told.value)
    check_colocated(config_of(), ALL_THERE)


def test_without_4_bit_weights_the_plugin_is_not_needed():
    there = VllmSupport(version="0.31.2", has_nf4=False, has_cuda=True)
    check_colocated(config_of(model={"quantization": "none"}), there)


def test_the_engine_is_chosen_by_name(monkeypatch):
    assert choose_sampler(defaults()) is builtin_sampler
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs a CUDA card"):
        choose_sampler(config_of())


def test_a_rank_of_ours_has_one_of_theirs():
    assert [lora_rank_for(rank) for rank in (1, 2, 8, 16, 17, 300, 512)] == [1, 8, 8, 16, 32, 320, 512]
    assert tuple(sorted(VLLM_RANKS)) == VLLM_RANKS


def test_a_4_bit_base_in_float16_is_refused_since_vllm_would_compute_another():
    with pytest.raises(ConfigError, match=r"bfloat16 whatever the type; set model\.quantization to none"):
        check_colocated(config_of(model={"dtype": "float16", "quantization": "nf4"}), ALL_THERE)
    check_colocated(config_of(model={"dtype": "float16", "quantization": "none"}), ALL_THERE)
    check_colocated(config_of(model={"dtype": "bfloat16", "quantization": "nf4"}), ALL_THERE)
