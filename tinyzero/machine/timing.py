"""Estimates the time of a step: a roofline model for decoding, operations for learning. Pure arithmetic.

Not included: the programs, which run on the CPU, and compilation in the first step. These estimates were not
measured on a card yet, so use them to compare settings, and for the order of magnitude.
"""

import math
from dataclasses import dataclass

from tinyzero.config import Config, Settled, SettledModel
from tinyzero.machine.cards import Card
from tinyzero.machine.memory import NF4_BYTES, adapter_gib, number_bytes
from tinyzero.machine.shapes import ModelShape
from tinyzero.machine.workload import measured_answers, workload

# The assumed shares of a card's nominal figures.
BANDWIDTH_SHARE = 0.7
_DECODING_SHARE = 0.5  # of its operations, in large batches of single tokens
LEARNING_SHARE = 0.35

LINK_GB_S = 8.0
"""Assumed between cards, each way: PCIe 3.0 with 16 lanes, at half of its nominal figure. Not measured."""

# 82 operations of a Llama layer with LoRA start a kernel (counted by torch's dispatcher), and about two
# more for each of seven 4-bit maps. Each takes 8 microseconds without CUDA graphs, which are unverified.
_LAUNCHES_PER_LAYER, _LAUNCH_S = 96, 8e-6
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


def step_time(config: Settled, shape: ModelShape, card: Card, *, ranks: int = 1) -> StepTime | None:
    """The seconds of a step on a card; None for one of unknown speed.

    Args:
        ranks: cards of this kind that play the step together; a card takes one of as many equal shares.
    """
    if card.bandwidth_gb_s is None or card.tflops is None:
        return None
    load, selfplay = workload(config), config.selfplay
    counts = load.counts
    proposals, answers = (math.ceil(count / ranks) for count in (counts.proposals, counts.answers))
    return StepTime(
        propose_s=_prefill_s(shape, card, counts.proposer_prompts * load.prompt_tokens / ranks)
        + _decode_s(config, shape, card, proposals, load.proposal_tokens, selfplay.proposal_tokens),
        solve_s=_prefill_s(shape, card, counts.tasks * load.prompt_tokens / ranks)
        + _decode_s(config, shape, card, answers, load.answer_tokens, selfplay.answer_tokens),
        learn_s=learning_operations(config, shape) / ranks / (LEARNING_SHARE * _flops(card)),
    )


def exchange_s(config: Settled, shape: ModelShape, ranks: int) -> float:
    """Seconds of a step in which the gradients of all adapters go between `ranks` cards and are summed.

    Each card sends and receives all but its own part of them twice: to be added, and to be handed out.
    """
    gradients = adapter_gib(config, shape)["adapters"] * 2**30 * config.learner.updates_per_round
    return 2 * (ranks - 1) / ranks * gradients / (LINK_GB_S * 1e9)


def measuring_s(config: Settled, shape: ModelShape, card: Card, num_tasks: int) -> float | None:
    """The seconds of all measurements of a run on its held-out tasks; None for a card of unknown speed."""
    if card.bandwidth_gb_s is None or card.tflops is None or not num_tasks:
        return None if num_tasks else 0.0
    load, budget = workload(config), config.selfplay.answer_tokens
    return sum(
        count
        * (
            _prefill_s(shape, card, answers * load.prompt_tokens)
            + _decode_s(config, shape, card, answers, load.answer_tokens, budget)
        )
        for count, answers in measured_answers(config, num_tasks)
    )


def token_step_s(model: SettledModel, shape: ModelShape, card: Card, *, rows: int, context: int) -> float:
    """Seconds for one more token in every row: the slowest of memory traffic, operations and kernel launches.

    Args:
        context: number of earlier tokens that each row attends to.
    """
    multiplied = shape.linear_weights + shape.head_weights
    memory_s = _bytes_read(model, shape, rows, context) / (BANDWIDTH_SHARE * _bandwidth(card))
    compute_s = 2 * multiplied * rows / (_DECODING_SHARE * _flops(card))
    return max(memory_s, compute_s, shape.layers * _LAUNCHES_PER_LAYER * _LAUNCH_S)


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


def _prefill_s(shape: ModelShape, card: Card, tokens: float) -> float:
    return 2 * shape.linear_weights * tokens / (LEARNING_SHARE * _flops(card))


def _decode_s(
    config: Settled, shape: ModelShape, card: Card, completions: int, mean_tokens: int, budget: int
) -> float:
    """Finished rows are refilled, so a round takes tokens / rows steps, or those of its longest answer."""
    rows = min(config.sampling.batch_rows, completions)
    token_steps = max(budget, completions * mean_tokens / rows)
    context = workload(config).prompt_tokens + mean_tokens // 2
    return token_steps * token_step_s(config.model, shape, card, rows=rows, context=context)


def _bytes_read(model: SettledModel, shape: ModelShape, rows: int, context: int) -> float:
    size = number_bytes(model)
    linear: float = size
    if model.is_4_bit:
        linear = NF4_BYTES + (0 if rows <= _FUSED_ROWS else 2 * size)
    weights = shape.linear_weights * linear + shape.head_weights * size
    return weights + rows * context * shape.kv_numbers_per_token * size


def _bandwidth(card: Card) -> float:
    assert card.bandwidth_gb_s is not None  # noqa: S101
    return card.bandwidth_gb_s * 1e9


def _flops(card: Card) -> float:
    assert card.tflops is not None  # noqa: S101
    return card.tflops * 1e12
