from hypothesis import given
from hypothesis import strategies as st

from tinyzero.watch.text import clipped, inert, one_line, printable


def test_control_characters_are_shown_and_do_nothing():
    assert printable("a\x1b[2J\x07\nb\u202e") == "a\\x1b[2J\\x07\nb\\u202e"
    assert inert("\tx\r\x9b\ud800\ufe0f") == "    x\\r\\x9b\\ud800\\ufe0f"
    assert one_line("a\n  b\x1b") == "a b\\x1b"


def test_ascii_escapes_everything_else():
    assert inert("中é\U0001f600", is_ascii=True) == "\\u4e2d\\xe9\\U0001f600"


@given(text=st.text())
def test_nothing_that_steers_survives(text):
    assert all(char.isprintable() or char == "\n" for char in inert(text))
    assert inert(text, is_ascii=True).isascii()
    assert "\n" not in one_line(text)


def test_long_texts_are_cut_before_they_cost_anything():
    assert len(inert("x" * 10**7)) == 20_000
    assert clipped("abcdef", 5) == "ab..."
    assert clipped("abc", 5) == "abc"
