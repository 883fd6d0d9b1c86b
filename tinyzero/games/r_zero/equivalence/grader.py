"""The grader of a worker: math-verify in both directions, with exact numbers. It only runs confined."""

import importlib
import logging
import pkgutil
from typing import Any

PACKAGES = """
    assumptions calculus combinatorics concrete core discrete functions geometry integrals logic matrices
    ntheory physics.units polys series sets simplify solvers strategies tensor unify
""".split()  # noqa: SIM905
"""Parts of sympy to import early: sympy imports them when first needed, but a child has no files."""
_MIN_DECIMALS = 6
_DIGITS, _ZERO_DIGITS = 1000, 900
"""Two numbers are computed to as many digits, and are equal if as many of the first ones are."""
_NEVER = ("tests", "benchmarks", "compatibility", "trace")

_WARMING = [
    ("x+1", "1+x"),
    ("2(x+1)+y", "y+2x+2"),
    (r"\sqrt{8}", r"2\sqrt{2}"),
    (r"\frac{x^2-1}{x-1}", "x+1"),
    (r"\{1,2\}", r"\{2,3\}"),
    (r"(-\infty,2]\cup(3,4)", r"(3,4)\cup(-\infty,2]"),
    ("[1,2]", r"1\le x\le 2"),
    ("x^2=1", "x=1"),
    ("(1,2,3)", "(1,2,4)"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\log_2 8+\ln e", "3"),
    (r"\int_0^1 x^2 dx", r"\frac13"),
    (r"\sum_{k=1}^{10} k", "54"),
    (r"\binom{5}{2}\cdot 4!", "240"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
    (r"2\pi r^3-|a|", r"5\%"),
    (r"3+4i", r"4i+3"),
    (r"1.5\times 10^{-3}", "0.0015"),
]
"""Comparing these fills the grammar tables and caches, which every child inherits."""


def warm_up() -> None:
    """Import what a comparison may need, use it once, and set sympy's random seed."""
    logging.disable()
    for package in PACKAGES:
        parent = importlib.import_module(f"sympy.{package}")
        for module in pkgutil.walk_packages(parent.__path__, f"{parent.__name__}."):
            if not any(part in _NEVER for part in module.name.split(".")):
                importlib.import_module(module.name)
    for first, second in _WARMING:
        same(first, second)
    importlib.import_module("sympy.core.random").seed(0)


def same(first: str, second: str) -> bool:
    """Whether each answer verifies the other; False if one of them cannot be read.

    math-verify compares an answer with a key and is not symmetric: with the key 5, `2x + z = 5` is right.
    Here no answer is the key, so both directions must hold. R-Zero's code checks one direction only. Its
    comparison of numbers is replaced: it takes numbers for equal that differ by less than 1e-15.
    """
    from math_verify import grader, verify

    grader.sympy_numeric_eq = _same_number

    answers = _parsed(first), _parsed(second)
    return all(answers) and all(
        verify(key, answer, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)
        for key, answer in (answers, answers[::-1])
    )


def _same_number(first: Any, second: Any, *_: object) -> bool:  # noqa: ANN401
    """Whether two sympy expressions, or all elements of two matrices, are the same number.

    They are equal, or one is a decimal of six places and six digits or more, and the other rounds to it, as
    in `comparer.same_by_form`. Expressions with letters are left to math-verify's algebra.
    """
    if hasattr(first, "shape") and hasattr(second, "shape"):
        rows = first.doit(), second.doit()
        return rows[0].shape == rows[1].shape and all(map(_same_number, *rows))
    try:
        a, b = _exact(first), _exact(second)
        if a == b or not (a.is_number and b.is_number):
            return bool(a == b or a - b == 0)
        if a.is_finite is False or b.is_finite is False:
            return False
        return _is_tiny(a, b) or _rounds_to(a, b) or _rounds_to(b, a)
    except (AttributeError, TypeError, ValueError):
        return False


def _exact(expression: Any) -> Any:  # noqa: ANN401
    """Evaluated, with the decimals as the fractions that are written."""
    sympy = importlib.import_module("sympy")
    decimals = {decimal: sympy.Rational(str(decimal)) for decimal in expression.atoms(sympy.Float)}
    return expression.xreplace(decimals).doit()


def _is_tiny(a: Any, b: Any) -> bool:  # noqa: ANN401
    """Whether the difference of two numbers is zero as far as can be computed."""
    if a.is_Rational and b.is_Rational:
        return False
    gap = abs((a - b).evalf(5, maxn=_DIGITS))
    return bool(gap <= max(abs(a.evalf(5)), abs(b.evalf(5))) * 10**-_ZERO_DIGITS)


def _rounds_to(exact: Any, decimal: Any) -> bool:  # noqa: ANN401
    places = _decimal_places(decimal.q) if decimal.is_Rational else 0
    if places < _MIN_DECIMALS or len(str(abs(int(decimal * 10**places)))) < _MIN_DECIMALS:
        return False
    return bool((abs(exact - decimal) * 10**places * 2).evalf(15, maxn=_DIGITS) <= 1)


def _decimal_places(denominator: int) -> int:
    """Digits after the decimal point of a fraction in lowest terms; 0 if they never end."""
    counts = {2: 0, 5: 0}
    for prime in counts:
        while denominator % prime == 0:
            denominator, counts[prime] = denominator // prime, counts[prime] + 1
    return max(counts.values()) if denominator == 1 else 0


def _parsed(answer: str) -> list[Any]:
    """Parse as one LaTeX formula; else math-verify picks a number out of any text. Units and `%` stay out."""
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(
        boxed_match_priority=-1,
        normalization_config=NormalizationConfig(
            basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
        ),
    )
    text = answer.replace("%", "")
    return list(parse(f"${text}$", [config], fallback_mode="no_fallback", parsing_timeout=None))
