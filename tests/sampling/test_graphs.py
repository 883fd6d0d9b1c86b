"""When a step is recorded and when it is replayed; the recording itself needs a card (tests/gpu)."""

import gc
import logging
import weakref

import pytest
import torch

from tinyzero.config import SamplingConfig
from tinyzero.sampling import decoding
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.graphs import Graphs
from tinyzero.sampling.rows import Shapes
from tinyzero.types import Prompt, Role, SamplingRequest


class Tape:
    """Stands in for a card: recording does not do the step, and replays are told apart."""

    def __init__(self, error=None):
        self.heard, self.error, self.failures = [], error, 0
        self.graphs = Graphs(self.record, self.fail)

    def record(self, step):
        if self.error:
            raise self.error
        self.heard.append("record")

        def replay():
            self.heard.append("replay")
            step()

        return replay

    def fail(self):
        self.failures += 1

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
    assert tape.failures == 1
    assert [record.getMessage() for record in caplog.records] == [
        "decoding without CUDA graphs, which is slower: recording failed "
        "(operation not permitted when stream is capturing)"
    ]


def test_no_memory_is_no_reason_to_go_on_without_graphs():
    tape = Tape(torch.OutOfMemoryError("CUDA out of memory"))
    tape.run(4, 8)
    with pytest.raises(torch.OutOfMemoryError):
        tape.run(4, 8)
    assert tape.failures == 0


def test_shapes_are_few_and_never_too_small():
    shapes = Shapes(max_rows=128, capacity=700)
    assert sorted({shapes.rows(count) for count in range(1, 129)}) == [
        1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128,
    ]  # fmt: skip
    assert sorted({shapes.window(slots) for slots in range(1, 701)}) == [256, 512, 700]
    for max_rows in range(1, 40):
        shapes = Shapes(max_rows=max_rows, capacity=700)
        assert all(count <= shapes.rows(count) <= max_rows for count in range(1, max_rows + 1))


@pytest.mark.parametrize("error", [None, RuntimeError("cannot")])
def test_replayed_steps_give_the_same_samples(make_policy, monkeypatch, error):
    policy, tape = make_policy(), Tape(error)
    monkeypatch.setattr(decoding, "on_cuda", lambda device: tape.record)
    prompts = tuple(Prompt(kind="deduction", text=text) for text in ("2+2", "f(x)", "why"))
    request = SamplingRequest(role=Role.SOLVER, prompts=prompts, num_samples=3, max_tokens=8, stream="s")
    config = SamplingConfig(batch_rows=4)
    sampler = BuiltinSampler(policy, config, seed=3, mode="graphs")
    expected = BuiltinSampler(policy, config, seed=3, mode="exact").sample(request)
    for _ in range(2):
        for ours, theirs in zip(sampler.sample(request), expected, strict=True):
            assert [one.token_ids for one in ours] == [other.token_ids for other in theirs]
    assert ("replay" in tape.heard) is (error is None)


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
