"""A run's frame as a chat template, for the programs that open what was trained."""

from collections.abc import Sequence
from typing import Any

from tinyzero.policy.frame import CONVERSATION, REASONING_CONVERSATION, Frame, dated
from tinyzero.tasks.thoughts import CLOSED, OPENED

_TRIED = ("What is f(12)?\n\ndef f(x):\n    return x", "Forty-two.", "And f(13)?")
_TURNS = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{- 'User: ' + message['content'] + '\\n' -}}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{%- set spoken = message['content'] -%}"
    f"{{%- if '{CLOSED}' in spoken -%}}"
    f"{{%- set spoken = spoken.split('{CLOSED}')[-1] | trim -%}}{{%- endif -%}}"
    "{{- 'Assistant: ' + spoken + '\\n' -}}"
    "{%- else -%}{{- message['content'] + '\\n' -}}{%- endif -%}"
    "{%- endfor -%}"
)


def chat_template(frame: Frame, *, reasons: bool) -> str:
    """The chat template that gives other programs the tokens that the run's prompts had.

    Args:
        reasons: whether the run told a model without a chat template to reason first.
    """
    if frame.has_chat_template:
        return dated(str(frame.tokenizer.get_chat_template()), frame.today)
    expected = frame.encode_turns(_TRIED, reasons=reasons)
    written = [_conversation(frame, gap, reasons=reasons) for gap in ("", " ")]
    return next(
        (text for text in written if tokens_of(frame.tokenizer, _TRIED, text) == expected), written[0]
    )


def conversation_around(frame: Frame, question: str, template: str) -> str:
    """The written conversation that a base model continues; empty where the model has a chat template."""
    if frame.has_chat_template:
        return ""
    return _written(frame.tokenizer, [question], template)


def tokens_of(tokenizer: Any, turns: Sequence[Any], template: str | None = None) -> list[int]:  # noqa: ANN401
    """What a tokenizer makes of a conversation by itself, up to the opening of the next answer.

    Args:
        turns: contents; the user's are the first, the third, and so on.
        template: for its own one.
    """
    return list(tokenizer(_written(tokenizer, turns, template), add_special_tokens=False).input_ids)


def _written(tokenizer: Any, turns: Sequence[Any], template: str | None) -> str:  # noqa: ANN401
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": turn} for place, turn in enumerate(turns)]
    options = {} if template is None else {"chat_template": template}
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options))


def _conversation(frame: Frame, gap: str, *, reasons: bool) -> str:
    """The written conversation. SentencePiece tokenizers may want a gap after a begin token."""
    begin = frame.leading_text
    opening = REASONING_CONVERSATION if reasons else CONVERSATION
    answer = f"Assistant: {OPENED}" if reasons else "Assistant:"
    start = f"{begin}{gap if begin else ''}{opening}"
    end = f"{{%- if add_generation_prompt -%}}{{{{- {answer!r} -}}}}{{%- endif -%}}"
    return f"{{{{- {start!r} -}}}}{_TURNS}{end}"
