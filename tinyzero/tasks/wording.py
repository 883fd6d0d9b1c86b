"""What people write around a value: Markdown, LaTeX, a sentence, the call that returns it. Text in, text out.

Nothing is evaluated here. A text is read as it stands first, so that no mark within a literal gets lost.
"""

import re
from collections.abc import Iterator

from tinyzero.execution.literals import MAX_ARGUMENTS_CHARS, Reader
from tinyzero.execution.values import BadLiteral, parse_arguments

_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_VISIBLE = str.maketrans(dict.fromkeys(_INVISIBLE, "") | dict.fromkeys("\u00a0\u202f", " "))
_MAX_LAYERS = 6
_HEADING = re.compile(r"\A(?:#+|>(?!>))\s*")
_LATEX_TEXT = r"\\(?:text|texttt|textbf|textit|mathtt|mathrm|mathbf|mbox)[ \t]*"
_IN_LATEX = re.compile(rf"{_LATEX_TEXT}\{{(.*)\}}|\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL)
_LATEX = re.compile(rf"\\(?:left|right)(?![A-Za-z])|\\[ ,;!]|{_LATEX_TEXT}\{{([^{{}}]*)\}}|\\([{{}}_%$&#])")
# In a line: a string, so that brackets inside of it are text, or a bracket. A string may lack its end.
_BRACKET_OR_STRING = re.compile(r"'(?:[^'\\]|\\.)*(?:'|\\?\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)|[()\[\]{}]")
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_CALL = re.compile(r"(?<![\w.])f\(")
_RETURNS = r"returns?|outputs?|prints?|gives?|yields?|equals?|evaluates? to|is equal to"
_RESULT = re.compile(rf"[)`*$\s]*(?:[-=]>|={{1,3}}|→|⇒|\\(?:to|[Rr]ightarrow)\b|(?:{_RETURNS}|is)\b):?")
_RETURNED = re.compile(rf"\b(?:{_RETURNS}):? ")
_NOUNS = {
    "input": r"inputs?|arguments?|answer",
    "output": r"output|answer|result|(?:returned|return|final) value|value returned",
}
_IS = r" (?:is|are|will be|would be|must be|should be)| ?(?:=|->|→)"
_SENTENCES = {
    tag: re.compile(rf"\b(?:{nouns})(?: of [^\n]{{0,80}}?)?(?:{_IS}):? ?", re.IGNORECASE)
    for tag, nouns in _NOUNS.items()
}
_COLON_AT_END = re.compile(r":[* \t]*\n\s*")
# What may follow a value in its sentence. `6 or 7` and `6 if ...` give no answer.
_GOES_ON = re.compile(
    r"[.!;]?\s*\Z|[.!;:]\s+[^\W\d]|,?\s+(?:because|since|as|so|which|not|but|thus|hence)\b", re.IGNORECASE
)
_MAX_SENTENCES = 3
"""Sentences of a line that are tried, from its end."""


def trimmed(text: str) -> str:
    """Without invisible characters (zero width, byte order mark) at the ends of lines."""
    if not any(character in text for character in _INVISIBLE):
        return text
    return "\n".join(line.strip(_INVISIBLE) for line in text.split("\n"))


def visible(text: str) -> str:
    """Without any invisible characters, and with plain spaces only."""
    return text.translate(_VISIBLE)


def readings(text: str, tag: str) -> Iterator[str]:
    """A text, then the same without the marks around it, then the value or the arguments of a call in it."""
    yield from unmarked(text)
    yield from from_call(text, tag)


def unmarked(text: str) -> Iterator[str]:
    """A text, and the same without the marks around it, if there are any."""
    yield from dict.fromkeys((text, unwrapped(text)))


def unwrapped(text: str) -> str:
    r"""`**5**.` -> `5`; also `#### 5`, `$5$`, `\(5\)`, `\text{5}`."""
    for _ in range(_MAX_LAYERS):
        inner = _without_layer(_HEADING.sub("", text.strip()).rstrip(".,;!"))
        if inner == text:
            break
        text = inner
    return _LATEX.sub(r"\1\2", text) if "\\" in text else text


def _without_layer(text: str) -> str:
    text = text.strip("`$")
    if text.endswith("*") or text[:1] == text[-1:] == "_":  # `*[1]` is no list
        return text.strip(text[-1])
    match = _IN_LATEX.fullmatch(text) if text.startswith("\\") else None
    return next(inner for inner in match.groups() if inner is not None) if match else text


def from_call(text: str, tag: str) -> Iterator[str]:
    """The arguments of the last call of `f` in the last line, or its result, which a console shows below.

    An indented last line belongs to a program that is quoted.
    """
    text = unwrapped(text)
    _, console, shown = text.rpartition(">>> ")
    if console and tag == "output":
        yield unwrapped(shown.partition("\n")[2])
    before, _, line = text.rpartition("\n")
    calls = list(_CALL.finditer(line))
    if before and (not calls or line[:1].isspace()):
        return
    rest = line[calls[-1].end() :] if calls else ""
    if tag == "input":
        yield from filter(None, [first_arguments(rest)])
    else:
        yield from _results(rest[len(_up_to_closing(rest)) :] if calls else line, has_call=bool(calls))


def _results(ending: str, *, has_call: bool) -> Iterator[str]:
    """What stands behind `=`, `->`, `returns` and the like."""
    result = _RESULT.match(ending)
    if result:
        yield unwrapped(ending[result.end() :])
    if result or has_call:
        yield unwrapped(ending.rpartition("=")[2])


def told(text: str, tag: str) -> Iterator[str]:
    """What elements such as <output> hold, and what sentences end with: `So the output is **5**.`."""
    element = rf"<(?:{tag}|answer)>(.*?)(?:</(?:{tag}|answer)>|\Z)"
    for inside in reversed(re.findall(element, text, re.DOTALL | re.IGNORECASE)):
        yield from readings(inside.strip(), tag)
    lines = _COLON_AT_END.sub(": ", text.rstrip()).split("\n")
    if tag == "output":
        yield from _told_in(lines[-1], tag, _RETURNED)
    for line in reversed(lines):
        yield from _told_in(line, tag, _SENTENCES[tag])


def _told_in(line: str, tag: str, sentence: re.Pattern[str]) -> Iterator[str]:
    for match in list(sentence.finditer(line))[: -_MAX_SENTENCES - 1 : -1]:
        words = line[match.end() :].strip()
        yield from readings(words.removesuffix("."), tag)
        yield from filter(None, [_first_value(words)])


def _first_value(words: str) -> str:
    """The value that a sentence goes on from: `6 because ...` -> `6`; empty if there is none."""
    try:
        reader = Reader(words[:MAX_ARGUMENTS_CHARS], MAX_ARGUMENTS_CHARS)
        reader.value()
    except (ValueError, OverflowError, TypeError, RecursionError):  # as in `Reader.guarded`
        return ""
    value = words[: reader.position].rstrip().removesuffix(".")
    return value if _GOES_ON.match(words, len(value)) else ""


def first_arguments(text: str) -> str:
    """The beginning of `text` up to the `)` that closes a call, if it reads as arguments; else empty."""
    arguments = _up_to_closing(text.partition("\n")[0])
    try:
        parse_arguments(arguments)
    except BadLiteral:
        return ""
    return arguments


def _up_to_closing(line: str) -> str:
    """What stands before the first bracket that nothing on the line opens; empty without one."""
    depth = 0
    for match in _BRACKET_OR_STRING.finditer(line):
        depth += match[0] in _OPENING
        depth -= match[0] in _CLOSING
        if depth < 0:
            return line[: match.start()]
    return ""


_BOX = r"\\(?:boxed|fbox|framebox)[ \t]*"
_BOX_OPENING = re.compile(rf"{_BOX}\{{")
_BRACE = re.compile(rf"(?P<box>{_BOX}\{{)|[{{}}]")
# TeX needs no braces around a single number.
_NUMBER = re.compile(r"\\(?:boxed|fbox)[ \t]*([-+]?\d[^\s$]*)")


def has_box(text: str) -> bool:
    r"""Whether a text has a `\boxed{`, closed or not."""
    return _BOX_OPENING.search(text) is not None


def boxes(text: str) -> list[str]:
    r"""What each `\boxed{...}` holds, in order; not those that are empty, never end or hold another."""
    spans = _spans(text)
    braced = [(start, text[start:end].strip()) for start, end in spans]
    bare = [(match.start(), match[1].rstrip(".,;:!")) for match in _NUMBER.finditer(text)]
    return [inside for _, inside in sorted(braced + bare) if inside]


def boxed(text: str) -> str:
    r"""What the last `\boxed{...}` that is not empty holds; empty without one, or if the last is cut off.

    Models forget to close it: then it ends with its line, if another follows.
    """
    openings = [match.end() for match in _BOX_OPENING.finditer(text)]
    closed = boxes(text)
    if not openings or openings[-1] in dict(_spans(text)):
        return closed[-1] if closed else ""
    line, newline, _ = text[openings[-1] :].partition("\n")
    return line.strip() if newline else ""


def _spans(text: str) -> list[tuple[int, int]]:
    """Where the content of each innermost box begins and ends. Braces nest."""
    spans: list[tuple[int, int]] = []
    opened: list[int] = []  # where the content of a box begins; 0 for another brace
    innermost = 0
    for match in _BRACE.finditer(text):
        if match["box"]:
            innermost = match.end()
        if match[0] != "}":
            opened.append(match.end() if match["box"] else 0)
        elif opened and (start := opened.pop()) and start == innermost:
            spans.append((start, match.start()))
    return spans
