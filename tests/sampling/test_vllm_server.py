"""The server's engine, against a server on the loopback interface that answers as `vllm serve` does."""

import socket
import urllib.request

import pytest
from sampling.nano_engine import NanoEngine
from sampling.nano_server import NanoServer, serving
from settled import CARD, CPU, defaults

from tinyzero.errors import ConfigError, SamplerBroken
from tinyzero.sampling.choice import choose_sampler
from tinyzero.sampling.vllm.address import Address, Refused, Unreachable
from tinyzero.sampling.vllm.server import open_server, serve_command
from tinyzero.types import Prompt, Role, SamplingRequest

BASE = "/here/tiny"


def config_of(url, **sampling):
    settings = {"engine": "vllm", "server_url": url, "batch_rows": 4, **sampling}
    return defaults(model={"base": BASE}, policy={"rank": 4}, sampling=settings)


def request(*texts, num_samples=3, role=Role.SOLVER, max_tokens=6):
    prompts = tuple(Prompt(kind="deduction", text=text) for text in texts)
    return SamplingRequest(
        role=role, prompts=prompts, num_samples=num_samples, max_tokens=max_tokens, stream="1/solve"
    )


@pytest.fixture
def make_server(make_policy):
    """A server over a policy of its own, its address, and the configuration that names it."""
    running = []

    def make(*, context_tokens=512, **options):
        nano = NanoServer(NanoEngine(make_policy(randomize=False), context_tokens=context_tokens), **options)
        running.append(serving(nano))
        return nano, running[-1].__enter__()

    yield make
    for server in running:
        server.__exit__(None, None, None)


@pytest.fixture
def silent_server():
    """A server that is looked at only; it has no policy."""

    def open_at(nano, pauses=None, **sampling):
        with serving(nano) as url:
            return open_server(config_of(url, **sampling), BASE, url, pause=(pauses or []).append)

    return open_at


def sampler_at(url, policy, tmp_path, *, timeout_s=60.0, **sampling):
    config = config_of(url, server_adapters=str(tmp_path / "adapters"), **sampling)
    engine = open_server(config, BASE, url, pause=lambda _: None, timeout_s=timeout_s)
    from tinyzero.sampling.choice import over_engine

    return over_engine(engine, policy, config)


def test_a_server_answers_what_the_engine_behind_it_draws(make_server, make_policy, tmp_path):
    nano, url = make_server()
    policy = make_policy()
    sampler = sampler_at(url, policy, tmp_path)
    over_http = sampler.sample(request("2+2", "why?"))
    assert nano.loras == {one.name: str(one.folder) for one in nano.engine.served.values()}
    direct = NanoEngine(make_policy(randomize=False))
    from tinyzero.sampling.choice import over_engine

    other = over_engine(direct, policy, config_of(url, server_adapters=str(tmp_path / "others")))
    assert over_http == other.sample(request("2+2", "why?"))
    sampler.close()
    other.close()
    assert nano.loras == {}
    assert list((tmp_path / "adapters").iterdir()) == []


def test_every_sample_is_a_request_of_its_own_with_its_own_seed(make_server, make_policy, tmp_path):
    nano, url = make_server()
    sampler = sampler_at(url, make_policy(frozen_roles=[Role.PROPOSER]), tmp_path)
    sampler.sample(request("2+2", "why?", role=Role.PROPOSER))
    bodies = [body for _, path, body in nano.requests if path == "/v1/completions"]
    assert len(bodies) == len({body["seed"] for body in bodies}) == 6
    assert {body["model"] for body in bodies} == {nano.model}
    assert not any(path == "/v1/load_lora_adapter" for _, path, _ in nano.requests)
    sampler.sample(request("2+2"))
    (name,) = nano.loras
    assert nano.requests[-1][2]["model"] == name


