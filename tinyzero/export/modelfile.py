"""Writes an Ollama Modelfile: conversations of several turns, as the chat template has them.

The chat template is a program in another language, so it is asked: what it writes around marked turns becomes
a Go template, which must give back every conversation that was asked for.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SYSTEM = "Tinyzero-System"
_TURNS = tuple(f"Tinyzero-Turn-{number}" for number in range(5))
_ROLES = ("user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What stands around the turns of a conversation.

    Attributes:
        start: before the first user's turn. before_system, after_system: around a system prompt.
        answer: between a user's turn and the answer. user: between an answer and the next user's turn.
        end: after the last user's turn, up to where an answer begins.
    """

    start: str
    before_system: str
    after_system: str
    answer: str
    user: str
    end: str

    def write(self, turns: Sequence[str], system: str | None) -> str:
        """A conversation as the Go template writes it."""
        first = self.start if system is None else f"{self.before_system}{system}{self.after_system}"
        between = [first, *(self.answer if place % 2 else self.user for place in range(1, len(turns)))]
        return "".join(f"{text}{turn}" for text, turn in zip(between, turns, strict=True)) + self.end

    def as_go(self) -> str:
        """The Go template. `$last` is the role of the turn before."""
        start, before, after, answer, user, end = map(_literal, (
            self.start, self.before_system, self.after_system, self.answer, self.user, self.end
        ))  # fmt: skip
        return (
            '{{ $last := "" }}{{ range .Messages }}{{ if eq .Role "user" }}'
            f"{{{{ if $last }}}}{user}{{{{ else if $.System }}}}{before}{{{{ $.System }}}}{after}"
            f"{{{{ else }}}}{start}{{{{ end }}}}{{{{ .Content }}}}{{{{ $last = .Role }}}}"
            f'{{{{ else if eq .Role "assistant" }}}}{answer}{{{{ .Content }}}}{{{{ $last = .Role }}}}'
            "{{ end }}"
            f'{{{{ end }}}}{{{{ if ne $last "assistant" }}}}{end}{{{{ end }}}}'
        )


def modelfile(
    gguf_name: str, *, template: str | None, stops: Sequence[str], parameters: Mapping[str, float]
) -> str:
    """The Modelfile's text. Values that could end a quotation, and so add instructions, are omitted.

    Args:
        parameters: by name; those that are not named get Ollama's defaults, which are not those of training.
    """
    lines = [f"FROM ./{gguf_name}"]
    if template is not None:
        lines.append(f'TEMPLATE """{template}"""')
    lines += [f'PARAMETER stop "{stop}"' for stop in stops if _is_quotable(stop)]
    lines += [f"PARAMETER {name} {value:g}" for name, value in parameters.items()]
    return "\n".join(lines) + "\n"


def sampled_as_trained(temperature: float, *, context_tokens: int, answer_tokens: int) -> dict[str, float]:
    """Ollama's parameters for what was trained: its defaults penalise repetition and cut tails."""
    return {
        "temperature": temperature, "top_p": 1, "top_k": 0, "min_p": 0, "repeat_penalty": 1,
        "num_ctx": context_tokens, "num_predict": answer_tokens,
    }  # fmt: skip


def go_template(tokenizer: Any, *, begins_by_itself: bool) -> str | None:  # noqa: ANN401  a tokenizer of transformers
    """The chat template in Ollama's language; None where that cannot say it.

    Args:
        begins_by_itself: whether the engine adds the begin token, which must not stand there twice.
    """
    turns = turns_of(tokenizer)
    if turns is None:
        return None
    begin = str(tokenizer.bos_token or "") if begins_by_itself else ""
    if begin:
        turns = Turns(
            start=turns.start.removeprefix(begin), before_system=turns.before_system.removeprefix(begin),
            after_system=turns.after_system, answer=turns.answer, user=turns.user, end=turns.end,
        )  # fmt: skip
    return turns.as_go()


def turns_of(tokenizer: Any) -> Turns | None:  # noqa: ANN401
    """What a chat template writes around turns; None where no fixed text does."""
    one, three = _around(tokenizer, 1, None), _around(tokenizer, 3, None)
    if one is None or three is None:
        return None
    start, end = one
    _, answer, user, _ = three
    with_system = _around(tokenizer, 1, _SYSTEM) or (start, "\n\n", end)
    turns = Turns(
        start=start,
        before_system=with_system[0],
        after_system=with_system[1],
        answer=answer,
        user=user,
        end=end,
    )
    is_right = all(
        _render(tokenizer, number, system) in (None, turns.write(_TURNS[:number], system))
        for number in (1, 3, 5)
        for system in (None, _SYSTEM)
    )
    return turns if is_right else None


def _around(tokenizer: Any, number: int, system: str | None) -> list[str] | None:  # noqa: ANN401
    """The texts before, between and behind the marks; None where a mark is missing or stands twice."""
    text = _render(tokenizer, number, system)
    pieces = [] if text is None else list(_split(text, [*([system] if system else []), *_TURNS[:number]]))
    return pieces if len(pieces) == number + 1 + bool(system) else None


def _split(text: str, marks: Sequence[str]) -> Iterator[str]:
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found or mark in text:
            return
        yield before
    yield text


def _render(tokenizer: Any, number: int, system: str | None) -> str | None:  # noqa: ANN401
    messages = [{"role": _ROLES[place % 2], "content": turn} for place, turn in enumerate(_TURNS[:number])]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except Exception:  # noqa: BLE001  a template is a program, and may refuse a system prompt
        return None


def _literal(text: str) -> str:
    """Text for a Go template within three quotes."""
    is_plain = not any(sign in text for sign in ('"', "{{", "}}"))
    return text if is_plain else f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"


def _is_quotable(text: str) -> bool:
    return bool(text) and text.isprintable() and '"' not in text and "\\" not in text
