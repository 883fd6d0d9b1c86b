"""Pretraining: batches of similar length, Muon and AdamW with a cosine, float32."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from statistics import mean

import torch
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from nano.muon import Muon


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that the weights follow from, together with the seed of the examples."""

    steps: int
    seed: int = 0
    batch_tokens: int = 3072
    lr: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    prompt_weight: float = 0.05
    """Weight of a prompt token's loss; those of answer tokens come with the lessons."""
    wrong_share: float = 0.25
    """Share of deliberately wrong answers to solver prompts, while they are shown."""
    wrong_from: float = 0.6
    """Share of the training after which wrong answers appear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    prompt_ids: list[int]
    answer_ids: list[int]
    weight: float
    """Of an answer token's loss."""

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)


def new_model(vocab_size: int, *, pad_id: int, eos_id: int, seed: int) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=pad_id,
        bos_token_id=None,
        eos_token_id=eos_id,
        attn_implementation="sdpa",
        dtype="float32",
    )
    return Qwen3ForCausalLM(config)


def train(
    model: Qwen3ForCausalLM,
    recipe: Recipe,
    examples: Callable[[float], Iterator[Example]],
    *,
    report: Callable[[str], None],
) -> int:
    """Train in place; `examples(progress)` yields endlessly, progress in 0..1. Returns the tokens seen."""
    optimizers = _optimizers(model, recipe)
    batches = _batches(examples, recipe)
    progress = Progress(recipe.steps)
    for step in range(1, recipe.steps + 1):
        batch = next(batches)
        loss = _loss(model, batch, recipe.prompt_weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        _update(optimizers, recipe.lr * _schedule(step, recipe))
        progress.add(sum(map(len, batch)), float(loss.detach()))
        if step % 100 == 0 or step == recipe.steps:
            report(progress.line(step))
    return progress.tokens


class Progress:
    """What a person waiting wants to know."""

    def __init__(self, steps: int) -> None:
        self.tokens = 0
        self._steps = steps
        self._started = time.perf_counter()
        self._recent: deque[float] = deque(maxlen=100)

    def add(self, tokens: int, loss: float) -> None:
        self.tokens += tokens
        self._recent.append(loss)

    def line(self, step: int) -> str:
        elapsed = time.perf_counter() - self._started
        minutes_left = elapsed / step * (self._steps - step) / 60
        return (
            f"step {step}/{self._steps}  loss {mean(self._recent):.4f}  "
            f"{self.tokens / elapsed:.0f} tokens/s  {self.tokens / 1e6:.2f} M tokens  "
            f"ETA {minutes_left:.1f} min"
        )


def _optimizers(model: Qwen3ForCausalLM, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and "embed" not in name else others).append(parameter)
    return (
        Muon(matrices, lr=recipe.lr, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(others, lr=recipe.lr, betas=(0.9, 0.98), weight_decay=0.0),
    )


def _update(optimizers: tuple[torch.optim.Optimizer, ...], lr: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _schedule(step: int, recipe: Recipe) -> float:
    """Factor on the learning rate: a linear warm-up, then a cosine down to 2 %."""
    warm = min(1.0, step / recipe.warmup_steps)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / recipe.steps)))


def _batches(examples: Callable[[float], Iterator[Example]], recipe: Recipe) -> Iterator[list[Example]]:
    """Batches of at most `batch_tokens` padded tokens, of examples of similar length."""
    rng, done = Random(f"{recipe.seed}/batches"), 0
    while True:
        source = examples(done / recipe.steps)
        pool = sorted((next(source) for _ in range(1024)), key=len)
        batches: list[list[Example]] = [[]]
        for example in pool:
            if (len(batches[-1]) + 1) * len(example) > recipe.batch_tokens:
                batches.append([])
            batches[-1].append(example)
        rng.shuffle(batches)
        done += len(batches)
        yield from batches


def _loss(model: Qwen3ForCausalLM, batch: list[Example], prompt_weight: float) -> Tensor:
    """Weighted next-token losses per token of the batch.

    Not per unit of weight: a batch holds lessons of similar length, and one of long proposals must not count
    as much as one of short answers.
    """
    width = max(map(len, batch))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    weights = torch.zeros(len(batch), width)
    for row, example in enumerate(batch):
        ids[row, : len(example)] = torch.tensor(example.prompt_ids + example.answer_ids)
        weights[row, : len(example)] = prompt_weight
        weights[row, len(example.prompt_ids) : len(example)] = example.weight
    # Padding stands on the right, where a causal model cannot see it from any scored token.
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]  # [B, T-1, V]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    weights = weights[:, 1:]
    return (losses * weights).sum() / ids.numel()
