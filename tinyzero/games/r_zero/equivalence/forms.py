"""The normal form of an answer. This is text processing, not algebra; only single numbers are evaluated."""

import re
from fractions import Fraction

MAX_CHARS = 10_000
"""A longer answer is its own normal form."""
_MAX_NUMBER_CHARS = 400
"""A longer number stays as it is written."""

_CHARACTERS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "π": r"\pi ",
        "∞": r"\infty ",
        "°": r"^\circ ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "~": " ",
    }
)
_REWRITES = [
    (re.compile(pattern, re.ASCII), replacement)
    for pattern, replacement in (
        (r"\\?\$", ""),
        (r"\\(?:left|right|bigg?|Bigg?)(?![A-Za-z])\.?", ""),
        (r"\\(?:displaystyle|textstyle|limits)(?![A-Za-z])", ""),
        (r"(?<!\\)\\(?:[,;:!]|q?quad(?![A-Za-z]))", ""),
        (r"(?<!\\)\\(?=\s)", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(le|ge|ne)q(?![A-Za-z])", r"\\\1"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"\\(?:text|textbf|textit|textrm|mathrm|mbox) ?\{([^{}]*)\}", r" \1 "),
        (r"\^ ?(?:\\circ|\{ ?\\circ ?\})", " degrees"),
        (r"\\%", "%"),
        (r"\{,\}", ","),
        (r"\\frac ?(\d)(?=[ \d{])", r"\\frac{\1}"),
        (r"(\\frac ?\{[^{}]*\}) ?(\d)", r"\1{\2}"),
        (r"(?<![\\A-Za-z])sqrt ?\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])(sin|cos|tan|log|ln|exp|pi)(?![A-Za-z])", r"\\\1"),
        (r"\s+", " "),
        (r" (?!\w)|(?<!\w) ", ""),  # remaining spaces separate letters or digits
    )
]
_WRAPPINGS = [
    re.compile(pattern, re.DOTALL)
    for pattern in (r"\\\((.*)\\\)", r"\\\[(.*)\\\]", r"\\(?:boxed|fbox)\{(.*)\}")
]

_DECIMAL = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?)(?:"
    rf"(?P<plain>(?:\d+\.?\d*|\.\d+))"
    rf"|(?P<top>\d+\.?\d*|\.\d+)/(?P<bottom>\d+\.?\d*|\.\d+)"
    rf"|\\frac\{{(?P<latex_top>{_DECIMAL})\}}\{{(?P<latex_bottom>{_DECIMAL})\}}"
    rf"|(?P<whole>\d+)(?: (?P<part>\d+)/(?P<of>\d+)|\\frac\{{(?P<latex_part>\d+)\}}\{{(?P<latex_of>\d+)\}})"
    rf")",
    re.ASCII,
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_PERCENT = re.compile(r"(.*?) ?(?:%|percent)")

_UNIT_NAMES = {
    "degrees": "degrees degree deg",
    "cents": "cents cent",
    "dollars": "dollars dollar",
    "units": "units unit",
    "mm": "mm millimeters",
    "cm": "cm centimeters",
    "km": "km kilometers",
    "meters": "meters meter",
    "inches": "inches inch",
    "feet": "feet foot ft",
    "miles": "miles mile",
    "kg": "kg kilograms",
    "grams": "grams gram",
    "seconds": "seconds second sec",
    "minutes": "minutes minute min",
    "hours": "hours hour hr",
    "days": "days day",
    "weeks": "weeks week",
    "years": "years year",
    "mph": "mph",
}
_UNITS = {name: unit for unit, names in _UNIT_NAMES.items() for name in names.split()}
"""Single letters are not units: `5 m` may mean five times m."""
_QUANTITY = re.compile(r"(.*?) ?([a-z]+)", re.ASCII)

_TOO_LARGE = re.compile(r"\d{5,}\)? ?!|\^ ?\{?[+-]?\(?\d{5,}")

_FUNCTIONS = "arcsin arccos arctan sinh cosh tanh cot sec csc max min gcd lcm det mod lim".split()  # noqa: SIM905
_SHORT_WORDS = "or no is if of to in on it an as at be by we so am pm".split()  # noqa: SIM905
_WORD = re.compile(r"\\?[A-Za-z]{2,}")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[a-z]+\}")
_PROSE = re.compile(r"[A-Za-z][A-Za-z ,'-]*")


def normal_form(answer: str) -> str:
    r"""The one standard way to write an answer; equal forms mean the same answer.

    Removes what has no meaning in LaTeX ($, \left, \text, spaces, a box around everything, a full stop at
    the end) and writes numbers in one way: `\dfrac12`, `0.50` and `+1/2` become `1/2`, `1,234.0` becomes
    `1234`, `1\frac{1}{2}` becomes `3/2`, `50\%` becomes `50%`. Known units after a number stay, in one
    spelling. An answer of words only is lower-cased.
    """
    if len(answer) > MAX_CHARS:
        return answer
    text = answer.translate(_CHARACTERS).strip()
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


def split_unit(form: str) -> tuple[str, str]:
    """The number and the unit of a normal form; the unit is empty unless the form has both."""
    value, _, unit = form.partition(" ")
    return (value, unit) if unit in _UNIT_NAMES and number(value) is not None else (form, "")


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
    while True:
        match = next((m for wrapping in _WRAPPINGS if (m := wrapping.fullmatch(text))), None)
        if match is None or not _is_balanced(match[1]):
            return text
        text = match[1]


def _is_balanced(text: str) -> bool:
    """Whether the braces are balanced. If not, the text is two boxes side by side."""
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


def _quantity(text: str) -> str:
    """A number, with or without percent sign or unit, in standard form; other text is returned unchanged."""
    if len(text) > _MAX_NUMBER_CHARS:
        return text
    if (plain := _plain_number(text)) is not None:
        return plain
    percent = _PERCENT.fullmatch(text)
    if percent and (value := _plain_number(percent[1])) is not None:
        return f"{value}%"
    quantity = _QUANTITY.fullmatch(text)
    if quantity and quantity[2] in _UNITS and (value := _plain_number(quantity[1])) is not None:
        return f"{value} {_UNITS[quantity[2]]}"
    return text


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
