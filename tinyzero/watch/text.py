"""Makes untrusted text inert: it controls neither a terminal nor a layout."""

_REPLACED_AT = 20_000  # longer texts are cut first
_JOINERS = {*map(chr, range(0xFE00, 0xFE10))}  # variation selectors change the width of characters


def printable(text: str) -> str:
    """The text with escape sequences disabled: files, names and model output may contain them."""
    return "".join(char if char.isprintable() or char == "\n" else escaped(char) for char in text)


def escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


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
