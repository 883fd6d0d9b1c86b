"""Pretraining in phases, with Muon and AdamW; it can be interrupted, and goes on where it was."""

import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM

from nano.feed import Example, Place, batches
from nano.forward import logits_of
from nano.muon import Muon
from nano.recipe import Phase, Recipe


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


@dataclass(slots=True, kw_only=True)
class Trainer:
    """Trains a model in place, phase by phase; `folder` keeps its state."""

    model: Qwen3ForCausalLM
    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe
    folder: Path
    report: Callable[[str], None]
    report_every: int = 50
    """Steps between two reports."""
    save_every: float = 180
    """Seconds between two saved states."""
    phase: int = 0
    step: int = 0
    """Steps of the phase that are done."""
    place: Place = field(default_factory=Place)
    tokens: int = 0
    seconds: float = 0.0
    _optimizers: tuple[torch.optim.Optimizer, ...] = field(init=False)
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=100), init=False)

    def __post_init__(self) -> None:
        self._optimizers = _optimizers(self.model, self.recipe.weight_decay)
        if self._state_file.exists():
            self._load()

    def train(self) -> None:
        while self.phase < len(self.recipe.phases):
            self._train_phase()
            self.phase, self.step, self.place = self.phase + 1, 0, Place()
            self._save()

    def _train_phase(self) -> None:
        phase = self.recipe.phases[self.phase]
        feed = batches(self.tokenizer, self.recipe, self.phase, self.place)
        saved = time.monotonic()
        while self.step < phase.steps:
            self._take_step(feed, phase)
            if time.monotonic() - saved >= self.save_every:
                self._save()
                saved = time.monotonic()
            if self.step % self.report_every == 0 or self.step == phase.steps:
                self.report(self._progress())
        feed.close()
        self.model.save_pretrained(self.folder / phase.name)
        self.tokenizer.save_pretrained(self.folder / phase.name)

    def _take_step(self, feed: Generator[tuple[Place, list[Example]]], phase: Phase) -> None:
        begun = time.monotonic()
        for _ in range(self.recipe.passes):
            self.place, batch = next(feed)
            self._learn(batch)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.step += 1
        _update(self._optimizers, phase.rate(self.step))
        self.seconds += time.monotonic() - begun

    def _learn(self, batch: list[Example]) -> None:
        loss = loss_of(self.model, batch, self.recipe.prompt_weight) / self.recipe.passes
        loss.backward()
        self._losses.append(float(loss.detach()) * self.recipe.passes)
        self.tokens += sum(map(len, batch))

    def _progress(self) -> str:
        done = sum(phase.steps for phase in self.recipe.phases[: self.phase]) + self.step
        minutes_left = self.seconds / done * (self.recipe.steps - done) / 60
        return (
            f"{self.recipe.phases[self.phase].name}  step {done}/{self.recipe.steps}  "
            f"loss {mean(self._losses):.4f}  {self.tokens / self.seconds:.0f} tokens/s  "
            f"{self.tokens / 1e6:.2f} M tokens  ETA {minutes_left:.1f} min"
        )

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.pt"

    def _save(self) -> None:
        """All at once: an interruption leaves the state before, or this one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        counters = {name: getattr(self, name) for name in ("phase", "step", "tokens", "seconds")}
        state = counters | {
            "recipe": repr(self.recipe),
            "place": asdict(self.place),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        draft = self._state_file.with_suffix(".part")
        torch.save(state, draft)
        draft.replace(self._state_file)

    def _load(self) -> None:
        state: dict[str, Any] = torch.load(self._state_file)
        if state["recipe"] != repr(self.recipe):
            raise SystemExit(f"{self._state_file} is of another recipe; remove it, or choose another --work")
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.place = Place(**state["place"])
        for name in ("phase", "step", "tokens", "seconds"):
            setattr(self, name, state[name])


def loss_of(model: Qwen3ForCausalLM, batch: list[Example], prompt_weight: float) -> Tensor:
    """Weighted next-token losses per token of the batch.

    Not per unit of weight: a batch holds lessons of similar length, and one of long proposals must not count
    as much as one of short answers.
    """
    width = max(map(len, batch))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    weights = torch.zeros(len(batch), width)
    for row, example in enumerate(batch):
        ids[row, : len(example)] = torch.tensor(example.ids)
        scored = [prompt_weight] * example.num_prompt_tokens + example.answer_weights
        weights[row, : len(example)] = torch.tensor(scored)
    # Padding stands on the right, where a causal model cannot see it from any scored token.
    logits = logits_of(model, ids[:, :-1])  # [B, T-1, V]
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (losses * weights[:, 1:].flatten()).sum() / ids.numel()


def _optimizers(model: Qwen3ForCausalLM, weight_decay: float) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and "embed" not in name else others).append(parameter)
    return (
        Muon(matrices, lr=0.0, weight_decay=weight_decay),
        torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0),
    )


def _update(optimizers: tuple[torch.optim.Optimizer, ...], lr: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
