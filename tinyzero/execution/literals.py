"""Reads Python literals without evaluating anything.

It has its own parser, so that no text from a model reaches the compiler of this process: no stack
overflow, no printed warnings, the same caps on every Python version.
"""

import re
from collections.abc import Callable
from typing import Any
from unicodedata import lookup

MAX_ARGUMENTS_CHARS = 4096
"""Maximum length of the source of one argument list."""
MAX_LITERAL_CHARS = 1 << 18
"""Maximum length of any literal: the longest rendering of a value that fits in a child's result."""
MAX_NODES = 1 << 15
MAX_DEPTH = 128
"""Both exceed the caps of a child: `frozenset({...})` is one level there and two here."""
MAX_INT_BITS = 13_000
"""3,914 decimal digits. Python refuses to convert from 4,300 digits on, so all these integers convert."""


class BadLiteral(ValueError):
    """The text is not a literal, or exceeds the caps on size or depth."""


_SPACE = re.compile(r"(?:[ \t\r\n\f]|#[^\n]*)*")
_UNREADABLE = re.compile("[\0\ud800-\udfff]")
"""Python's own parser refuses them too; strings can use escapes instead."""
_NUMBER = re.compile(
    r"0[xXoObB][0-9a-fA-F_]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?[jJ]?"
)
_STRING = re.compile(
    r"([rRuUbB]|[rR][bB]|[bB][rR])?"
    r"(?:'''((?:[^\\]|\\.)*?)'''|\"\"\"((?:[^\\]|\\.)*?)\"\"\"|'((?:[^'\\\n]|\\.)*)'|\"((?:[^\"\\\n]|\\.)*)\")",
    re.DOTALL,
)
_NAME = re.compile(r"[A-Za-z_]+")
_ESCAPE = re.compile(
    r"\\(\r?\n|[\\'\"abfnrtv]|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|[xuUN])",
)
_BYTES_ESCAPE = re.compile(r"\\(\r?\n|[\\'\"abfnrtv]|[0-7]{1,3}|x[0-9a-fA-F]{2}|x)")
_ESCAPED = dict(zip("\\'\"abfnrtv", "\\'\"\a\b\f\n\r\t\v", strict=True))
_CONSTANTS = {"True": True, "False": False, "None": None}
_SPECIAL_FLOATS = frozenset(f"{sign}{word}" for sign in ("", "+", "-") for word in ("nan", "inf", "infinity"))
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_Number = int | float | complex