def test_an_update_replaces_the_adapter_on_the_server(make_server, make_policy, tmp_path):
    nano, url = make_server()
    policy = make_policy()
    sampler = sampler_at(url, policy, tmp_path)
    sampler.sample(request("2+2"))
    (first,) = nano.loras
    policy.versions["shared"] += 1
    sampler.sample(request("2+2"))
    (second,) = nano.loras
    assert first.endswith("-shared-1")
    assert second.endswith("-shared-2")
    assert nano.loras[second].endswith("/000002/shared")


def test_the_question_at_the_start_are_four_and_none_of_them_computes(silent_server):
    nano = NanoServer(NanoEngine(None, context_tokens=300))
    engine = silent_server(nano)
    assert engine.context_tokens == 300
    assert [path for _, path, _ in nano.requests] == [
        "/health",
        "/version",
        "/v1/models",
        "/v1/unload_lora_adapter",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model": "/models/other"},
            r"serves /models/other, and this run trains /here/tiny; start it: .*vllm",
        ),
        ({"version": "0.9.2"}, r"is vllm 0\.9\.2; this needs 0\.31 or newer"),
        ({"version": "later"}, r"is vllm later; this needs"),
        ({"faults": ["no runtime lora"]}, r"takes no adapters while it runs; .*VLLM_ALLOW_RUNTIME_LORA_UPD"),
        ({"key": "secret"}, r"refused a question at the start: Unauthorized; .*server_key_file"),
    ],
)
def test_a_server_that_does_not_suit_is_refused_at_the_start(silent_server, options, message):
    with pytest.raises(SamplerBroken, match=message):
        silent_server(NanoServer(NanoEngine(None), **options))


@pytest.mark.parametrize("model", ["tiny", "someone/tiny", "/elsewhere/tiny/"])
def test_the_base_model_is_known_by_the_last_part_of_its_name(silent_server, model):
    assert silent_server(NanoServer(NanoEngine(None), model=model))._base == model


def test_a_key_is_read_from_a_file_and_sent(silent_server, tmp_path):
    (tmp_path / "key").write_text("secret\n")
    silent_server(NanoServer(NanoEngine(None), key="secret"), server_key_file=str(tmp_path / "key"))
    with pytest.raises(ConfigError, match=r"cannot read sampling\.server_key_file"):
        silent_server(NanoServer(NanoEngine(None)), server_key_file=str(tmp_path / "no-key"))


def test_no_server_is_said_with_the_command_that_starts_one():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        pauses = []
        with pytest.raises(SamplerBroken, match=rf"no vLLM answers at {url} \(.*\); start one: .*vllm serve"):
            open_server(config_of(url), BASE, url, pause=pauses.append)
    assert pauses == [0.5, 2.0, 8.0]


def test_trouble_of_the_server_s_own_is_tried_again(silent_server):
    nano, pauses = NanoServer(NanoEngine(None)), [0.0]
    nano.fail_next = [503, 500]
    silent_server(nano, pauses)
    assert pauses == [0.0, 0.5, 2.0]
    nano.fail_next = [500] * 4
    with pytest.raises(SamplerBroken, match="refused a question at the start: trouble"):
        silent_server(nano, [0.0])
    assert nano.fail_next == []


def test_a_refusal_is_not_tried_again(silent_server):
    nano, pauses = NanoServer(NanoEngine(None)), [0.0]
    nano.fail_next = [400]
    with pytest.raises(SamplerBroken, match="trouble"):
        silent_server(nano, pauses)
    assert pauses == [0.0]


