"""Programs built from earlier programs: a proposer gets functions g_0, g_1, ... and must call them all.

This works for every kind whose proposals hold a program. Source: composite functions of
Absolute Zero (arXiv:2505.03335). Here a building block is a program with a single function.
"""

import ast
from collections.abc import Sequence
from dataclasses import replace

from tinyzero.tasks.base import Style, block
from tinyzero.tasks.funnel import read_program
from tinyzero.tasks.programs import ENTRY, bound_names, unparse
from tinyzero.types import Prompt, Proposal, Rejection, Stage, Task


def _block_name(place: int) -> str:
    return f"g_{place}"


def as_block(program: str, name: str) -> str | None:
    """A tidy program as a function with another name; None if it is more than one function with imports."""
    tree = ast.parse(program)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    others = [
        node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom)
    ]
    if len(functions) != 1 or others or name in bound_names(tree) or _rebinds_entry(tree):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == ENTRY:
            node.id = name
    functions[0].name = name
    return unparse(tree)


def _rebinds_entry(tree: ast.Module) -> bool:
    """Whether something besides the function binds `f`. A plain renaming would break such a program."""
    [function] = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    inner = ast.Module(
        body=[*function.body, *(node for node in tree.body if node is not function)], type_ignores=[]
    )
    parameters = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    return ENTRY in bound_names(inner) | parameters


def with_blocks(prompt: Prompt, blocks: Sequence[str], style: Style) -> Prompt:
    """The prompt, extended by the functions that the program must call."""
    names = ", ".join(f"`{_block_name(place)}`" for place in range(len(blocks)))
    code = "\n\n".join(blocks)
    if style == "compact":
        return replace(prompt, text=f"{prompt.text}\nuse\n{code}")
    return replace(prompt, text=f"{prompt.text}\n\n{_GIVEN.format(names=names, code=block('python', code))}")


def compose(proposal: Proposal, blocks: Sequence[str], max_program_chars: int) -> Proposal | Rejection:
    """The proposal with the functions added to its program, or a rejection if it misuses them."""
    reason = _misuse(proposal.program, len(blocks))
    if reason:
        return Rejection(stage=Stage.ALLOWED, detail=reason)
    program = read_program("\n\n".join([*blocks, proposal.program]), max_program_chars)
    return program if isinstance(program, Rejection) else replace(proposal, program=program)


def _misuse(program: str, count: int) -> str:
    tree = ast.parse(program)
    names = [_block_name(place) for place in range(count)]
    bound = bound_names(tree)
    own = next((name for name in names if name in bound), None)
    if own is not None:
        return f"defines {own}, which is given"
    called = {name for node in ast.walk(tree) if (name := _called_on_own(node, bound))}
    missing = next((name for name in names if name not in called), None)
    return f"does not call {missing} on anything of its own" if missing is not None else ""


def _called_on_own(node: ast.AST, own: set[str]) -> str:
    """The called function, if an argument of the call uses a name in `own`; else an empty string."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return ""
    parts = (part for argument in (*node.args, *node.keywords) for part in ast.walk(argument))
    is_on_own = any(isinstance(part, ast.Name) and part.id in own for part in parts)
    return node.func.id if is_on_own else ""


def usable_blocks(
    tasks: Sequence[Task], count: int, max_chars: int
) -> tuple[tuple[Task, ...], tuple[str, ...]]:
    """The first `count` tasks whose programs can be building blocks, and their sources, named in order.

    Args:
        max_chars: limit for all sources together; it leaves room for a program that calls them.
    """
    chosen: list[Task] = []
    sources: list[str] = []
    for task in tasks:
        source = as_block(task.program, _block_name(len(chosen)))
        fits = source is not None and sum(map(len, (*sources, source))) <= max_chars
        if source is not None and fits and len(chosen) < count:
            chosen.append(task)
            sources.append(source)
    return tuple(chosen), tuple(sources)


_GIVEN = """\
These functions are given. Your `f` must call each of {names}, with arguments that depend on its own. Do not \
define them again; write `f` alone:

{code}"""
