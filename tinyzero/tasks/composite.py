"""Programs built from earlier ones: a proposer is given functions g_0, g_1, ... and must call them all.

Works on the prompts and proposals of any kind whose proposals hold a program. Source: composite functions of
Absolute Zero (arXiv:2505.03335); a building block here is a program that is a single function.
"""

import ast
from collections.abc import Sequence
from dataclasses import replace

from tinyzero.tasks.base import Style
from tinyzero.tasks.funnel import read_program
from tinyzero.tasks.layout import block
from tinyzero.tasks.programs import ENTRY, bound_names
from tinyzero.types import Prompt, Proposal, Rejection, Stage, Task


def block_name(place: int) -> str:
    return f"g_{place}"


def as_block(program: str, name: str) -> str | None:
    """A tidy program as a function of another name; None where it is more than a function and imports."""
    tree = ast.parse(program)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    others = [
        node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom)
    ]
    names = bound_names(functions[0]) - {ENTRY} if len(functions) == 1 else set()
    if len(functions) != 1 or others or _binds_entry(functions[0]) or name in names:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == ENTRY:
            node.id = name
    functions[0].name = name
    return ast.unparse(tree)


def _binds_entry(function: ast.FunctionDef) -> bool:
    """Whether the name `f` means something else within the function, which a plain renaming would break."""
    inner = [node for node in ast.walk(function) if node is not function]
    return any(ENTRY in bound_names(node) for node in inner)


def with_blocks(prompt: Prompt, blocks: Sequence[str], style: Style) -> Prompt:
    """The prompt, with the functions that must be called."""
    names = ", ".join(f"`{block_name(place)}`" for place in range(len(blocks)))
    code = "\n\n".join(blocks)
    if style == "compact":
        return replace(prompt, text=f"{prompt.text}\nuse\n{code}")
    return replace(prompt, text=f"{prompt.text}\n\n{GIVEN.format(names=names, code=block('python', code))}")


def compose(proposal: Proposal, blocks: Sequence[str], max_program_chars: int) -> Proposal | Rejection:
    """The proposal with the functions put into its program, or why they are not used as they must be."""
    reason = _misuse(proposal.program, len(blocks))
    if reason:
        return Rejection(stage=Stage.ALLOWED, detail=reason)
    whole = read_program("\n\n".join([*blocks, proposal.program]), max_program_chars)
    return whole if isinstance(whole, Rejection) else replace(proposal, program=whole)


def _misuse(program: str, count: int) -> str:
    tree = ast.parse(program)
    names = [block_name(place) for place in range(count)]
    own = next((name for name in names if name in bound_names(tree)), None)
    if own is not None:
        return f"defines {own}, which is given"
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    missing = next((name for name in names if name not in called), None)
    return f"does not call {missing}" if missing is not None else ""


def usable_blocks(tasks: Sequence[Task], count: int) -> tuple[tuple[Task, ...], tuple[str, ...]]:
    """The first `count` tasks whose programs can be building blocks, and the sources, named in order."""
    chosen: list[Task] = []
    sources: list[str] = []
    for task in tasks:
        source = as_block(task.program, block_name(len(chosen)))
        if source is not None and len(chosen) < count:
            chosen.append(task)
            sources.append(source)
    return tuple(chosen), tuple(sources)


GIVEN = """\
These functions are given. Your `f` must call each of {names}, with arguments that depend on its own. Do not \
define them again; write `f` alone:

{code}"""
