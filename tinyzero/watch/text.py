"""Text that others wrote, made inert: it steers neither a terminal nor a layout."""

_REPLACED_AT = 20_000  # longer texts are cut before anything else is done with them
_JOINERS = {*map(chr, range(0xFE00, 0xFE10))}  # variation selectors change widths that have been counted


def printable(text: str) -> str:
    """Text without control over the terminal: files, names and models may hold escape sequences."""
    return "".join(char if char.isprintable() or char == "\n" else escaped(char) for char in text)


def escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def inert(text: str, *, is_ascii: bool = False) -> str:
    r"""The same for texts inside of a layout, where widths must be known: tabs are spaces, long is cut.

    With `is_ascii`, everything else is escaped: `\u4e2d`.
    """
    cut = text[:_REPLACED_AT].expandtabs(4)
    return "".join(char if _is_plain(char, is_ascii=is_ascii) else escaped(char) for char in cut)


def one_line(text: str, *, is_ascii: bool = False) -> str:
    """The same on one line: a line break is a space."""
    return " ".join(inert(text, is_ascii=is_ascii).split())


def clipped(text: str, length: int) -> str:
    """At most `length` characters, with dots where something is missing."""
    return text if len(text) <= length else f"{text[: max(0, length - 3)]}..."


def _is_plain(char: str, *, is_ascii: bool) -> bool:
    if char == "\n":
        return True
    return char.isprintable() and char not in _JOINERS and (char.isascii() or not is_ascii)
