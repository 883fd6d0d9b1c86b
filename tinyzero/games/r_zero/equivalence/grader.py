"""The grader of a worker: math-verify in both directions. It runs confined, and only ever there."""

import importlib
import logging
import pkgutil
from typing import Any

PACKAGES = """
    assumptions calculus combinatorics concrete core discrete functions geometry integrals logic matrices
    ntheory physics.units polys series sets simplify solvers strategies tensor unify
""".split()  # noqa: SIM905
"""Of sympy, which imports much of them only when it first needs it: too late for a child without files."""
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
"""Grammar tables and caches fill as they are used; every child inherits what these leave."""


def warm_up() -> None:
    """Import whatever the comparison may need, use it once, and make sympy's chance the same everywhere."""
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
    """Whether each answer verifies the other; False where one of them cannot be read.

    math-verify judges an answer by a key, and is not symmetric: with the key 5, `2x + z = 5` is right. No
    answer is the key here, so both directions have to hold, where R-Zero's code is content with one.
    """
    from math_verify import verify

    answers = _parsed(first), _parsed(second)
    return all(answers) and all(
        verify(key, answer, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)
        for key, answer in (answers, answers[::-1])
    )


def _parsed(answer: str) -> list[Any]:
    """As one LaTeX formula: math-verify would otherwise pick a number out of any text. Units are not ours."""
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(
        boxed_match_priority=-1,
        normalization_config=NormalizationConfig(
            basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
        ),
    )
    text = answer.replace("%", r"\%")
    return list(parse(f"${text}$", [config], fallback_mode="no_fallback", parsing_timeout=None))
