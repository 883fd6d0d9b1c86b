"""What is put around a prompt: the model's chat template, or a written conversation for a base model.

Prompts quote what models wrote, so nothing in a quotation may act as a control token.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from tinyzero.errors import ModelLoadError
from tinyzero.policy.pieces import Pieces, first_letters, thought_tags
from tinyzero.tasks.thoughts import CLOSED, OPENED, without_thoughts
from tinyzero.types import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# For models without a chat template: a base model continues a written conversation.
CONVERSATION = (
    "A conversation between User and Assistant. The User asks a question, and the Assistant solves it.\n"
)
# The frame of DeepSeek-R1-Zero (arXiv:2501.12948, table 1). Like Absolute Zero (arXiv:2505.03335) we begin
# the reasoning for the model, which would often forget to.
REASONING_CONVERSATION = (
    "A conversation between User and Assistant. The User asks a question, and the Assistant solves it. The "
    "Assistant first thinks about the reasoning process in the mind and then provides the User with the "
    "answer. The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> "
    "tags, respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>.\n"
)
TODAY = date(2024, 7, 26)
"""The day that templates are told: the same every day, or a run could not be repeated on the next. Llama 3
falls back on this one."""

_QUESTION, _ANSWER = "User: {text}\nAssistant:", " {text}\n"
_CUT = "\ufdd0"  # no character, by Unicode's decree; text on its two sides is tokenised apart
_PROBE = "What is f(12)?\n\ndef f(x):\n    return {'a': x}"
_PROBE_ANSWER = "Forty-two."
_DIRECTIVES = "aAbBcdDeFgGHIjklmMnpPrRStTuUVwWxXyYzZ"  # of strftime


class Frame:
    """Turns prompts and conversations into the token ids that a tokenizer's model reads."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", today: date = TODAY) -> None:
        """A frame that was tried on a question.

        Raises:
            ModelLoadError: the chat template raises, or loses the question.
        """
        self.tokenizer = tokenizer
        self.today = today
        self._pieces = Pieces(tokenizer)
        tokens = tokenizer.get_added_vocab()
        self._control = first_letters(tokens)
        tags = thought_tags(tokens)
        self._begins_thought, self._has_parts = False, False
        if self.has_chat_template:
            self._try_template()
            openings = {OPENED, *(token for token, tag in tags.items() if tag == OPENED)}
            self._begins_thought = self.render([_PROBE]).rstrip().endswith(tuple(openings))
        self._closing = next((token for token in tokens if tags.get(token) == CLOSED), CLOSED)

    @property
    def has_chat_template(self) -> bool:
        return bool(self.tokenizer.chat_template)

    @property
    def leading_text(self) -> str:
        """What stands before a written conversation by itself, such as `<s>`."""
        return "".join(map(str, self.tokenizer.convert_ids_to_tokens(self._pieces.leading)))

    def content(self, text: str) -> str | list[dict[str, str]]:
        """A message for the template; those of models that also see pictures want it in parts."""
        return [{"type": "text", "text": text}] if self._has_parts else text

    def encode(self, prompt: Prompt) -> list[int]:
        """One user turn, the opening of the answer, and the prefill."""
        return self.encode_turns([prompt.text], prefill=prompt.prefill, reasons=prompt.reasons)

    def begun(self, prompt: Prompt) -> str:
        """`<think>` where the answer to a prompt begins within a thought, else nothing."""
        if not self.has_chat_template:
            return OPENED if prompt.reasons else ""
        return OPENED if self._begins_thought and not prompt.prefill else ""

    def encode_turns(self, turns: Sequence[str], *, prefill: str = "", reasons: bool = False) -> list[int]:
        """A conversation: user, answer, user and so on, up to the opening of the next answer.

        Args:
            turns: an odd number; the user's are the first, the third, and so on.
            reasons: tell a model without a chat template to reason first, and begin that for it.
        """
        spoken = [text if place % 2 == 0 else self._spoken(text) for place, text in enumerate(turns)]
        texts = [self._without_control(text) for text in spoken]
        prefill = self._without_control(prefill)
        if not self.has_chat_template:
            return [*self._pieces.leading, *self._tokenize(_conversation(texts, prefill, reasons=reasons))]
        if prefill and self._begins_thought:  # the answer is begun, so the thought is over
            prefill = f"\n{self._closing}\n\n{prefill}"
        return self._tokenize(f"{self.render(texts)}{prefill}")

    def render(self, turns: Sequence[str], *, is_open: bool = True) -> str:
        """The turns in the chat template; where `is_open`, up to the opening of the next answer."""
        roles = ("user", "assistant")
        messages: Any = [
            {"role": roles[place % 2], "content": self.content(text)} for place, text in enumerate(turns)
        ]
        template: Any = self.tokenizer.get_chat_template()
        return str(
            self.tokenizer.apply_chat_template(
                messages,
                chat_template=dated(template, self.today),
                tokenize=False,
                add_generation_prompt=is_open,
            )
        )

    def end_of_turn(self) -> int | None:
        """The control token that the chat template writes after an answer, None where it writes none."""
        if not self.has_chat_template:
            return None
        try:
            text = self.render([_PROBE, _PROBE_ANSWER, _PROBE], is_open=False)
        except Exception:  # noqa: BLE001  a template is a program; one that takes a single question may do
            text = self._answered()
        after = text.partition(_PROBE_ANSWER)[2].lstrip()
        tokens = self.tokenizer.get_added_vocab()
        ends = [token for token in tokens if token.strip() and after.startswith(token.strip())]
        return tokens[max(ends, key=len)] if ends else None

    def _answered(self) -> str:
        """One question and its answer; empty where the template takes a question alone."""
        try:
            return self.render([_PROBE, _PROBE_ANSWER], is_open=False)
        except Exception:  # noqa: BLE001  as above
            return ""

    def _try_template(self) -> None:
        problem = ""
        for self._has_parts in (False, True):
            try:
                if _PROBE in self.render([_PROBE]):
                    return
                problem = problem or "it leaves out what the user says"
            except Exception as error:  # noqa: BLE001  a template is a program, and may fail in any way
                problem = problem or (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ModelLoadError(
            f"the chat template of the model's tokenizer cannot be used: {problem}; "
            "set model.frame to conversation, or put another chat_template.jinja beside the model"
        )

    def _spoken(self, answer: str) -> str:
        """An earlier answer without its thought, which no template shows to the model again."""
        whole = OPENED + answer if self._begins_thought and not answer.lstrip().startswith(OPENED) else answer
        spoken = without_thoughts(whole)
        return answer if spoken == answer else spoken.strip()

    def _without_control(self, text: str) -> str:
        """A quoted `<|im_end|>` must stay ten characters, and end no turn."""
        return self._control.sub(rf"\g<0>{_CUT}", text)

    def _tokenize(self, text: str) -> list[int]:
        first, *rest = text.split(_CUT)
        ids = self._pieces.begin(first)
        for piece in rest:
            ids += self._pieces.go_on(piece)
        return ids


def day_of(recorded: Mapping[str, Any]) -> date:
    """The day that a run's chat template is told, ever since its beginning."""
    return date.fromisoformat(recorded["today"]) if "today" in recorded else TODAY


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The control token that a model's chat template writes after an answer, whatever frame a run takes."""
    try:
        return Frame(tokenizer).end_of_turn()
    except ModelLoadError:
        return None


def _conversation(texts: Sequence[str], prefill: str, *, reasons: bool) -> str:
    forms = (_QUESTION, _ANSWER)
    opening = REASONING_CONVERSATION if reasons else CONVERSATION
    turns = (forms[place % 2].format(text=text) for place, text in enumerate(texts))
    begun = [OPENED] * reasons + [prefill] * bool(prefill)
    return " ".join([opening + "".join(turns), *begun])


def dated(template: str, today: date) -> str:
    """The template, in which `strftime_now` is a macro that knows one day; that of transformers asks."""
    if "strftime_now" not in template:
        return template
    replaced = "".join(
        f".replace('%{padding}{letter}', {today.strftime(f'%{padding}{letter}')!r})"
        for letter in _DIRECTIVES
        for padding in ("", "-")
    )
    macro = (
        "{%- macro strftime_now(format) -%}{{- format" + replaced + ".replace('%%', '%') -}}{%- endmacro -%}"
    )
    return macro + template
