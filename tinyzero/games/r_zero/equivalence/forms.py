"""The normal form of an answer. This is text processing, not algebra; only single numbers are evaluated."""

import re
from collections.abc import Callable
from fractions import Fraction

from tinyzero.games.r_zero.equivalence.characters import as_latex
from tinyzero.games.r_zero.equivalence.units import split_unit, unit_of

MAX_CHARS = 10_000
"""A longer answer is its own normal form."""
_MAX_NUMBER_CHARS = 400
"""A longer number stays as it is written."""

_MAX_LAYERS = 20
"""Boxes, signs and quotes around an answer that are taken off."""
_BEFORE_UNIT = "0123456789})"


def _plain_text(match: re.Match[str]) -> str:
    r"""`5\text{ m}` -> `5 meters`: in text, a letter behind a number is a unit."""
    before = match.string[max(0, match.start() - 2) : match.start()].rstrip()[-1:]
    unit = unit_of(match[1], may_be_letter=True) if before and before in _BEFORE_UNIT else ""
    return f" {unit or match[1]} "


_Replacement = str | Callable[[re.Match[str]], str]
_PATTERNS: tuple[tuple[str, _Replacement], ...] = (
    (r"\\?\$", ""),
    (r"\\(?:left|right|bigg?|Bigg?)(?![A-Za-z])\.?", ""),
    (r"\\(?:displaystyle|textstyle|limits)(?![A-Za-z])", ""),
    (r"(?<!\\)\\(?:[,;:!]|q?quad(?![A-Za-z]))", ""),
    (r"(?<!\\)\\(?=\s)", ""),
    (r"€ ?(\d[\d.,]*)", r"\1 euros"),
    (r"£ ?(\d[\d.,]*)", r"\1 pounds"),
    (r"(?<=\d) ?€", " euros"),
    (r"(?<=\d) ?£", " pounds"),
    (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    (r"\\(le|ge|ne)q(?![A-Za-z])", r"\\\1"),
    (r"<=", r"\\le "),
    (r">=", r"\\ge "),
    (r"\\(?:text|textbf|textit|textrm|mathrm|mbox) ?\{([^{}]*)\}", _plain_text),
    (r"\^ ?(?:\\circ|\{ ?\\circ ?\})", " degrees"),
    (r"\\%", "%"),
    (r"\{,\}", ","),
    (r"\\frac ?(\d)(?=[ \d{])", r"\\frac{\1}"),
    (r"(\\frac ?\{[^{}]*\}) ?(\d)", r"\1{\2}"),
    (r"\^(\\frac\{[^{}]*\}\{[^{}]*\})", r"^{\1}"),
    (r"(?<![\\A-Za-z])sqrt ?\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"(?<![\\A-Za-z])(sin|cos|tan|log|ln|exp|pi)(?![A-Za-z])", r"\\\1"),
    (r"\^\{(\w)\}(?!\w)", r"^\1"),
    (r"~|\s+", " "),
    (r" (?!\w)|(?<!\w) ", ""),  # remaining spaces separate letters or digits
)
_REWRITES = [(re.compile(pattern, re.ASCII), replacement) for pattern, replacement in _PATTERNS]
_WRAPPINGS = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\\\((.*)\\\)",
        r"\\\[(.*)\\\]",
        r"\\(?:boxed|fbox) ?\{(.*)\}",
        r"`(.*)`",
        r"\*\*(.*)\*\*",
    )
]

