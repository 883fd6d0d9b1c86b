"""When a step is recorded and when it is replayed; the recording itself needs a card (tests/gpu)."""

import gc
import logging
import weakref

import pytest
import torch

from tinyzero.config import SamplingConfig
from tinyzero.sampling import builtin, decoding
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.graphs import Graphs
from tinyzero.sampling.rows import Shapes
from tinyzero.sampling.workspace import Size
from tinyzero.types import Prompt, Resident, Role, SamplingRequest


class Tape:
    """Stands in for a card: recording does not do the step, and replays are told apart."""

    def __init__(self, error=None):
        self.heard, self.error = [], error
        self.graphs = Graphs(self.record)

    def record(self, step):
        if self.error:
            raise self.error
        self.heard.append("record")

        def replay():
            self.heard.append("replay")
            step()

        return replay

    def run(self, *shape):
        self.graphs.run(lambda rows, window: self.heard.append((rows, window)), *shape)


def test_a_shape_is_computed_then_recorded_then_replayed():
    tape = Tape()
    for shape in ((4, 8), (4, 8), (2, 8), (4, 8), (2, 8)):
        tape.run(*shape)
    assert tape.heard == [
        (4, 8), "record", "replay", (4, 8), (2, 8), "replay", (4, 8), "record", "replay", (2, 8),
    ]  # fmt: skip


def test_where_recording_fails_every_step_is_computed_and_one_line_says_so(caplog):
    tape = Tape(RuntimeError("operation not permitted when stream is capturing\nmore"))
    with caplog.at_level(logging.WARNING):
        for shape in ((4, 8), (4, 8), (2, 8), (2, 8)):
            tape.run(*shape)
    assert tape.heard == [(4, 8), (4, 8), (2, 8), (2, 8)]
    assert tape.graphs.has_failed
    assert [record.getMessage() for record in caplog.records] == [
        "decoding without CUDA graphs, which is slower: recording failed "
        "(operation not permitted when stream is capturing)"
    ]


def test_without_memory_for_a_recording_the_step_is_computed_and_earlier_recordings_go():
    tape = Tape()
    for shape in ((4, 8), (4, 8), (4, 16)):
        tape.run(*shape)
    held = weakref.ref(next(iter(tape.graphs._replays.values())))
    tape.error = torch.OutOfMemoryError("CUDA out of memory")
    tape.run(4, 16)
    assert tape.heard[-1] == (4, 16)
    assert tape.graphs.has_failed
    assert held() is None
    tape.run(4, 8)
    assert tape.heard[-2:] == [(4, 16), (4, 8)]


def test_shapes_are_few_and_never_too_small():
    shapes = Shapes(max_rows=128, capacity=700)
    assert sorted({shapes.rows(count) for count in range(1, 129)}) == [
        1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128,
    ]  # fmt: skip
    assert sorted({shapes.window(slots) for slots in range(1, 701)}) == [256, 512, 700]
    for max_rows in range(1, 40):
        shapes = Shapes(max_rows=max_rows, capacity=700)
        assert all(count <= shapes.rows(count) <= max_rows for count in range(1, max_rows + 1))


@pytest.fixture
def tape(monkeypatch):
    """A card that records, for all samplers of a test."""
    tape = Tape()
    monkeypatch.setattr(builtin, "on_cuda", lambda device: tape.record)
    return tape


def request(samples=3, tokens=8, texts=("2+2", "f(x)", "why"), **options):
    prompts = tuple(Prompt(kind="deduction", text=text) for text in texts)
    options = {"role": Role.SOLVER, "stream": "s", **options}
    return SamplingRequest(prompts=prompts, num_samples=samples, max_tokens=tokens, **options)


def ids_of(completions):
    return [[one.token_ids for one in samples] for samples in completions]


