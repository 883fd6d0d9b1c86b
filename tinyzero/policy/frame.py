"""What is put around a prompt: the model's chat template, or a written conversation for a base model.

Prompts quote what models wrote, so nothing in a quotation may act as a control token.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tinyzero.types import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# For models without a chat template: a base model continues a written conversation.
_CONVERSATION = (
    "A conversation between User and Assistant. The User asks a question, and the Assistant solves it.\n"
)
# The frame of DeepSeek-R1-Zero (arXiv:2501.12948, table 1). Like Absolute Zero (arXiv:2505.03335) we begin
# the reasoning for the model, which would often forget to.
_REASONING_CONVERSATION = (
    "A conversation between User and Assistant. The User asks a question, and the Assistant solves it. The "
    "Assistant first thinks about the reasoning process in the mind and then provides the User with the "
    "answer. The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> "
    "tags, respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>.\n"
)
_QUESTION, _ANSWER, _REASONING = "User: {text}\nAssistant:", " {text}\n", "<think>"

_CUT = "\ufdd0"  # no character, by Unicode's decree; text on its two sides is tokenised apart


class Frame:
    """Turns prompts and conversations into the token ids that a tokenizer's model reads."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self.tokenizer = tokenizer
        self._control = _first_letters(tokenizer.get_added_vocab())

    @property
    def has_chat_template(self) -> bool:
        return bool(self.tokenizer.chat_template)

    def encode(self, prompt: Prompt) -> list[int]:
        """One user turn, the opening of the answer, and the prefill."""
        return self.encode_turns([prompt.text], prefill=prompt.prefill, reasons=prompt.reasons)

    def encode_turns(self, turns: Sequence[str], *, prefill: str = "", reasons: bool = False) -> list[int]:
        """A conversation: user, answer, user and so on, up to the opening of the next answer.

        Args:
            turns: an odd number; the user's are the first, the third, and so on.
            reasons: tell a model without a chat template to reason first, and begin that for it.
        """
        texts = [self._without_control(text) for text in turns]
        prefill = self._without_control(prefill)
        if self.has_chat_template:
            roles = ("user", "assistant")
            written = [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]
            frame = self.tokenizer.apply_chat_template(written, tokenize=False, add_generation_prompt=True)
            return self._tokenize(f"{frame}{prefill}", add_special_tokens=False)
        return self._tokenize(_conversation(texts, prefill, reasons=reasons), add_special_tokens=True)

    def _without_control(self, text: str) -> str:
        """A quoted `<|im_end|>` must stay ten characters, and end no turn."""
        return self._control.sub(rf"\g<0>{_CUT}", text)

    def _tokenize(self, text: str, *, add_special_tokens: bool) -> list[int]:
        first, *rest = text.split(_CUT)
        ids = list(self.tokenizer(first, add_special_tokens=add_special_tokens).input_ids)
        for piece in rest:
            ids += self.tokenizer(piece, add_special_tokens=False).input_ids
        return ids


def _conversation(texts: Sequence[str], prefill: str, *, reasons: bool) -> str:
    forms = (_QUESTION, _ANSWER)
    opening = _REASONING_CONVERSATION if reasons else _CONVERSATION
    turns = (forms[place % 2].format(text=text) for place, text in enumerate(texts))
    begun = [_REASONING] * reasons + [prefill] * bool(prefill)
    return " ".join([opening + "".join(turns), *begun])


def _first_letters(tokens: Iterable[str]) -> re.Pattern[str]:
    """The first character of each of these tokens wherever it stands in a text; blank ones are no danger."""
    long = (token for token in tokens if token.strip() and len(token) > 1)
    return re.compile(
        "|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in long) or "(?!)"
    )