class Reader:
    """Recursive descent over one text, with caps on characters, nodes, depth and the size of integers."""

    def __init__(self, text: str, max_chars: int) -> None:
        if len(text) > max_chars:
            raise BadLiteral(f"the literal has {len(text)} characters; at most {max_chars} are read")
        if unreadable := _UNREADABLE.search(text):
            raise BadLiteral(f"character {unreadable.start()} cannot stand in a source text")
        self.text = text
        self.position = 0
        self.nodes_left = MAX_NODES
        self.depth = 0

    def guarded(self, read: Callable[[], Any]) -> Any:  # noqa: ANN401
        """The result of `read`, if it reads the complete text."""
        try:
            value = read()
        except (ValueError, OverflowError, TypeError, RecursionError) as error:  # TypeError: unhashable
            raise BadLiteral(str(error)) from error
        if self.position < len(self.text):
            raise BadLiteral(f"unexpected {self.text[self.position]!r} at character {self.position}")
        return value

    def peek(self) -> str:
        """The next character that is neither space nor comment, or an empty string at the end."""
        self.position = _SPACE.match(self.text, self.position).end()  # type: ignore[union-attr]
        return self.text[self.position : self.position + 1]

    def accept(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.position += 1
        return True

    def expect(self, character: str) -> None:
        if not self.accept(character):
            raise BadLiteral(f"expected {character!r} at character {self.position}")

    def items(self, closing: str) -> tuple[list[Any], bool]:
        """Values up to `closing`, and whether a comma followed the last."""
        items: list[Any] = []
        while self.peek() != closing:
            items.append(self.value())
            if not self.accept(","):
                return items, False
        return items, True

    def tuple_or_value(self, closing: str) -> Any:  # noqa: ANN401
        items, is_tuple = self.items(closing)
        if len(items) == 1 and not is_tuple:
            return items[0]
        if not items and not closing:
            raise BadLiteral("the literal is empty")
        return tuple(items)

    def value(self) -> Any:  # noqa: ANN401
        self.nodes_left -= 1
        if self.nodes_left < 0 or self.depth >= MAX_DEPTH:
            raise BadLiteral(f"more than {MAX_NODES} values, or nested deeper than {MAX_DEPTH}")
        first = self.peek()
        if first in _CLOSING:
            return self.display(first)
        if _STRING.match(self.text, self.position):
            return self.strings()
        if first in "+-.0123456789" and first:
            return self.number()
        return self.name()

    def display(self, opening: str) -> Any:  # noqa: ANN401
        closing = _CLOSING[opening]
        self.position += 1
        self.depth += 1
        if opening == "(":
            value = self.tuple_or_value(closing)
        elif opening == "[":
            value = self.items(closing)[0]
        else:
            value = self.dict_or_set()
        self.depth -= 1
        self.expect(closing)
        return value

    def dict_or_set(self) -> dict[Any, Any] | set[Any]:
        if self.peek() == "}":
            return {}
        first = self.value()
        if not self.accept(":"):
            return {first, *(self.items("}")[0] if self.accept(",") else ())}
        pairs = {first: self.value()}
        while self.accept(",") and self.peek() != "}":
            key = self.value()
            self.expect(":")
            pairs[key] = self.value()
        return pairs

    def number(self) -> _Number:
        """`-1`, `1.5e3`, `0x1F`, `-float('inf')`, or a real part followed by an imaginary part."""
        number = self.signed()
        if type(number) is not complex and self.peek() in ("+", "-"):
            imaginary = self.signed()
            if type(imaginary) is not complex:
                raise BadLiteral("only an imaginary number can be added to a number")
            return number + imaginary
        return number

    def signed(self) -> _Number:
        negative = self.accept("-")
        if not negative:
            self.accept("+")
        self.peek()
        match = _NUMBER.match(self.text, self.position)
        if match is None:
            return self.signed_special(negative=negative)
        self.position = match.end()
        number = _number(match.group())
        return -number if negative else number

    def signed_special(self, *, negative: bool) -> float:
        value = self.name()
        if type(value) is not float:
            raise BadLiteral("a sign belongs to a number")
        return -value if negative else value

    def strings(self) -> str | bytes:
        """One string, or several adjacent strings."""
        pieces: list[str | bytes] = []
        while match := _STRING.match(self.text, self.position):
            self.position = match.end()
            prefix = (match.group(1) or "").lower()
            body = next(group for group in match.groups()[1:] if group is not None)
            pieces.append(_bytes(body, raw="r" in prefix) if "b" in prefix else _str(body, raw="r" in prefix))
            self.peek()
        if len({type(piece) for piece in pieces}) > 1:
            raise BadLiteral("bytes and text side by side")
        return pieces[0][:0].join(pieces)  # type: ignore[arg-type]

    def name(self) -> Any:  # noqa: ANN401
        match = _NAME.match(self.text, self.position)
        word = match.group() if match else ""
        if not word:
            raise BadLiteral(f"expected a value at character {self.position}")
        self.position += len(word)
        return _CONSTANTS[word] if word in _CONSTANTS else self.call(word)

    def call(self, word: str) -> Any:  # noqa: ANN401
        if word not in ("set", "frozenset", "float", "complex") or not self.accept("("):
            raise BadLiteral(f"{word} is not a literal")
        self.depth += 1
        arguments = self.items(")")[0]
        self.depth -= 1
        self.expect(")")
        return _constructed(word, arguments)


def _constructed(word: str, arguments: list[Any]) -> Any:  # noqa: ANN401
    """The value of one of the four calls that count as literals."""
    match word, arguments:
        case "set" | "frozenset", [] | [list() | tuple() | set()]:
            return (set if word == "set" else frozenset)(*arguments)
        case "float", [str(text)] if text.strip().lower() in _SPECIAL_FLOATS:
            return float(text)
        case "complex", [int() | float() as real, int() | float() as imag]:
            return complex(real, imag)
    raise BadLiteral(f"{word} with these arguments is not a literal")


def _number(token: str) -> _Number:
    if token[-1] in "jJ" and token[:2].lower() != "0x":
        return complex(0.0, float(token[:-1]))
    if token[:2].lower() in ("0x", "0o", "0b") or not set(token) & set(".eE"):
        integer = int(token, 0)
        if integer.bit_length() > MAX_INT_BITS:
            raise BadLiteral(f"an integer of more than {MAX_INT_BITS} bits")
        return integer
    return float(token)


def _str(body: str, *, raw: bool) -> str:
    return body if raw else _ESCAPE.sub(_unescaped, body)


def _bytes(body: str, *, raw: bool) -> bytes:
    if not body.isascii():
        raise BadLiteral("bytes can only contain ASCII characters")
    text = body if raw else _BYTES_ESCAPE.sub(_unescaped, body)
    return bytes(ord(character) & 0xFF for character in text)  # & 0xFF: octal escapes reach 0o777


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    if code in _ESCAPED:
        return _ESCAPED[code]
    if code[-1] == "\n":
        return ""
    if code[0] in "01234567":
        return chr(int(code, 8))
    if code[0] == "N" and len(code) > 1:
        try:
            return lookup(code[2:-1])
        except KeyError as error:
            raise BadLiteral(f"no character is named {code[2:-1]}") from error
    if len(code) == 1:
        raise BadLiteral(f"malformed \\{code} escape")
    return chr(int(code[1:], 16))
