import json
import logging
import re

from hypothesis import given
from hypothesis import strategies as st

from tinyzero.watch.text import (
    LogFormatter,
    as_html,
    as_markdown,
    clipped,
    colored,
    in_code,
    inert,
    one_line,
    printable,
)


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


@given(text=st.text())
def test_json_stays_json(text: str) -> None:
    shown = printable(json.dumps({"text": text}))
    assert shown.isprintable()
    assert json.loads(shown) == {"text": text}


def test_a_page_keeps_its_colours_and_nothing_else() -> None:
    assert colored("\x1b[1;31mred\x1b[0m\n") == "\x1b[1;31mred\x1b[0m\n"
    assert colored("\x1b]52;c;aGk=\x07\x1b[2J\x1b]0;t\x1b\\") == (
        "\\x1b]52;c;aGk=\\x07\\x1b[2J\\x1b]0;t\\x1b\\"
    )


@given(text=st.text(st.sampled_from("\x1b[]m0;123H\x07 x")))
def test_a_page_holds_no_sequence_but_colours(text: str) -> None:
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored(text)).isprintable()


def test_markup_is_text_on_pages_and_cards() -> None:
    assert as_html("<b onclick='x'>\x1b&") == "&lt;b onclick=&#x27;x&#x27;&gt;\\x1b&amp;"
    assert as_markdown("[a](http://x) <img>\n# *b* `c` | \\") == (
        "\\[a\\](http://x) \\<img\\> \\# \\*b\\* \\`c\\` \\| \\\\"
    )
    assert in_code("a`b\"c\\d'e\nf\x1b") == "abcdef"


def test_a_log_has_no_line_that_only_looks_like_an_entry() -> None:
    message = "vLLM said %s"
    hostile = "\x1b[2J\n2026-11-29 12:00:00,000 INFO tinyzero: all is well"
    record = logging.LogRecord("tinyzero.x", logging.WARNING, "f", 1, message, (hostile,), None)
    first, *others = LogFormatter().format(record).split("\n")
    assert first.endswith("WARNING tinyzero.x: vLLM said \\x1b[2J")
    assert all(line.startswith("    ") for line in others)
