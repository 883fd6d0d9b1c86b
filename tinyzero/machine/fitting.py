"""Chooses the largest sampler rows and micro-batch tokens that fit into memory."""

from collections.abc import Callable, Sequence

from tinyzero.config import SelfPlayConfig, Settled
from tinyzero.machine.memory import plan
from tinyzero.machine.shapes import shape_of

MARGIN = 0.1
"""Share of the memory to leave free: the plan is an estimate, and a desktop may use the card."""
SAFE_ROWS, SAFE_TOKENS = 32, 2048
"""For a model of unknown shape: with these, a 7-billion-parameter model in 4 bit learns in 24 GiB."""

_ROWS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_TOKENS = (1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)


def fitted(settled: Settled, memory_gib: float, *, has_open_rows: bool, has_open_tokens: bool) -> Settled:
    """The configuration with the largest values for the open numbers that the memory plan allows.

    The rows are limited by the sampling phase, the tokens by the learning phase. If even the smallest values
    do not fit, they are used, and the plan reports that it does not fit. A model of
    unknown shape gets `SAFE_ROWS` and `SAFE_TOKENS`.

    Args:
        memory_gib: memory that the process can use.
        has_open_rows, has_open_tokens: whether to choose this number; else it stays as configured.
    """
    shape = shape_of(settled.model.base)
    rows, tokens = settled.sampling.batch_rows, settled.learner.micro_batch_tokens
    if shape is None:
        return _with(
            settled, SAFE_ROWS if has_open_rows else rows, SAFE_TOKENS if has_open_tokens else tokens
        )
    known, limit_gib = shape, (1 - MARGIN) * memory_gib

    def samples_in(rows: int) -> bool:
        return plan(_with(settled, rows, SAFE_TOKENS), known).sampling_gib <= limit_gib

    def learns_in(tokens: int) -> bool:
        return plan(_with(settled, SAFE_ROWS, tokens), known).learning_gib <= limit_gib

    return _with(
        settled,
        _largest(_useful_rows(settled.selfplay), samples_in) if has_open_rows else rows,
        _largest(_TOKENS, learns_in) if has_open_tokens else tokens,
    )


def _useful_rows(selfplay: SelfPlayConfig) -> list[int]:
    """Candidate numbers of rows. More rows than answers in a round would stay empty."""
    answers = selfplay.proposals_per_step * selfplay.attempts
    return [rows for rows, fewer in zip(_ROWS, (0, *_ROWS), strict=False) if fewer < answers]


def _largest(candidates: Sequence[int], fits: Callable[[int], bool]) -> int:
    return max(filter(fits, candidates), default=candidates[0])


def _with(settled: Settled, rows: int, tokens: int) -> Settled:
    return settled.model_copy(
        update={
            "sampling": settled.sampling.model_copy(update={"batch_rows": rows}),
            "learner": settled.learner.model_copy(update={"micro_batch_tokens": tokens}),
        }
    )
