"""Estimates the time of a step: a roofline model for decoding, operations for learning. Pure arithmetic.

Not included: the programs, which run on the CPU, and compilation in the first step. These estimates were not
measured on a card yet: each is computed with and without CUDA graphs, and between two sets of assumptions.
"""

import math
from dataclasses import dataclass

from tinyzero.config import Config, Settled, SettledModel
from tinyzero.machine.cards import Card
from tinyzero.machine.memory import KERNELS_PER_LAYER, NF4_BYTES, adapter_gib, number_bytes
from tinyzero.machine.shapes import ModelShape
from tinyzero.machine.workload import measured_answers, workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is taken for granted of a card and its host.

    Attributes:
        bandwidth, decoding, learning: shares of the card's nominal bandwidth, of its operations in large
            batches of single tokens, and of its operations in a micro-batch.
        launch_s: the host's time to start a kernel, in Python, torch and the driver.
        kernel_s: the card's time for the smallest kernel, which a CUDA graph starts.
    """

    bandwidth: float
    decoding: float
    learning: float
    launch_s: float
    kernel_s: float


LIKELY = Assumptions(bandwidth=0.7, decoding=0.5, learning=0.35, launch_s=12e-6, kernel_s=3e-6)
_BEST = Assumptions(bandwidth=0.85, decoding=0.65, learning=0.45, launch_s=8e-6, kernel_s=2e-6)
_WORST = Assumptions(bandwidth=0.5, decoding=0.3, learning=0.2, launch_s=16e-6, kernel_s=5e-6)

LINK_GB_S = 8.0
"""Assumed between cards, each way: PCIe 3.0 with 16 lanes, at half of its nominal figure. Not measured."""

# Above about 64 rows, bitsandbytes unpacks 4-bit weights and multiplies as usual: it reads them, writes and
# reads the result (thresholds by card: bitsandbytes.backends.cuda.ops).
_FUSED_ROWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds of one step."""

    propose_s: float
    solve_s: float
    learn_s: float

    @property
    def total_s(self) -> float:
        return self.propose_s + self.solve_s + self.learn_s


def step_time(
    config: Settled,
    shape: ModelShape,
    card: Card,
    assumed: Assumptions = LIKELY,
    *,
    ranks: int = 1,
    has_graphs: bool = False,
) -> StepTime | None:
    """The seconds of a step on a card; None for one of unknown speed.

    Args:
        ranks: cards of this kind that play the step together; a card takes one of as many equal shares.
        has_graphs: decoding steps are replayed as CUDA graphs.
    """
    if card.bandwidth_gb_s is None or card.tflops is None:
        return None
    load, selfplay = workload(config), config.selfplay
    counts, speed = load.counts, _Speed(card=card, assumed=assumed, has_graphs=has_graphs)
    proposals, answers = (math.ceil(count / ranks) for count in (counts.proposals, counts.answers))
    return StepTime(
        propose_s=_prefill_s(shape, speed, counts.proposer_prompts * load.prompt_tokens / ranks)
        + _decode_s(config, shape, speed, proposals, load.proposal_tokens, selfplay.proposal_tokens),
        solve_s=_prefill_s(shape, speed, counts.tasks * load.prompt_tokens / ranks)
        + _decode_s(config, shape, speed, answers, load.answer_tokens, selfplay.answer_tokens),
        learn_s=learning_operations(config, shape) / ranks / speed.learning_flops,
    )


def exchange_s(config: Settled, shape: ModelShape, ranks: int) -> float:
    """Seconds of a step in which the gradients of all adapters go between `ranks` cards and are summed.

    Each card sends and receives all but its own part of them twice: to be added, and to be handed out.
    """
    gradients = adapter_gib(config, shape)["adapters"] * 2**30 * config.learner.updates_per_round
    return 2 * (ranks - 1) / ranks * gradients / (LINK_GB_S * 1e9)


def step_range_s(config: Settled, shape: ModelShape, card: Card) -> tuple[float, float] | None:
    """The seconds of a step if all goes well, and if all goes badly; None for a card of unknown speed.

    The best has CUDA graphs where the configuration does, and the worst has none.
    """
    best = step_time(config, shape, card, _BEST, has_graphs=config.sampling.cuda_graphs)
    worst = step_time(config, shape, card, _WORST)
    return (best.total_s, worst.total_s) if best and worst else None


