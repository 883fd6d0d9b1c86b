"""The grader of a worker: math-verify in both directions. It only runs confined."""

import importlib
import logging
import pkgutil
from typing import Any

PACKAGES = """
    assumptions calculus combinatorics concrete core discrete functions geometry integrals logic matrices
    ntheory physics.units polys series sets simplify solvers strategies tensor unify
""".split()  # noqa: SIM905
"""Parts of sympy to import early: sympy imports them when first needed, but a child has no files."""
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
    Here no answer is the key, so both directions must hold. R-Zero's code checks one direction only.
    """
    from math_verify import verify

    answers = _parsed(first), _parsed(second)
    return all(answers) and all(
        verify(key, answer, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)
        for key, answer in (answers, answers[::-1])
    )


def _parsed(answer: str) -> list[Any]:
    """Parse as one LaTeX formula; else math-verify picks a number out of any text. Units stay out."""
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
