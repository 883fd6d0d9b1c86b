"""The live policy: which adapter is worn, the reference, prompts to tokens and back, saving the adapters.

It neither samples nor learns, and nothing here ever merges an adapter into the base.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tinyzero.errors import CheckpointError
from tinyzero.types import Prompt, Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# For models without a chat template: a base model continues a written conversation (the frame of R1-Zero).
_CONVERSATION = (
    "A conversation between User and Assistant. The User asks a question, and the Assistant solves it.\n"
)
_QUESTION, _ANSWER = "User: {text}\nAssistant:", " {text}\n"

_CUT = "\ufdd0"  # no character, by Unicode's decree; text on its two sides is tokenised apart


class Policy:
    """A frozen base model and its LoRA adapters, of which one is worn at a time, or none.

    Attributes:
        model: the peft model; model.get_base_model() is the causal model with the fused LM head.
        stop_ids: tokens that end an answer.
        pad_id: fills the unused places of batches. May be a stop id: nothing tells padding by its value.
        temperature: at which the fused LM head scores.
        versions: adapter -> updates made to it.
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
    ) -> None:
        self.model = model
        self.loader = loader
        self.tokenizer = tokenizer
        self.device = device
        self.dtype = dtype
        self.stop_ids = stop_ids
        self.temperature = temperature
        self._control = _first_letters(tokenizer.get_added_vocab())
        self.pad_id = _first_id(tokenizer.pad_token_id, tokenizer.eos_token_id)
        self.adapters = tuple(model.peft_config)
        self.versions = dict.fromkeys(self.adapters, 0)
        self._adapter_of_role = dict(adapter_of_role)
        self._worn: str | None = None
        self.wear(self.adapters[0])

    @property
    def context_tokens(self) -> int:
        """Longest sequence, prompt and completion, that the base model was made for."""
        config = self.model.get_base_model().config.get_text_config()
        return int(getattr(config, "max_position_embeddings", 1 << 30))

    def adapter_of(self, role: Role) -> str:
        """The adapter that plays this role; empty where the role is frozen and the base model plays it."""
        return self._adapter_of_role.get(role, "")

    def activate(self, role: Role) -> None:
        """Wear the role's adapter until the next call."""
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
        return self.encode_turns([prompt.text], prefill=prompt.prefill)

    def encode_turns(self, turns: Sequence[str], *, prefill: str = "") -> list[int]:
        """Token ids of a conversation: user, answer, user and so on, up to the opening of the next answer.

        Args:
            turns: an odd number; the user's are the first, the third, and so on.
        """
        texts = [self._without_control(text) for text in turns]
        prefill = self._without_control(prefill)
        if self.tokenizer.chat_template:
            roles = ("user", "assistant")
            written = [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]
            frame = self.tokenizer.apply_chat_template(written, tokenize=False, add_generation_prompt=True)
            return self._tokenize(f"{frame}{prefill}", add_special_tokens=False)
        forms = (_QUESTION, _ANSWER)
        frame = _CONVERSATION + "".join(
            forms[place % 2].format(text=text) for place, text in enumerate(texts)
        )
        return self._tokenize(f"{frame} {prefill}" if prefill else frame, add_special_tokens=True)

    def _without_control(self, text: str) -> str:
        """Prompts quote what models wrote: its `<|im_end|>` must stay ten characters, and end no turn."""
        return self._control.sub(rf"\g<0>{_CUT}", text)

    def _tokenize(self, text: str, *, add_special_tokens: bool) -> list[int]:
        first, *rest = text.split(_CUT)
        ids = list(self.tokenizer(first, add_special_tokens=add_special_tokens).input_ids)
        for piece in rest:
            ids += self.tokenizer(piece, add_special_tokens=False).input_ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of completion tokens, special tokens left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def trainable_parameters(self, adapter: str) -> list[nn.Parameter]:
        """The adapter's weights, in a fixed order, worn or not."""
        ends = tuple(f"lora_{half}.{adapter}.weight" for half in "AB")
        return [parameter for name, parameter in self.model.named_parameters() if name.endswith(ends)]

    def save(self, folder: Path) -> None:
        """Write `versions.json` and a folder per adapter that `PeftModel.from_pretrained` opens."""
        # The embeddings are the base's own; asking peft to find out would make it ask the Hub.
        self.model.save_pretrained(folder, selected_adapters=list(self.adapters), save_embedding_layers=False)
        (folder / "versions.json").write_text(json.dumps(self.versions))

    def load(self, folder: Path) -> None:
        """Take over saved adapters, bit for bit.

        Raises:
            CheckpointError: the folder lacks one of this policy's adapters, or they have another shape.
        """
        from peft import load_peft_weights, set_peft_model_state_dict

        try:
            versions = json.loads((folder / "versions.json").read_text())
            if set(versions) != set(self.adapters):
                raise CheckpointError(
                    f"{folder} holds the adapters {sorted(versions)}, this run has {sorted(self.adapters)}; "
                    "resume with the policy.adapters of the run that saved them"
                )
            for adapter in self.adapters:
                weights = load_peft_weights(str(folder / adapter), device=str(self.device))
                set_peft_model_state_dict(self.model, weights, adapter_name=adapter)
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"cannot read the adapters in {folder}: {str(error).splitlines()[0]}"
            ) from error
        self.versions = {adapter: int(versions[adapter]) for adapter in self.adapters}


def _first_letters(tokens: Iterable[str]) -> re.Pattern[str]:
    """The first character of each of these tokens wherever it stands in a text; blank ones are no danger."""
    long = (token for token in tokens if token.strip() and len(token) > 1)
    return re.compile(
        "|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in long) or "(?!)"
    )


def _first_id(*candidates: int | None) -> int:
    return next((candidate for candidate in candidates if candidate is not None), 0)
