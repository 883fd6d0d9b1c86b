"""Finds the program in an answer to a coding task. Text in, text out; nothing runs here."""

import re
from collections.abc import Sequence

from tinyzero.tasks.answers import fences, final_part
from tinyzero.tasks.fences import Fence
from tinyzero.tasks.programs import BadProgram, parse

_CODE_LINE = re.compile(r"(?:def|async|class|import|from|@|\w+ *=[^=])")
_MOST_CUTS = 20
_GOES_ON = re.compile(r"\s|[)\]}]|\Z|#")


def sources_of(answer: str, prompt: str, entry_point: str) -> Sequence[str]:
    """The sources to run one after another: what the prompt defines first, and the answer's code.

    The first code block counts that defines the function. An answer without a definition of it goes on with
    the prompt where that ends within the function (HumanEval). Empty where there is no code.
    """
    text = final_part(answer)
    is_fenced = "```" in text
    code = _chosen(fences(answer), entry_point) if is_fenced else text
    definition = _definition(entry_point)
    prompted = definition.search(prompt)
    if definition.search(code):
        before = [prompt[: prompted.start()]] if prompted else []
        return [*before, code if is_fenced else _code_in(code)]
    if prompted and code.strip():
        return [prompt + _continuation(prompt, code)]
    return [code] if is_fenced and code.strip() else []


def _definition(name: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:async )?def +{re.escape(name)} *\(", re.MULTILINE)


def _chosen(blocks: Sequence[Fence], entry_point: str) -> str:
    """The first block with the function, else the first program, else the first block."""
    definition = _definition(entry_point)
    defining = [block.body for block in blocks if definition.search(block.body)]
    programs = [block.body for block in blocks if block.is_program]
    return next(iter([*defining, *programs, *(block.body for block in blocks)]), "")


def _code_in(text: str) -> str:
    """A text without fences: all of it where it is a program, else its first stretch of code."""
    if _is_program(text):
        return text
    lines = text.splitlines()
    start = next((place for place, line in enumerate(lines) if _CODE_LINE.match(line)), len(lines))
    return _stretch(lines[start:], before="")


def _continuation(prompt: str, code: str) -> str:
    """What goes on with the prompt: all of it where that is a program, else up to the first stray line."""
    return code if _is_program(prompt + code) else _stretch(code.splitlines(), before=prompt)


def _stretch(lines: Sequence[str], before: str) -> str:
    """Lines up to the first one at the left edge that begins no definition, without definitions cut off.

    Args:
        before: what the lines go on with.
    """
    end = next(
        (place for place, line in enumerate(lines) if not (_GOES_ON.match(line) or _CODE_LINE.match(line))),
        len(lines),
    )
    starts = [place for place in range(1, end) if _CODE_LINE.match(lines[place])][-_MOST_CUTS:]
    texts = ["\n".join(lines[:place]) + "\n" for place in (end, *reversed(starts))]
    return next((text for text in texts if _is_program(before + text)), texts[0])


def _is_program(text: str) -> bool:
    try:
        parse(text)
    except BadProgram:
        return False
    return True


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
