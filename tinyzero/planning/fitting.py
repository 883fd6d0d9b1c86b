"""Knobs that are `"auto"`, turned into the largest numbers that fit."""

from collections.abc import Callable, Sequence

from tinyzero.config import Config, is_auto
from tinyzero.planning.memory import Device, plan
from tinyzero.planning.shapes import ModelShape

MARGIN = 0.1
"""Share of the memory that is left free: the plan is an estimate, and a desktop may sit on the card."""
SAFE_ROWS, SAFE_TOKENS = 32, 2048
"""For a model whose shape is not known: a 7-billion-parameter one in 4 bit learns with these in 24 GiB."""

_ROWS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_TOKENS = (1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)


def is_open(config: Config) -> bool:
    """Whether a knob waits for a number."""
    return is_auto(config.sampling.batch_rows) or is_auto(config.learner.micro_batch_tokens)


def fitted(config: Config, shape: ModelShape | None, memory_gib: float, device: Device) -> Config:
    """The configuration with numbers in place of `"auto"`; every other value stays.

    Rows are as many as the phase of sampling has room for, tokens as many as that of learning has. Where not
    even the smallest fit they are taken all the same: the plan then says that it does not fit.

    Args:
        shape: of the base model; None where it is not known, which takes `SAFE_ROWS` and `SAFE_TOKENS`.
        memory_gib: what the process can have.
    """
    limit_gib = (1 - MARGIN) * memory_gib

    def samples_in(rows: int) -> bool:
        made = shape and plan(_with(config, rows, SAFE_TOKENS), shape, device=device)
        return made.sampling_gib <= limit_gib if made else rows <= SAFE_ROWS

    def learns_in(tokens: int) -> bool:
        made = shape and plan(_with(config, SAFE_ROWS, tokens), shape, device=device)
        return made.learning_gib <= limit_gib if made else tokens <= SAFE_TOKENS

    rows, tokens = config.sampling.batch_rows, config.learner.micro_batch_tokens
    return _with(
        config,
        _largest(_useful_rows(config), samples_in) if is_auto(rows) else rows,
        _largest(_TOKENS, learns_in) if is_auto(tokens) else tokens,
    )


def _useful_rows(config: Config) -> list[int]:
    """More rows than a round has answers would stay empty."""
    answers = config.selfplay.proposals_per_step * config.selfplay.attempts
    return [rows for rows, fewer in zip(_ROWS, (0, *_ROWS), strict=False) if fewer < answers]


def _largest(candidates: Sequence[int], fits: Callable[[int], bool]) -> int:
    return max(filter(fits, candidates), default=candidates[0])


def _with(config: Config, rows: int, tokens: int) -> Config:
    return config.model_copy(
        update={
            "sampling": config.sampling.model_copy(update={"batch_rows": rows}),
            "learner": config.learner.model_copy(update={"micro_batch_tokens": tokens}),
        }
    )
