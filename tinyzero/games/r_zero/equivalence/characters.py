"""Unicode mathematics in LaTeX: fractions, powers, roots, Greek letters, signs. Text in, text out."""

import re
import unicodedata

_SIGNS = {
    "\N{MINUS SIGN}": "-",
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{FIGURE DASH}": "-",
    "\N{EN DASH}": "-",
    "\N{FRACTION SLASH}": "/",
    "\N{DIVISION SLASH}": "/",
    "\N{DIVISION SIGN}": "/",
    "\N{MULTIPLICATION SIGN}": r"\times ",
    "\N{MIDDLE DOT}": r"\cdot ",
    "\N{DOT OPERATOR}": r"\cdot ",
    "\N{BULLET OPERATOR}": r"\cdot ",
    "\N{PLUS-MINUS SIGN}": r"\pm ",
    "\N{INFINITY}": r"\infty ",
    "\N{DEGREE SIGN}": r"^\circ ",
    "\N{LESS-THAN OR EQUAL TO}": r"\le ",
    "\N{GREATER-THAN OR EQUAL TO}": r"\ge ",
    "\N{NOT EQUAL TO}": r"\ne ",
    "\N{UNION}": r"\cup ",
    "\N{INTERSECTION}": r"\cap ",
    "\N{ELEMENT OF}": r"\in ",
    "\N{EMPTY SET}": r"\emptyset ",
}
_RAISED, _LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑₒₓₕₖₗₘₙₚₛₜ"
_SLASHED = re.compile(r"(?<![⁰¹²³⁴⁵⁶⁷⁸⁹])([⁰¹²³⁴⁵⁶⁷⁸⁹]+)[\u2044/]([₀₁₂₃₄₅₆₇₈₉]+)")
_POWER, _INDEX = re.compile(f"[{_RAISED}]+"), re.compile(f"[{_LOWERED}]+")
_ROOTS = {"√": "", "∛": "[3]", "∜": "[4]"}
_ROOT = re.compile(r"([√∛∜]) ?(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|\\?[A-Za-z]+))")
_GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (\w+)")


def as_latex(text: str) -> str:
    r"""`2√3` -> `2\sqrt{3}`, `1½` -> `1\frac{1}{2}`, `x²` -> `x^{2}`, `θ` -> `\theta `."""
    if text.isascii():
        return text
    text = _SLASHED.sub(lambda match: rf"\frac{{{_plain(match[1])}}}{{{_plain(match[2])}}}", text)
    text = _POWER.sub(lambda match: f"^{{{_plain(match[0])}}}", text)
    text = _INDEX.sub(lambda match: f"_{{{_plain(match[0])}}}", text)
    return _ROOT.sub(_root, text.translate(_TABLE))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-")


def _root(match: re.Match[str]) -> str:
    inside = next(group for group in match.groups()[1:] if group is not None)
    return rf"\sqrt{_ROOTS[match[1]]}{{{inside}}}"


class _Table(dict[int, str]):
    """Replacements of single characters, worked out when they first come up."""

    def __missing__(self, code: int) -> str:
        self[code] = _replacement(chr(code))
        return self[code]


def _replacement(character: str) -> str:
    if character.isascii():
        return character
    kind, _, _ = unicodedata.decomposition(character).partition(" ")
    plain = unicodedata.normalize("NFKC", character)
    if kind == "<fraction>":
        top, _, bottom = plain.partition("\N{FRACTION SLASH}")
        return rf"\frac{{{top}}}{{{bottom}}}" if bottom else character
    if unicodedata.category(character) == "Zs" or (kind in ("<wide>", "<font>") and plain.isascii()):
        return plain if plain.isascii() else " "
    if unicodedata.category(character) == "Cf":
        return ""
    greek = _GREEK.fullmatch(unicodedata.name(plain, "") if len(plain) == 1 else "")
    if greek:
        name = greek[2].replace("LAMDA", "LAMBDA")
        return f"\\{name.lower() if greek[1] == 'SMALL' else name.capitalize()} "
    return character


_TABLE = _Table({ord(sign): latex for sign, latex in _SIGNS.items()})
