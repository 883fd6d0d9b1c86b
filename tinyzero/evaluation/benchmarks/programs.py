"""Programs around programs: how code of a benchmark runs in the sandbox without sharing its names."""

from collections.abc import Sequence

_IN_MODULE = """\
import sys, types
_module = types.ModuleType("solution")
sys.modules["solution"] = _module
solution = _module.__dict__
for _source in {sources!r}:
    exec(compile(_source, "<solution>", "exec", dont_inherit=True), solution)


def f():
    return {expression}
"""


def in_module(sources: Sequence[str], expression: str, *, helpers: str = "") -> str:
    """A program whose `f()` gives the value of an expression; `solution` has the names of the sources.

    Args:
        sources: run one after another in the same module, so that each may begin with `from __future__`.
        helpers: definitions for the expression, in a module of their own.
    """
    return helpers + _IN_MODULE.format(sources=tuple(sources), expression=expression)
