"""Kernels, waits and copies of a decoding step, counted on the pretended card against a budget and the plan.

They depend on the number of layers and not on their width, so
toys of two and three layers tell a layer's share.
"""

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from pretend.card import Card
from pretend.walking import new_card
from tinyzero.config import load_config, resolve_base
from tinyzero.machine.hardware import look
from tinyzero.machine.memory import KERNELS_PER_LAYER
from tinyzero.machine.settling import settle
from tinyzero.policy.loading import load_policy
from tinyzero.policy.policy import Policy
from tinyzero.sampling.decoding import Decoding
from tinyzero.types import Prompt, Role, SamplingRequest

_MAPS = 7
_UNPACKING = 3
"""Kernels that bitsandbytes starts more than the product where it unpacks 4-bit weights, for many rows."""
_AROUND_LAYERS = 80
"""Budget of embedding, norm, head, drawing and bookkeeping."""
_WAITS = 2
"""The finished rows: how many there are, and which."""
_PLAN_ABOVE, _PLAN_BELOW = 1.25, 0.97
"""The plan's figure for a layer, as a share of what is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of one token of all rows."""

    kernels: int
    waits: int
    copies: int


def main() -> int:
    two, three = count(2), count(3)
    of_layer = three.kernels - two.kernels + _MAPS * _UNPACKING
    around = two.kernels - 2 * (three.kernels - two.kernels)
    problems = complaints(of_layer, around, three)
    print("\n".join(problems), file=sys.stderr)
    print(
        f"a layer starts {of_layer} kernels, and {around} start beside the layers; the host waits "
        f"{three.waits} times a token and sends {three.copies} tensors"
    )
    return int(bool(problems))


def complaints(of_layer: int, around: int, counted: Counts) -> list[str]:
    """What is above its budget, a line each."""
    share = KERNELS_PER_LAYER / of_layer
    found = {
        f"a layer starts {of_layer} kernels and the plan counts {KERNELS_PER_LAYER}": not (
            _PLAN_BELOW <= share <= _PLAN_ABOVE
        ),
        f"{around} kernels start beside the layers, above {_AROUND_LAYERS}": around > _AROUND_LAYERS,
        f"the host waits {counted.waits} times a token, above {_WAITS}": counted.waits > _WAITS,
        f"{counted.copies} tensors a token go to the card, above 0": counted.copies > 0,
    }
    return [line for line, is_wrong in found.items() if is_wrong]


def count(layers: int) -> Counts:
    """One step of four rows in the middle of a request, with NF4 weights and LoRA."""
    with tempfile.TemporaryDirectory(prefix="pretend-") as folder, new_card() as card:
        _write_toy(Path(folder), layers)
        config = settle(
            load_config("qwen1.5b-24gb", [f"model.base={folder}", "prompts.style=compact"]), look()
        )
        policy = load_policy(config.model, config.policy, device="cuda", temperature=1.0)
        policy.stop_ids = frozenset()
        ids = [tuple(policy.encode(Prompt(kind="deduction", text=text))) for text in ("2+2", "f(x)")]
        decoding = Decoding(policy, config.sampling, 0, _request(), ids, mode="static")
        return _one_token(card, policy, decoding)


def _one_token(card: Card, policy: Policy, decoding: Decoding) -> Counts:
    policy.activate(Role.SOLVER)
    with torch.inference_mode():
        decoding.step()
        with card.phase("token"):
            decoding._decode_token()
    return Counts(
        kernels=card.kernels["token"].total(),
        waits=card.waits["token"].total(),
        copies=card.copies["token"].total(),
    )


def _request() -> SamplingRequest:
    return SamplingRequest(
        role=Role.SOLVER, prompts=(), num_samples=2, max_tokens=8, temperature=1.0, stream="budget"
    )


def _write_toy(folder: Path, layers: int) -> None:
    from transformers import AutoModelForCausalLM, Qwen2Config

    nano = Path(resolve_base("nano"))
    vocabulary = json.loads((nano / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    config = Qwen2Config(
        num_hidden_layers=layers,
        hidden_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=128,
        vocab_size=vocabulary + 1,  # Qwen2's tokenizer adds an end token of its own to nano's
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(nano / name, folder / name)


if __name__ == "__main__":
    sys.exit(main())
