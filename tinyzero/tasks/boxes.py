r"""Finds `\boxed{...}` and its like in what a model wrote. Text in, text out."""

import re

_BOX = r"\\(?:boxed|fbox|framebox)[ \t]*"
_OPENING = re.compile(rf"{_BOX}\{{")
_BRACE = re.compile(rf"(?P<box>{_BOX}\{{)|[{{}}]")
# TeX needs no braces around a single number.
_NUMBER = re.compile(r"\\(?:boxed|fbox)[ \t]*([-+]?\d[^\s$]*)")


def has_box(text: str) -> bool:
    r"""Whether a text has a `\boxed{`, closed or not."""
    return _OPENING.search(text) is not None


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
    openings = [match.end() for match in _OPENING.finditer(text)]
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