CONFIG = SamplingConfig(batch_rows=4)
ERRORS = [None, RuntimeError("cannot"), torch.OutOfMemoryError("CUDA out of memory")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_replayed_steps_give_the_same_samples(make_policy, tape, error):
    policy, tape.error = make_policy(), error
    sampler = BuiltinSampler(policy, CONFIG, seed=3, mode="graphs")
    expected = ids_of(BuiltinSampler(policy, CONFIG, seed=3, mode="exact").sample(request()))
    for _ in range(2):
        assert ids_of(sampler.sample(request())) == expected
    assert ("replay" in tape.heard) is (error is None)
    assert sampler.mode == ("graphs" if error is None else "exact")
    assert sampler.metrics() == {"sampling/without_graphs": float(error is not None)}


def test_requests_of_one_shape_share_what_was_recorded(make_policy, tape):
    policy = make_policy()
    sampler = BuiltinSampler(policy, CONFIG, seed=3, mode="graphs")
    sampler.sample(request())
    recorded = tape.heard.count("record")
    assert recorded > 0
    others = [
        request(),
        request(samples=2, tokens=5),
        request(texts=("a longer prompt than those before",) * 2),
    ]
    for asked in others:
        exact = BuiltinSampler(policy, CONFIG, seed=3, mode="exact")
        assert ids_of(sampler.sample(asked)) == ids_of(exact.sample(asked))
    repeated = tape.heard.count("record") - recorded
    tape.heard.clear()
    for asked in others:
        sampler.sample(asked)
    assert "record" not in tape.heard
    assert repeated < recorded * len(others)


@pytest.mark.parametrize("other", [{"temperature": 0.5}, {"role": None}], ids=str)
def test_a_recording_is_for_its_temperature_and_its_adapter(make_policy, tape, other):
    policy = make_policy()
    sampler = BuiltinSampler(policy, CONFIG, seed=3, mode="graphs")
    exact = BuiltinSampler(policy, CONFIG, seed=3, mode="exact")
    for asked in (request(), request(**other), request(), request(**other)):
        assert ids_of(sampler.sample(asked)) == ids_of(exact.sample(asked))


def test_another_set_of_end_tokens_is_heeded(make_policy, tape):
    policy = make_policy()
    sampler = BuiltinSampler(policy, CONFIG, seed=3, mode="graphs")
    before = ids_of(sampler.sample(request(tokens=16)))
    policy.stop_ids = frozenset({*policy.stop_ids, *range(0, 90, 2)})
    exact = BuiltinSampler(policy, CONFIG, seed=3, mode="exact")
    after = ids_of(sampler.sample(request(tokens=16)))
    assert after == ids_of(exact.sample(request(tokens=16)))
    assert after != before


def test_a_sampler_that_sleeps_holds_no_memory_of_requests(make_policy, tape):
    sampler = BuiltinSampler(make_policy(), CONFIG, seed=3, mode="graphs")
    assert isinstance(sampler, Resident)
    sampler.sample(request())
    store = weakref.ref(sampler._workspace.store)
    sampler.sleep()
    gc.collect()  # this tape keeps the steps that it recorded
    assert store() is None
    assert ids_of(sampler.sample(request()))


def test_memory_of_requests_is_what_the_plan_counts_and_no_more(make_policy, tape):
    """Rows of the longest sequence of the run; a sampler of the longest context plans none."""
    sampler = BuiltinSampler(
        make_policy(), SamplingConfig(batch_rows=4, max_prompt_tokens=40), 3, mode="graphs"
    )
    sampler.sample(request())
    assert sampler._workspace.size == Size(rows=4, slots=48, budget=8)
    sampler.sample(request(tokens=12))
    assert sampler._workspace.size == Size(rows=4, slots=52, budget=12)
    longer = sampler.reaching(500)
    longer.sample(request())
    assert longer._workspace is None


def test_a_text_that_is_streamed_is_not_disturbed_by_another_request(make_policy, tape):
    policy = make_policy()
    sampler = BuiltinSampler(policy, CONFIG, seed=3, mode="graphs")
    ask = {"max_tokens": 12, "temperature": 1.0, "stream": "chat"}
    ids = policy.encode(Prompt(kind="deduction", text="2+2"))
    alone = "".join(sampler.stream(Role.SOLVER, ids, **ask))
    pieces = []
    for piece in sampler.stream(Role.SOLVER, ids, **ask):
        pieces.append(piece)
        sampler.sample(request())
    assert "".join(pieces) == alone
    assert len(pieces) > 1


def test_a_sampler_that_records_nothing_says_nothing(make_policy):
    assert BuiltinSampler(make_policy(), CONFIG, seed=3).metrics() == {}


def test_a_finished_request_leaves_its_memory_at_once(make_policy):
    gc.collect()
    gc.disable()
    try:
        policy = make_policy()
        prompt = Prompt(kind="deduction", text="2+2")
        request = SamplingRequest(
            role=Role.SOLVER, prompts=(prompt,), num_samples=2, max_tokens=4, stream="s"
        )
        with torch.inference_mode():
            going = decoding.Decoding(
                policy, SamplingConfig(), 0, request, [tuple(policy.encode(prompt))], mode="static"
            )
            going.run()
        store = weakref.ref(going._store)
        del going
        assert store() is None
    finally:
        gc.enable()
