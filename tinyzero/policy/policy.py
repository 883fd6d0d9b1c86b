"""The live policy: which adapter is worn, the reference, prompts to tokens and back, saving the adapters.

It neither samples nor learns, and nothing here ever merges an adapter into the base.
"""

import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tinyzero.errors import CheckpointError, NotFinite
from tinyzero.foreign import read_json_object
from tinyzero.policy.frame import Frame
from tinyzero.policy.pieces import Reader
from tinyzero.policy.soundness import NO_LIMIT, weight_not_finite
from tinyzero.policy.vacating import Move, move_module
from tinyzero.types import Prompt, Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Policy:
    """A frozen base model and its LoRA adapters, of which one is worn at a time, or none.

    Attributes:
        frame: what is put around prompts.
        model: the peft model; model.get_base_model() is the causal model with the fused LM head.
        stop_ids: tokens that end an answer.
        pad_id: fills the unused places of batches. May be a stop id: nothing tells padding by its value.
        temperature: at which the fused LM head scores.
        context_tokens: longest sequence, prompt and completion, at which model and samplers agree.
        shares_prompts: whether completions of one prompt may share its tokens in a training row; not where
            the model goes by places in the row, and not by the positions that it is told.
        versions: adapter -> updates made to it.
        loads: how often saved adapters were taken over; the same versions may then have other weights.
        loader: what has read the model, transformers or unsloth.
    """

    def __init__(
        self,
        *,
        model: Any,  # noqa: ANN401  (a PeftModel, whose types say that it cannot do what it does)
        tokenizer: "PreTrainedTokenizerBase",
        device: torch.device,
        dtype: torch.dtype,
        adapter_of_role: Mapping[Role, str],
        stop_ids: frozenset[int],
        temperature: float,
        loader: str = "transformers",
        frame: Frame | None = None,
        context_tokens: int = NO_LIMIT,
    ) -> None:
        self.model = model
        self.loader = loader
        self.tokenizer = tokenizer
        self.device = device
        self.dtype = dtype
        self.stop_ids = stop_ids
        self.temperature = temperature
        self.frame = frame or Frame(tokenizer)
        self.context_tokens = context_tokens
        self.shares_prompts = True
        self._reader = Reader(tokenizer)
        self.pad_id = _first_id(tokenizer.pad_token_id, tokenizer.eos_token_id)
        self.adapters = tuple(model.peft_config)
        self.versions = dict.fromkeys(self.adapters, 0)
        self.loads = 0
        self._adapter_of_role = dict(adapter_of_role)
        self._worn: str | None = None
        self.wear(self.adapters[0])

    def adapter_of(self, role: Role | None) -> str:
        """The adapter that plays this role; empty for the base model, which plays the frozen ones."""
        return self._adapter_of_role.get(role, "") if role else ""

    def activate(self, role: Role | None) -> None:
        """Wear the role's adapter, or none, until the next call."""
        self.wear(self.adapter_of(role))

    def wear(self, adapter: str) -> None:
        """Put an adapter on, or none where the name is empty. Only a worn adapter can receive gradients."""
        if adapter == self._worn:
            return
        if adapter:
            self.model.base_model.enable_adapter_layers()
            self.model.set_adapter(adapter)
        else:
            self.model.base_model.disable_adapter_layers()
        self._worn = adapter

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Be the reference policy, the base model itself, for a while."""
        worn = self._worn or ""
        self.wear("")
        try:
            yield
        finally:
            self.wear(worn)

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of the rendered prompt: one user turn, the opening of the answer, and the prefill."""
        return self.frame.encode(prompt)

    def begun(self, prompt: Prompt) -> str:
        """`<think>` where the frame begins the answer to a prompt within a thought, else nothing."""
        return self.frame.begun(prompt)

    def encode_turns(self, turns: Sequence[str], *, prefill: str = "") -> list[int]:
        """Token ids of a conversation: user, answer, user and so on, up to the opening of the next answer.

        Args:
            turns: an odd number; the user's are the first, the third, and so on.
        """
        return self.frame.encode_turns(turns, prefill=prefill)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of completion tokens: special tokens left out, but for the tags of thoughts and answers."""
        return self._reader.text(ids)

    def trainable_parameters(self, adapter: str) -> list[nn.Parameter]:
        """The adapter's weights, in a fixed order, worn or not."""
        return list(self.named_weights(adapter).values())

    def named_weights(self, adapter: str) -> dict[str, nn.Parameter]:
        """The same, by their names in the model."""
        ends = tuple(f"lora_{half}.{adapter}.weight" for half in "AB")
        return {name: weight for name, weight in self.model.named_parameters() if name.endswith(ends)}

    def is_fresh(self, adapter: str) -> bool:
        """Whether the adapter changes nothing yet: its second halves are zero."""
        return bool(adapter) and not any(bool(half.any()) for half in self.second_halves(adapter))

    def second_halves(self, adapter: str) -> list[nn.Parameter]:
        """The factors B of the adapter's updates B A, in a fixed order."""
        end = f"lora_B.{adapter}.weight"
        return [parameter for name, parameter in self.model.named_parameters() if name.endswith(end)]

    def move(self, move: Move) -> None:
        """See `Movable`."""
        move_module(self.model, move)

    def save(self, folder: Path) -> None:
        """Write `versions.json` and a folder per adapter that `PeftModel.from_pretrained` opens.

        Raises:
            NotFinite: a weight of an adapter is NaN or infinite; nothing is written.
        """
        name = weight_not_finite(self.model, only=".lora_")
        if name is not None:
            raise NotFinite(f"the adapters are not saved, since the weight {name} is not finite")
        for adapter in self.adapters:
            self.save_adapter(adapter, folder)
        (folder / "versions.json").write_text(json.dumps(self.versions))

    def save_adapter(self, adapter: str, folder: Path) -> Path:
        """Write one adapter as peft does, into the new folder that is returned, inside of `folder`."""
        # The embeddings are the base's own; asking peft to find out would make it ask the Hub.
        self.model.save_pretrained(folder, selected_adapters=[adapter], save_embedding_layers=False)
        config = folder / adapter / "adapter_config.json"
        _sort_sets(config)
        weights = (
            folder / adapter / "adapter_model.safetensors"
        )  # safetensors closes its files to other users
        weights.chmod(stat.S_IMODE(config.stat().st_mode))
        return folder / adapter

    def load(self, folder: Path) -> None:
        """Take over saved adapters, bit for bit.

        Raises:
            CheckpointError: the folder lacks one of this policy's adapters, or they have another shape.
        """
        from peft import set_peft_model_state_dict
        from safetensors import SafetensorError
        from safetensors.torch import load

        self.loads += 1  # first: a load that fails may have changed some
        try:
            versions = read_json_object(folder / "versions.json")
            if set(versions) != set(self.adapters):
                raise CheckpointError(
                    f"{folder} holds the adapters {sorted(versions)}, this run has {sorted(self.adapters)}; "
                    "resume with the policy.adapters of the run that saved them"
                )
            for adapter in self.adapters:
                weights = load((folder / adapter / "adapter_model.safetensors").read_bytes())
                result = set_peft_model_state_dict(self.model, weights, adapter_name=adapter)
                _check_taken(result, adapter, folder)
            self.versions = {adapter: int(versions[adapter]) for adapter in self.adapters}
        except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(
                f"cannot read the adapters in {folder}: {str(error).splitlines()[0]}"
            ) from error


def _check_taken(result: Any, adapter: str, folder: Path) -> None:  # noqa: ANN401  (what peft says of it)
    """Peft passes over weights whose names it does not find, and those that a file lacks."""
    lacking = [name for name in result.missing_keys if name.endswith(f".{adapter}.weight")]
    others = sorted([*result.unexpected_keys, *lacking])
    if others:
        raise CheckpointError(
            f"{folder} holds other weights than this base model's adapters have ({others[0]} ...); they "
            "cannot be taken over"
        )


def _sort_sets(path: Path) -> None:
    """Give sets, which peft writes in another order in each process, one order."""
    config = read_json_object(path)
    for key in ("target_modules", "exclude_modules"):
        if isinstance(config.get(key), list):
            config[key].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def _first_id(*candidates: int | None) -> int:
    return next((candidate for candidate in candidates if candidate is not None), 0)
