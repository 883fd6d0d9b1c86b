"""Several servers: samples are spread, and a server that is lost is left out and comes back."""

from functools import partial

import pytest
from sampling.nano_engine import NanoEngine
from sampling.nano_server import NanoServer, serving
from settled import defaults

from tinyzero.config import load_config
from tinyzero.errors import ConfigError, SamplerBroken
from tinyzero.sampling.choice import over_engine
from tinyzero.sampling.vllm.fleet import ServerFleet
from tinyzero.sampling.vllm.server import open_server
from tinyzero.types import Prompt, Role, SamplingRequest

BASE = "/here/tiny"
NOBODY = "http://127.0.0.1:9"


def request(num_samples=6):
    return SamplingRequest(
        role=Role.SOLVER,
        prompts=tuple(Prompt(kind="deduction", text=text) for text in ("2+2", "why?")),
        num_samples=num_samples,
        max_tokens=4,
        stream="1/solve",
    )


class Fleet:
    """Servers over policies of their own, and a sampler that asks them all; its clock stands still."""

    def __init__(self, make_policy, tmp_path):
        self.make_policy, self.tmp_path, self.now = make_policy, tmp_path, 0.0
        self.servers, self.contexts = [], []

    def start(self, **options):
        nano = NanoServer(NanoEngine(self.make_policy(randomize=False)), **options)
        self.contexts.append(serving(nano))
        self.servers.append(nano)
        return self.contexts[-1].__enter__()

    def sampler(self, urls):
        settings = {"engine": "vllm", "server_url": urls, "batch_rows": 2}
        config = defaults(
            model={"base": BASE},
            policy={"rank": 4},
            sampling={**settings, "server_adapters": str(self.tmp_path / "adapters")},
        )
        open_at = partial(open_server, config, BASE, pause=lambda _: None, timeout_s=60.0)
        engine = ServerFleet(config.sampling.server_urls, open_at, clock=lambda: self.now)
        return over_engine(engine, self.make_policy(), config)


@pytest.fixture
def fleet(make_policy, tmp_path):
    fleet = Fleet(make_policy, tmp_path)
    yield fleet
    for context in fleet.contexts:
        context.__exit__(None, None, None)


def asked(nano):
    return [body for _, path, body in nano.requests if path == "/v1/completions"]


def tokens(groups):
    return [[completion.token_ids for completion in group] for group in groups]


def lose(nano, *, while_serving=False):
    """From now on it answers nothing but errors of its own."""
    nano.fail_next = [503] * 10_000
    if while_serving:
        nano.fail_next = []
        completions = nano.completions

        def die(body):
            nano.completions = completions
            lose(nano)
            return 503, None

        nano.completions = die


def test_every_sample_is_drawn_once_by_some_server_and_is_the_one_that_a_single_server_draws(fleet):
    urls = [fleet.start(), fleet.start()]
    alone = tokens(fleet.sampler(urls[:1]).sample(request()))
    for nano in fleet.servers:
        nano.requests.clear()
    assert tokens(fleet.sampler(urls).sample(request())) == alone
    seeds = [body["seed"] for nano in fleet.servers for body in asked(nano)]
    assert len(seeds) == len(set(seeds)) == 12
    assert all(asked(nano) for nano in fleet.servers)


def test_a_server_that_dies_is_left_out_and_comes_back_with_the_adapters(fleet, caplog):
    urls = [fleet.start(), fleet.start()]
    sampler = fleet.sampler(urls)
    expected = tokens(sampler.sample(request()))
    first, second = fleet.servers
    lose(second, while_serving=True)
    assert tokens(sampler.sample(request())) == expected
    assert f"goes on without the vLLM at {urls[1]}" in caplog.text
    first.requests.clear()
    second.requests.clear()
    assert tokens(sampler.sample(request())) == expected
    assert (len(asked(first)), second.requests) == (12, [])
    second.fail_next, second.loras = [], {}  # it was started again, and knows no adapter
    fleet.now += 61
    assert tokens(sampler.sample(request())) == expected
    assert second.loras == first.loras != {}
    assert asked(second)
    assert f"the vLLM at {urls[1]} is back" in caplog.text


def test_a_server_that_is_not_there_at_the_start_may_come_later(fleet, caplog):
    sampler = fleet.sampler([NOBODY, fleet.start()])
    assert "goes on without the vLLM at http://127.0.0.1:9" in caplog.text
    assert len(tokens(sampler.sample(request()))) == 2


def test_the_run_ends_where_no_server_is_left(fleet):
    urls = [fleet.start(), fleet.start()]
    sampler = fleet.sampler(urls)
    sampler.sample(request())
    for nano in fleet.servers:
        lose(nano)
    with pytest.raises(SamplerBroken, match="no vLLM is left, the last one since "):
        sampler.sample(request())
    with pytest.raises(SamplerBroken, match=r"no vLLM is left.*start one: .*vllm serve"):
        fleet.sampler([NOBODY, "http://127.0.0.1:10"])


def test_a_server_that_cannot_serve_the_run_is_refused_at_the_start(fleet):
    with pytest.raises(SamplerBroken, match="serves /models/other, and this run trains /here/tiny"):
        fleet.sampler([fleet.start(), fleet.start(model="/models/other")])


def test_addresses_are_a_list_of_distinct_ones():
    set_to = '["http://a:8000", "http://b:8000"]'
    config = load_config("nano-cpu", ["sampling.engine=vllm", f"sampling.server_url={set_to}"])
    assert config.sampling.server_urls == ("http://a:8000", "http://b:8000")
    for wrong, message in [
        ('["http://a:8000", "b"]', r'server_url is "b"; it must be like'),
        ('["http://a:8000", "http://a:8000"]', "each address once, and at least one"),
        ("[]", "each address once, and at least one"),
    ]:
        with pytest.raises(ConfigError, match=message):
            load_config("nano-cpu", ["sampling.engine=vllm", f"sampling.server_url={wrong}"])