def test_a_server_that_hangs_is_given_up(make_server, make_policy, tmp_path):
    _, url = make_server(faults=["hangs"])
    sampler = sampler_at(url, make_policy(), tmp_path, timeout_s=0.5)
    with pytest.raises(SamplerBroken, match=r"/v1/completions in 0\.5 s; lower sampling\.batch_rows"):
        sampler.sample(request("2+2", num_samples=1))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "rank too small",
            r"did not take .*LoRA rank 4 is greater than max_lora_rank 1; .*--max-lora-rank 8",
        ),
        ("adds a token", r"answers in a form that is not known \(.*the prompt was changed"),
    ],
)
def test_a_server_that_turns_out_not_to_suit_is_refused(make_server, make_policy, tmp_path, fault, message):
    _, url = make_server(faults=[fault])
    with pytest.raises(SamplerBroken, match=message):
        sampler_at(url, make_policy(), tmp_path).sample(request("2+2"))


def test_a_folder_that_the_server_cannot_see_is_said(make_server, make_policy, tmp_path, monkeypatch):
    nano, url = make_server()
    monkeypatch.setattr(nano, "load_lora_adapter", lambda body: nano.__class__.load_lora_adapter(
        nano, {**body, "lora_path": "/not/there"}
    ))  # fmt: skip
    with pytest.raises(SamplerBroken, match=r"No adapter found .*sampling\.server_adapters"):
        sampler_at(url, make_policy(), tmp_path).sample(request("2+2"))


def test_an_adapter_whose_answer_was_lost_counts_as_loaded(make_server, make_policy, tmp_path, monkeypatch):
    nano, url = make_server()
    load, lost = nano.load_lora_adapter, [True]

    def load_and_lose_the_answer(body):
        answer = load(body)
        return (503, None) if lost.pop() else answer

    monkeypatch.setattr(nano, "load_lora_adapter", load_and_lose_the_answer)
    lost[:] = [False, True]
    assert sampler_at(url, make_policy(), tmp_path).sample(request("2+2"))
    assert len(nano.loras) == 1


def test_a_server_with_too_short_a_context_is_refused(make_server, make_policy, tiny_model_folder):
    _, url = make_server(context_tokens=100, model=str(tiny_model_folder))
    settings = {"engine": "vllm", "server_url": url}
    config = defaults(model={"base": str(tiny_model_folder)}, sampling=settings)
    make = choose_sampler(config)
    with pytest.raises(SamplerBroken, match=r"takes 100 tokens, and this run has up to 512; start it like"):
        make(make_policy(), config)


def test_proxies_of_the_environment_and_redirects_are_not_followed(make_server, monkeypatch):
    nano, url = make_server()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert urllib.request.getproxies()["http"].endswith(":9")
    address = Address(url, timeout_s=5, pause=lambda _: None)
    assert address.get("/version") == {"version": "0.31.0"}
    nano.fail_next = [302]
    with pytest.raises(Refused) as refused:
        address.get("/version")
    assert refused.value.status == 302


def test_what_is_no_http_is_no_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        address = Address(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.2)
        with pytest.raises(Unreachable, match=r"did not answer /health in 0\.2 s"):
            address.get("/health")


def test_the_command_line_fits_the_run():
    config = defaults(
        policy={"rank": 24, "adapters": "per-role"},
        model={"quantization": "nf4", "dtype": "float16", "revision": "abc"},
        sampling={"engine": "vllm", "server_url": "http://h:1", "max_prompt_tokens": 1000},
        selfplay={"proposal_tokens": 200, "answer_tokens": 300},
    )
    assert serve_command(config, "a/b") == (
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 VLLM_NO_USAGE_STATS=1 vllm serve a/b --enable-lora "
        "--max-lora-rank 32 --max-cpu-loras 3 --max-model-len 1300 --logprobs-mode processed_logprobs "
        "--generation-config vllm --quantization bitsandbytes --dtype float16 --revision abc"
    )


def test_a_base_that_is_trained_on_a_cpu_is_in_4_bit_nowhere():
    sampling = {"engine": "vllm", "server_url": "http://h:1"}
    assert "bitsandbytes" not in serve_command(defaults(CPU, sampling=sampling), "a/b")
    assert "bitsandbytes" in serve_command(defaults(CARD, sampling=sampling), "a/b")