_DECIMAL = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?)(?:"
    rf"(?P<plain>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{{1,2}})?)"
    rf"|(?P<top>\d+\.?\d*|\.\d+)/(?P<bottom>\d+\.?\d*|\.\d+)"
    rf"|\\frac\{{(?P<latex_top>{_DECIMAL})\}}\{{(?P<latex_bottom>{_DECIMAL})\}}"
    rf"|(?P<whole>\d+)(?: (?P<part>\d+)/(?P<of>\d+)|\\frac\{{(?P<latex_part>\d+)\}}\{{(?P<latex_of>\d+)\}})"
    rf")",
    re.ASCII,
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_TOO_LARGE = re.compile(r"\d{5,}\)? ?!|\^ ?\{?[+-]?\(?\d{5,}")

_FUNCTIONS = "arcsin arccos arctan sinh cosh tanh cot sec csc max min gcd lcm det mod lim".split()  # noqa: SIM905
_SHORT_WORDS = "or no is if of to in on it an as at be by we so am pm".split()  # noqa: SIM905
_WORD = re.compile(r"\\?[A-Za-z]{2,}")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[a-z]+\}")
_PROSE = re.compile(r"[A-Za-z][A-Za-z ,'-]*")


def normal_form(answer: str) -> str:
    r"""The one standard way to write an answer; equal forms mean the same answer.

    Removes what has no meaning in LaTeX ($, \left, \text, spaces, a box around everything, a full stop at
    the end), writes Unicode as LaTeX, and numbers in one way: `\dfrac12`, `½`, `0.50` and `+1/2` become
    `1/2`, `1,234.0` becomes `1234`, `1\frac{1}{2}` becomes `3/2`, `1e-3` becomes `1/1000`, `50\%` becomes
    `50%`. Units stay, in one spelling. An answer of words only is lower-cased.
    """
    if len(answer) > MAX_CHARS:
        return answer
    text = as_latex(answer).strip()
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _unwrapped(text)
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1]
    text = _quantity(text)
    return text.casefold() if _PROSE.fullmatch(text) and is_prose(text) else text


def number(form: str) -> Fraction | None:
    """The value of a normal form that is a number, without unit or percent sign."""
    if len(form) > _MAX_NUMBER_CHARS:
        return None
    match = _NUMBER.fullmatch(form)
    return _value({name: part for name, part in match.groupdict().items() if part}) if match else None


def is_too_large(form: str) -> bool:
    """Whether a normal form holds a factorial or a power that no computer writes out, such as `1000000!`."""
    return _TOO_LARGE.search(form) is not None


def is_prose(form: str) -> bool:
    """Whether a normal form has words. Algebra would read them as products of letters."""
    words = _WORD.findall(_ENVIRONMENT.sub("", form))
    return any(character.isalpha() and not character.isascii() for character in form) or any(
        word.lower() in _SHORT_WORDS or (len(word) > 2 and word not in _FUNCTIONS)
        for word in words
        if not word.startswith("\\")
    )


def _unwrapped(text: str) -> str:
    for _ in range(_MAX_LAYERS):
        match = next((m for wrapping in _WRAPPINGS if (m := wrapping.fullmatch(text))), None)
        if match is None or not _is_balanced(match[1]):
            break
        text = match[1]
    return text


def _is_balanced(text: str) -> bool:
    """Whether the braces are balanced. If not, the text is two boxes side by side."""
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


def _quantity(text: str) -> str:
    """A number, with or without a unit, in standard form; of other values only the unit is rewritten."""
    if len(text) > _MAX_NUMBER_CHARS:
        return text
    if (plain := _plain_number(text)) is not None:
        return plain
    value, unit = split_unit(text)
    plain = _plain_number(value) or value
    return f"{plain}{'' if unit == '%' else ' '}{unit}" if unit else text


def _plain_number(text: str) -> str | None:
    value = number(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text)
    return None if value is None else str(value)


def _value(parts: dict[str, str]) -> Fraction | None:
    """The value of the named parts of `_NUMBER`; None for a division by zero."""

    def share(top: str, bottom: str) -> Fraction:
        return Fraction(parts[top]) / Fraction(parts[bottom])

    try:
        if "plain" in parts:
            value = Fraction(parts["plain"])
        elif "top" in parts:
            value = share("top", "bottom")
        elif "latex_top" in parts:
            value = share("latex_top", "latex_bottom")
        elif "part" in parts:
            value = int(parts["whole"]) + share("part", "of")
        else:
            value = int(parts["whole"]) + share("latex_part", "latex_of")
    except ZeroDivisionError:
        return None
    return -value if parts.get("sign") == "-" else value
