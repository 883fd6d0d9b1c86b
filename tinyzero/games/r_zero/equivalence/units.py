"""The unit of an answer, percent included: cuts it off and writes it in one way."""

import re

_SPELLINGS = {
    "degrees": "degrees degree deg",
    "newtons": "newtons newton",
    "joules": "joules joule",
    "watts": "watts watt",
    "volts": "volts volt",
    "radians": "radians radian rad",
    "cents": "cents cent",
    "dollars": "dollars dollar",
    "euros": "euros euro",
    "units": "units unit",
    "mm": "mm millimeters millimeter millimetres millimetre",
    "cm": "cm centimeters centimeter centimetres centimetre",
    "km": "km kilometers kilometer kilometres kilometre",
    "meters": "meters meter metres metre",
    "inches": "inches inch",
    "feet": "feet foot ft",
    "yards": "yards yard yd",
    "miles": "miles mile mi",
    "kg": "kg kilograms kilogram",
    "mg": "mg milligrams milligram",
    "grams": "grams gram",
    "pounds": "pounds pound lbs lb",
    "ounces": "ounces ounce oz",
    "ml": "ml milliliters milliliter millilitres millilitre",
    "liters": "liters liter litres litre",
    "seconds": "seconds second sec secs",
    "minutes": "minutes minute min mins",
    "hours": "hours hour hr hrs",
    "days": "days day",
    "weeks": "weeks week",
    "months": "months month",
    "years": "years year",
    "miles/hours": "mph",
    "km/hours": "kph kmh",
}
_UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_LETTERS = {"m": "meters", "s": "seconds", "h": "hours", "g": "grams", "l": "liters"}
_LETTERS_IN_TEXT = _LETTERS | {"n": "newtons", "j": "joules", "w": "watts", "v": "volts"}
"""Not units on their own: `5 m` may mean five times m. `5 m/s` and `5\\text{ m}` have a unit."""
_PERCENT = ("\\%", "%", "percent", "per cent")
_MAX_CHARS = 400
"""A longer text is an essay and has no unit."""
_TAIL = re.compile(r"(.*?(?:[\d})!]|\\pi))( ?)([A-Za-z][A-Za-z0-9 /^{}\\-]*)", re.DOTALL)
_PLAIN_NUMBER = re.compile(r"[+-]?[\d.,/ ]+", re.ASCII)
_TERM = re.compile(r"([a-z]+)(?:\^(-?\d))?")
_POWERS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[{}]", ""),
        (r" ?\\cdot ?", " "),
        (r"\b(?:square|sq) ([a-z]+)", r"\1^2"),
        (r"\b(?:cubic|cu) ([a-z]+)", r"\1^3"),
        (r" squared\b", "^2"),
        (r" cubed\b", "^3"),
        (r" ?(?:/|\bper\b) ?", "/"),
    )
]
_COUNTED = re.compile(r"[a-z]{3,}(?: (?:of|[a-z]{3,}))*")
# Words behind a number that make another value of it, or another statement.
_NO_COUNTED = frozenset(
    """
    all and base billion choose cubed dozen even factorial half halves hundred infinity less million minus mod
    modulo more not odd plus quarter quarters remainder squared than third thirds thousand times trillion with
    arcsin arccos arctan sin cos tan sinh cosh tanh cot sec csc log exp max min gcd lcm det lim pi sqrt
    """.split()  # noqa: SIM905
)


def split_unit(text: str) -> tuple[str, str]:
    r"""The value and the unit of an answer; the unit is empty where there is none.

    `50%` has the unit `%`, `25 cm^2` and `25 square centimeters` have `cm^2`, `5 km per hour` has `km/hours`,
    and `12 apples` has `apples`: a word behind a plain number says what was counted.
    """
    if len(text) > _MAX_CHARS:
        return text, ""
    for sign in _PERCENT:
        if text.endswith(sign) and any(character.isdigit() for character in text):
            return text.removesuffix(sign).rstrip(), "%"
    match = _TAIL.fullmatch(text)
    if match is None:
        return text, ""
    value, space, tail = match.groups()
    unit = unit_of(tail)
    if not unit and space and _PLAIN_NUMBER.fullmatch(value):
        unit = _counted(tail.lower())
    return (value, unit) if unit else (text, "")


def unit_of(text: str, *, may_be_letter: bool = False) -> str:
    """The standard spelling of a unit, or of a product or quotient of units; empty for any other text."""
    for pattern, replacement in _POWERS:
        text = pattern.sub(replacement, text.lower())
    letters = _LETTERS_IN_TEXT if may_be_letter else _LETTERS if "/" in text else {}
    parts = [[_term(term, letters) for term in part.split()] for part in text.split("/")]
    is_unit = all(part and all(part) for part in parts)
    return "/".join(" ".join(part) for part in parts) if is_unit else ""


def _term(text: str, letters: dict[str, str]) -> str:
    match = _TERM.fullmatch(text)
    name = (_UNITS.get(match[1]) or letters.get(match[1], "")) if match else ""
    return f"{name}^{match[2]}" if match and name and match[2] else name


def _counted(words: str) -> str:
    is_counted = _COUNTED.fullmatch(words) and not _NO_COUNTED & set(words.split())
    return words if is_counted else ""
