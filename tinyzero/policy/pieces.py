"""Text to tokens and back, as a tokenizer leaves it undone: pieces of a text, and tags that are tokens."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tinyzero.tasks.thoughts import CLOSED, OPENED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ANCHORS = ("\n", "|", "0", "x")
"""What is put before a piece and taken away again. Llama's newline is a byte that merges with nothing."""
_SPACES = ("▁", "Ġ")  # as SentencePiece and byte-level tokenizers write a leading space
_ANSWER_TAGS = ("<answer>", "</answer>")
_THINKING = {"think", "thinking", "thought", "thoughts", "reason", "reasoning"}
_ENDING = {"end", "close", "stop"}
_FILLING = {"start", "begin", "open", "of", "seed"} | _ENDING


class Pieces:
    """Tokenises a text in pieces, so that what stands across a cut is no control token."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer: Any = tokenizer
        self.leading = _leading_specials(tokenizer)
        first = tokenizer.convert_ids_to_tokens(self.begin("x")[:1])
        self._adds_space = bool(first) and str(first[0]).startswith(_SPACES)

    def begin(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens around it."""
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def go_on(self, text: str) -> list[int]:
        """Token ids of a text that follows another one directly.

        SentencePiece tokenizers would put a space before it, as before any text.
        """
        if self._adds_space:
            for anchor in _ANCHORS:
                before, both = self.begin(anchor), self.begin(anchor + text)
                if both[: len(before)] == before:
                    return both[len(before) :]
        return self.begin(text)


def _leading_specials(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """What a tokenizer puts before a text by itself. What it puts behind would end a prompt: left out."""
    text: Any = tokenizer
    bare = list(text("x", add_special_tokens=False).input_ids)
    framed = list(text("x").input_ids)
    starts = range(len(framed) - len(bare) + 1)
    start = next((start for start in starts if framed[start : start + len(bare)] == bare), 0)
    return framed[:start]


class Reader:
    """Tokens to text: special tokens are left out, but for those that are tags in the text."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        tokens = tokenizer.get_added_vocab()
        tags = {token: token for token in _ANSWER_TAGS if token in tokens} | thought_tags(tokens)
        self._tags = {tokens[token]: tag for token, tag in tags.items() if self._text([tokens[token]]) != tag}

    def text(self, ids: Sequence[int]) -> str:
        """Tags for thoughts as `<think>` and `</think>`, whatever this model's are."""
        if self._tags.keys().isdisjoint(ids):
            return self._text(ids)
        runs = groupby(ids, key=lambda number: self._tags.get(number, ""))
        return "".join(tag * len(list(run)) if tag else self._text(list(run)) for tag, run in runs)

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))


def thought_tags(tokens: Iterable[str]) -> dict[str, str]:
    """`<think>` or `</think>` for each token that begins or ends a thought.

    By the words in it: `[/THINK]`, `<|end_of_thought|>`. With other words, only if it is one of a pair, as
    `<mm:think>` and `</mm:think>` are, and `/no_think` is not.
    """
    known = set(tokens)
    words = {token: set(re.findall(r"[a-z]+", token.lower())) for token in known}
    pairs = {(token.replace("/", "", 1), token) for token in known if "/" in token}
    paired = {token for pair in pairs if known.issuperset(pair) for token in pair}
    return {
        token: CLOSED if "/" in token or words[token] & _ENDING else OPENED
        for token in known
        if words[token] & _THINKING and (token in paired or not words[token] - _THINKING - _FILLING)
    }


def first_letters(tokens: Iterable[str]) -> re.Pattern[str]:
    """The first character of each of these tokens wherever it stands in a text; blank ones are no danger."""
    long = (token for token in tokens if token.strip() and len(token) > 1)
    return re.compile(
        "|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in long) or "(?!)"
    )