def measuring_s(
    config: Settled, shape: ModelShape, card: Card, num_tasks: int, *, has_graphs: bool = False
) -> float | None:
    """The seconds of all measurements of a run on its held-out tasks; None for a card of unknown speed."""
    if card.bandwidth_gb_s is None or card.tflops is None or not num_tasks:
        return None if num_tasks else 0.0
    load, budget = workload(config), config.selfplay.answer_tokens
    speed = _Speed(card=card, assumed=LIKELY, has_graphs=has_graphs)
    return sum(
        count
        * (
            _prefill_s(shape, speed, answers * load.prompt_tokens)
            + _decode_s(config, shape, speed, answers, load.answer_tokens, budget)
        )
        for count, answers in measured_answers(config, num_tasks)
    )


def token_step_s(
    model: SettledModel,
    shape: ModelShape,
    card: Card,
    assumed: Assumptions = LIKELY,
    *,
    rows: int,
    context: int,
    has_graphs: bool = False,
) -> float:
    """Seconds for one more token in every row: the slowest of memory traffic, operations and kernel starts.

    Args:
        context: number of earlier tokens that each row attends to.
    """
    multiplied = shape.linear_weights + shape.head_weights
    speed = _Speed(card=card, assumed=assumed, has_graphs=has_graphs)
    memory_s = bytes_read(model, shape, rows, context) / speed.bandwidth
    compute_s = 2 * multiplied * rows / speed.decoding_flops
    return max(memory_s, compute_s, shape.layers * KERNELS_PER_LAYER * speed.kernel_s)


def learning_operations(config: Config, shape: ModelShape) -> float:
    """Floating-point operations of the updates of one round, over all completions that train.

    A pass through a matrix takes two operations per weight and token. The base is frozen, so the backward
    pass is one more pass, not two; recomputation is another, and so is the reference for learner.kl_coef. The
    fused head recomputes its logits in the backward pass. A prompt is computed once for all its answers.
    """
    load = workload(config)
    completions, prompts = load.trained_tokens, load.counts.trained_prompts
    reference = 1 if config.learner.kl_coef > 0 else 0
    passes = 2 + reference + (1 if config.model.gradient_checkpointing else 0)
    tokens = completions + prompts * load.prompt_tokens
    layers = 2.0 * shape.linear_weights * passes * tokens
    head = 2.0 * shape.head_weights * (3 + reference) * completions
    return config.learner.updates_per_round * (layers + head)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speed:
    """A card of known speed, and what is assumed of it."""

    card: Card
    assumed: Assumptions
    has_graphs: bool

    @property
    def bandwidth(self) -> float:
        assert self.card.bandwidth_gb_s is not None  # noqa: S101
        return self.assumed.bandwidth * self.card.bandwidth_gb_s * 1e9

    @property
    def decoding_flops(self) -> float:
        return self.assumed.decoding * self._flops

    @property
    def learning_flops(self) -> float:
        return self.assumed.learning * self._flops

    @property
    def kernel_s(self) -> float:
        """The least time that a kernel of a decoding step takes."""
        return self.assumed.kernel_s if self.has_graphs else self.assumed.launch_s

    @property
    def _flops(self) -> float:
        assert self.card.tflops is not None  # noqa: S101
        return self.card.tflops * 1e12


def _prefill_s(shape: ModelShape, speed: _Speed, tokens: float) -> float:
    return 2 * shape.linear_weights * tokens / speed.learning_flops


def _decode_s(
    config: Settled, shape: ModelShape, speed: _Speed, completions: int, mean_tokens: int, budget: int
) -> float:
    """Finished rows are refilled, so a round takes tokens / rows steps, or those of its longest answer."""
    rows = min(config.sampling.batch_rows, completions)
    token_steps = max(budget, completions * mean_tokens / rows)
    context = workload(config).prompt_tokens + mean_tokens // 2
    return token_steps * token_step_s(
        config.model,
        shape,
        speed.card,
        speed.assumed,
        rows=rows,
        context=context,
        has_graphs=speed.has_graphs,
    )


def bytes_read(model: SettledModel, shape: ModelShape, rows: int, context: int) -> float:
    """Bytes of weights, keys and values that a decoding step reads, and writes where it unpacks weights."""
    size = number_bytes(model)
    linear: float = size
    if model.is_4_bit:
        linear = NF4_BYTES + (0 if rows <= _FUSED_ROWS else 2 * size)
    weights = shape.linear_weights * linear + shape.head_weights * size
    return weights + rows * context * shape.kv_numbers_per_token * size
