"""Finds fenced blocks in what a model wrote, however it fenced them. Text in, text out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Backticks anywhere, since models fence within a line; tildes only where Markdown reads them as a fence.
_MARK = re.compile(r"`{3,}|^[ \t>]*(~{3,})", re.MULTILINE)
_KNOWN = r"(py(?:thon)?[\d.]*(?:-repl|con)?|input|output|message)(?![A-Za-z_])"
_TAG = re.compile(rf"[ \t]*(?:\{{\.?(\w+)[^{{}}\n]*\}}|{_KNOWN}|([A-Za-z]\w*)(?=[\s:]|\Z)):?", re.IGNORECASE)
# A closing fence has nothing behind it. With a tag, the next block begins, since models forget to close.
_BEGINS_ANOTHER = re.compile(rf"\w|[ \t]+{_KNOWN}:?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_CODE_WORDS = frozenset(
    {"assert", "class", "def", "for", "from", "if", "import", "lambda", "print", "return"}
)
_LAMBDA = re.compile(r"^[ \t]*\w+[ \t]*=[ \t]*lambda\b", re.MULTILINE)
_PROGRAM = re.compile(r"\s*(?:(?:def|class|import|from) |@\w|\w+[ \t]*=[ \t]*lambda\b)")
_MARGIN = re.compile(r"(?:[ \t>]|[-*+] |\d{1,3}[.)] )*\Z")
_MAX_MARGIN = 40


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block; `tag` is lower case and empty where there was none."""

    tag: str
    body: str

    @property
    def is_python(self) -> bool:
        return not self.tag or self.tag.startswith("py")

    @property
    def is_program(self) -> bool:
        return self.is_python and defines(self.body)


def defines(code: str) -> bool:
    """Whether a text defines a function, by `def` or as `f = lambda ...`."""
    return "def " in code or _LAMBDA.search(code) is not None


def begins_with_code(text: str) -> bool:
    """Whether a text starts like a program that defines something."""
    return _PROGRAM.match(text) is not None


def fenced(text: str) -> list[Fence]:
    """All fenced blocks, in order. Each ends at a closing fence, at the next tagged one, or with the text."""
    marks = list(_MARK.finditer(text))
    longest = _longest_from([_ticks(mark) for mark in marks])
    blocks: list[Fence] = []
    opened: re.Match[str] | None = None
    for place, mark in enumerate(marks):
        if opened is None:
            opened = mark
        elif _closes(mark, opened, longest[place]):
            blocks.append(_block(text, opened, mark.start()))
            opened = mark if _BEGINS_ANOTHER.match(text, mark.end()) else None
    return [*blocks, _block(text, opened, len(text))] if opened else blocks


def _ticks(mark: re.Match[str]) -> str:
    return mark[1] or mark[0]


def _longest_from(ticks: Sequence[str]) -> list[dict[str, int]]:
    """For each place, the length of the longest fence of each character from there on."""
    sizes: list[dict[str, int]] = []
    longest: dict[str, int] = {}
    for mark in reversed(ticks):
        longest = {**longest, mark[0]: max(len(mark), longest.get(mark[0], 0))}
        sizes.append(longest)
    return sizes[::-1]


def _closes(mark: re.Match[str], opened: re.Match[str], longest: dict[str, int]) -> bool:
    """As in Markdown, a fence closes one of its character that is not longer, or that nothing else closes."""
    ticks, opening = _ticks(mark), _ticks(opened)
    return ticks[0] == opening[0] and len(ticks) >= min(len(opening), longest[ticks[0]])


def _block(text: str, opened: re.Match[str], end: int) -> Fence:
    first, _, rest = text[opened.end() : end].partition("\n")
    tag, code = _tag_and_code(first, is_alone=not rest.strip())
    body = _without_margin(rest, _margin(text, opened))
    return Fence(tag, f"{code}\n{body}".strip("\n").rstrip())


def _tag_and_code(line: str, *, is_alone: bool) -> tuple[str, str]:
    """The tag behind an opening fence, and the code that begins on its line.

    Args:
        is_alone: nothing follows the line within the block. Then a word that is no known tag is the content.
    """
    match = _TAG.match(line)
    if match is None:
        return "", line.strip()
    word, rest = match[1] or match[2] or match[3], line[match.end() :].strip()
    is_code = match[3] and (word in _CODE_WORDS or rest.startswith("=") or (is_alone and not rest))
    return ("", line.strip()) if is_code else (word.lower(), rest)


def _margin(text: str, opened: re.Match[str]) -> str:
    """What stands before a fence on its line: spaces, `> ` or a bullet; empty if it is anything else."""
    line = text[max(0, opened.start() - _MAX_MARGIN) : opened.start()].rpartition("\n")[2]
    before = line + opened[0].rstrip("`~")
    return before if _MARGIN.match(before) else ""


def _without_margin(body: str, margin: str) -> str:
    """The lines of a block without the indentation, or the quotation marks, of its fence."""
    if not margin:
        return body
    lines = body.split("\n")
    if ">" in margin:
        lines = [line.lstrip(" \t").removeprefix(">").removeprefix(" ") for line in lines]
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    depth = min([len(margin), *indents])
    return "\n".join(line[depth:] if line.strip() else "" for line in lines)
