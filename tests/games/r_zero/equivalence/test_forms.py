"""Normal forms: tables by hand, and what has to hold for every text."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyzero.games.r_zero.equivalence.forms import MAX_CHARS, is_prose, normal_form, number, split_unit


@pytest.mark.parametrize(
    ("form", "answers"),
    [
        (
            "1/2",
            [r"\frac{1}{2}", r"\dfrac12", r"\frac{1}2", "0.5", ".50", "+1/2", "2/4", "$1/2$", r"\( 0.5 \)"],
        ),
        ("-3/4", [r"-\frac{3}{4}", r"\frac{-3}{4}", "-0.75", "\N{MINUS SIGN}3/4", "- 3 / 4"]),
        ("1234", ["1,234", "1234.0", r"1{,}234", r"1\,234", "$1,234$.", "01234", r"\$1,234"]),
        ("3/2", ["1 1/2", r"1\frac{1}{2}", r"1 \frac12", "1.5"]),
        ("50%", ["50%", r"50\%", r"50 \%", "50 percent", "50.0%"]),
        ("3/4", [r"\boxed{\frac{3}{4}}", r"$\boxed{0.75}$", r"\fbox{3/4}", r"\[\boxed{\frac34}\]"]),
        ("5 cm", ["5 cm", r"5\text{ cm}", r"5\ \mathrm{cm}", "5.0cm", "5 centimeters."]),
        ("30 degrees", [r"30^\circ", r"30^{\circ}", "30°", "30 degrees"]),
        ("no solution", ["No solution", "no  solution.", r"\text{no solution}", "NO SOLUTION"]),
        ("x+1", ["x+1", "x + 1", "$x+1$", r"\left. x+1 \right."]),
        ("(1,2]", [r"\left(1, 2\right]", "(1,2]", r"$( 1 , 2 ]$"]),
        (r"\{1,2\}", [r"\left\{1, 2\right\}", r"\{1,2\}"]),
        (r"2\sqrt{2}", [r"2\sqrt{2}", r"2 \sqrt{2}", "2sqrt(2)", "2 sqrt(2)"]),
        (r"2\pi r", [r"2\pi r", r"2 \pi r", "2π r", "2pi r"]),
        ("A", ["A", r"\text{A}", r"\boxed{\text{A}}"]),
        (r"x\le 2", [r"x \leq 2", r"x\le 2", "x <= 2", "x ≤ 2"]),
    ],
)
def test_one_answer_has_one_form(form, answers):
    assert {answer: normal_form(answer) for answer in answers} == dict.fromkeys(answers, form)
    assert normal_form(form) == form


@pytest.mark.parametrize(
    ("answer", "other"),
    [
        ("2 3", "23"),
        ("1 1/2", "11/2"),
        ("(1,234)", "(1234)"),
        ("1,23", "123"),
        ("50%", "1/2"),
        ("x", "X"),
        ("5 cm", "5 km"),
        ("5 m", "5"),
        ("1/0", "2/0"),
        ("(1,2)", "[1,2]"),
        (r"\leftarrow", "arrow"),
        (r"\boxed{1}+\boxed{2}", r"1}+\boxed{2"),
        (r"a\\ b", "ab"),
        ("x^2", "x2"),
    ],
)
def test_different_answers_keep_different_forms(answer, other):
    assert normal_form(answer) != normal_form(other)


def test_only_numbers_are_evaluated():
    for answer in ("9**9**9**9", "9^{9^{9^9}}", "1e999999999", "__import__('os')", "2+2", "(3)"):
        assert number(normal_form(answer)) is None
    assert normal_form("2+2") == "2+2"


def test_numbers_too_long_to_be_answers_stay_text():
    digits = "7" * 9000
    assert normal_form(digits) == digits
    assert number(digits) is None
    assert normal_form("7" * 400) == "7" * 400


def test_a_very_long_answer_is_its_own_form():
    answer = r"\boxed{ " * MAX_CHARS
    assert normal_form(answer) is answer


@pytest.mark.parametrize(
    "answer",
    [
        "\x00",
        "\ud800",
        "\\",
        "$",
        "{",
        "}" * 9999,
        r"\boxed{" * 1400,
        "(" * 9999,
        r"\text{" * 1600,
        " " * 9999,
    ],
)
def test_odd_text_is_no_obstacle(answer):
    assert isinstance(normal_form(answer), str)


@given(st.text("0123456789.,/-+ $%{}\\frac", max_size=30))
def test_every_text_has_a_form_and_numbers_keep_their_value(answer):
    form = normal_form(answer)
    value = number(form)
    assert value is None or form == str(value)


@given(st.fractions())
def test_a_number_is_written_as_itself(value):
    top, bottom = value.numerator, value.denominator
    form = normal_form(str(value))
    assert number(form) == value
    assert normal_form(rf"\frac{{{top}}}{{{bottom}}}") == form
    assert normal_form(f"{top * 6}/{bottom * 6}") == form


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_a_decimal_has_the_value_that_it_shows(value):
    assert number(normal_form(f"{value:f}")) == Fraction(value)
    assert normal_form(f"{value:,f}") == normal_form(f"{value:f}")


def test_units_stand_behind_numbers_only():
    assert split_unit("5 cm") == ("5", "cm")
    assert split_unit("x cm") == ("x cm", "")
    assert split_unit("5") == ("5", "")


@pytest.mark.parametrize(
    "form", ["no solution", "yes", "2 or 6", "x=1 or x=2", "5 apples", "無解", "is prime"]
)
def test_words_are_prose(form):
    assert is_prose(form)


@pytest.mark.parametrize(
    "form",
    ["x", "xy", "2ab", r"\sin x", r"\alpha\beta", r"\begin{pmatrix}1&2\end{pmatrix}", "arcsin x", "5 m"],
)
def test_formulas_are_not(form):
    assert not is_prose(form)
