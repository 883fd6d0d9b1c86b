"""What every section works on: random weights in the shape of a real model, a policy of them, prompts."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from tinyzero.config import Settled, load_config, resolve_base
from tinyzero.machine.hardware import look
from tinyzero.machine.settling import settle
from tinyzero.policy.loading import load_policy
from tinyzero.policy.policy import Policy
from tinyzero.types import Completion, Prompt, Role, SamplingRequest

SHAPE = "Qwen/Qwen2.5-Coder-1.5B-Instruct"
_TOY = {
    "model_type": "qwen2",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "tie_word_embeddings": True,
}
_LONGEST = 4096


class Failed(Exception):
    """A section measured what must not be; the figures are kept."""

    def __init__(self, what: str, figures: dict[str, Any]) -> None:
        super().__init__(what)
        self.figures = figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Where a section runs, and how much it does.

    Attributes:
        is_small: toy shapes and a few tokens: proves the tool, and measures nothing.
        work: a folder for files that no one keeps.
    """

    device: torch.device
    is_small: bool
    work: Path

    @property
    def model_folder(self) -> Path:
        return self.work / "model"

    def choose(self, full: int, small: int) -> int:
        return small if self.is_small else full

    def config(self, *overrides: str) -> Settled:
        """The preset for a 24 GiB card with the random model; at toy size its batches are tiny."""
        small = (
            "sampling.batch_rows=6",
            "sampling.max_prompt_tokens=160",
            "learner.micro_batch_tokens=256",
            "policy.rank=4",
            "selfplay.proposal_tokens=8",
            "selfplay.answer_tokens=8",
            # On a CPU bitsandbytes packs 4-bit weights while it samples, and cannot train on them after that.
            "model.quantization=none",
        )
        where = (f"model.base={self.model_folder}", f"hardware.device={self.device.type}")
        settings = [*where, "prompts.style=compact", *(small if self.is_small else ()), *overrides]
        return settle(load_config("qwen1.5b-24gb", settings), look())


def make_model(setup: Setup) -> Path:
    """Random weights in the shape of Qwen2.5 1.5B, or in a toy's, with the tokenizer of nano."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if setup.model_folder.exists():
        return setup.model_folder
    shape: dict[str, Any] = json.loads(
        (files("tinyzero") / "machine" / "model_shapes.json").read_text(encoding="utf-8")
    )
    nano = Path(resolve_base("nano"))
    vocabulary = json.loads((nano / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    # Qwen2's tokenizer adds an end token of its own to nano's.
    chosen = {**_TOY, "vocab_size": vocabulary + 1} if setup.is_small else shape[SHAPE]
    options = {name: value for name, value in chosen.items() if name != "model_type"}
    config = AutoConfig.for_model(
        chosen["model_type"],
        **options,
        max_position_embeddings=_LONGEST,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    dtype = torch.float32 if setup.device.type == "cpu" else torch.bfloat16
    with setup.device:
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    aside = setup.work / "model.part"
    model.save_pretrained(aside)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(nano / name, aside / name)
    aside.rename(setup.model_folder)
    return setup.model_folder


def load(setup: Setup, config: Settled) -> Policy:
    """The policy with adapters whose weights matter: fresh ones change nothing."""
    make_model(setup)
    policy = load_policy(
        config.model, config.policy, device=setup.device, temperature=config.sampling.temperature
    )
    randomize(policy)
    return policy


def randomize(policy: Policy, scale: float = 0.02) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for adapter in policy.adapters:
            for parameter in policy.trainable_parameters(adapter):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)


def request(
    setup: Setup, *, prompts: int, samples: int, tokens: int, role: Role = Role.SOLVER
) -> SamplingRequest:
    """Prompts of about a hundred tokens, all different; toy ones of a dozen."""
    line = "    total = total * {} + x\n"
    length = setup.choose(12, 1)
    texts = [
        "def f(x):\n" + "".join(line.format(number + at) for at in range(length)) for number in range(prompts)
    ]
    return SamplingRequest(
        role=role,
        prompts=tuple(map(_prompt, texts)),
        num_samples=samples,
        max_tokens=tokens,
        stream=f"check/{role}",
    )


def longest_request(setup: Setup, policy: Policy, config: Settled) -> SamplingRequest:
    """As many prompts as rows, each as long as the configuration lets it be, and answers as long."""
    asked = request(setup, prompts=1, samples=1, tokens=config.selfplay.answer_tokens)
    line = "    x = x + 1\n"
    limit = config.sampling.max_prompt_tokens
    per_line = len(policy.encode(_prompt(line * 20))) - len(policy.encode(_prompt(line * 10)))
    frame = len(policy.encode(_prompt("")))
    text = line * (10 * (limit - frame) // per_line)
    return replace(asked, prompts=(_prompt(text),) * config.sampling.batch_rows)


def _prompt(text: str) -> Prompt:
    return Prompt(kind="deduction", text=text)


def of_another_lap(asked: SamplingRequest, lap: int) -> SamplingRequest:
    return replace(asked, stream=f"{asked.stream}/{lap}")


def num_tokens(completions: Sequence[Sequence[Completion]]) -> int:
    return sum(len(completion.token_ids) for samples in completions for completion in samples)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
