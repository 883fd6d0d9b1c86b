"""Makes untrusted text inert: it controls no terminal, no layout, no page and no log.

All that files, models and programs say passes through here before a person's machine shows it.
"""

import logging
import re
from html import escape

_COLOR = re.compile(r"(\x1b\[[0-9;]{0,40}m)")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")
_REPLACED_AT = 20_000  # longer texts are cut first
_JOINERS = {*map(chr, range(0xFE00, 0xFE10))}  # variation selectors change the width of characters


def printable(text: str) -> str:
    """The text with escape sequences disabled: files, names and model output may contain them."""
    return "".join(char if char.isprintable() or char == "\n" else escaped(char) for char in text)


def colored(text: str) -> str:
    """Like `printable`, for a page that we have drawn: its colours stay."""
    pieces = _COLOR.split(text)
    return "".join(piece if at % 2 else printable(piece) for at, piece in enumerate(pieces))


def escaped(char: str) -> str:
    """The character as JSON and Python write it."""
    return "\\u007f" if char == "\x7f" else char.encode("unicode_escape").decode("ascii")


def as_html(text: str) -> str:
    """Text of a page: no markup, no control characters."""
    return escape(inert(text), quote=True)


def as_markdown(text: str) -> str:
    """Text of a card, on one line: no markup."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def in_code(text: str) -> str:
    """Text for a code span, or for a string in a program: what could end either is left out."""
    return "".join(char for char in text if char.isprintable() and char not in "`\"\\'")


class LogFormatter(logging.Formatter):
    """Entries of a log: no escape sequences, and no line of a message looks like an entry of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record)).replace("\n", "\n    ")


def inert(text: str, *, is_ascii: bool = False) -> str:
    r"""Like `printable`, for text in a layout of fixed width: tabs become spaces, long texts are cut.

    With `is_ascii`, all other characters are escaped: `\u4e2d`.
    """
    cut = text[:_REPLACED_AT].expandtabs(4)
    return "".join(char if _is_plain(char, is_ascii=is_ascii) else escaped(char) for char in cut)


def one_line(text: str, *, is_ascii: bool = False) -> str:
    """Like `inert`, on one line: line breaks become spaces."""
    return " ".join(inert(text, is_ascii=is_ascii).split())


def clipped(text: str, length: int) -> str:
    """At most `length` characters, ending in dots if the text was cut."""
    return text if len(text) <= length else f"{text[: max(0, length - 3)]}..."


def _is_plain(char: str, *, is_ascii: bool) -> bool:
    if char == "\n":
        return True
    return char.isprintable() and char not in _JOINERS and (char.isascii() or not is_ascii)
