"""Programs that do the same and read differently, to see whether a right answer holds. Text in, text out.

Source: semantics-preserving perturbations of programs, as in ReCode (arXiv:2212.10264). A rewrite keeps to
rules that preserve the meaning; `rewritten` runs both versions in the sandbox all the same.
"""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tinyzero.evaluation.benchmarks.base import Item
from tinyzero.evaluation.benchmarks.written_code import in_module
from tinyzero.execution.values import BadLiteral, parse_arguments, render_arguments, same
from tinyzero.tasks.perturb import perturb
from tinyzero.tasks.programs import ENTRY, BadProgram, bound_names, parse, renamed, unparse
from tinyzero.types import Execution, Job, Outcome, Runner

_OTHER_INPUTS = 2
"""Further inputs of the same types on which both versions must agree."""
_LARGEST_INT = 1_000_000
# fmt: off
_PURE_NODES = (
    ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Subscript,
    ast.Slice, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Starred, ast.Call, ast.Attribute, ast.keyword,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)
_PURE_FUNCTIONS = frozenset({
    "abs", "bool", "chr", "float", "int", "len", "ord", "range", "repr", "round", "str",
})
_PURE_METHODS = frozenset({
    "capitalize", "count", "endswith", "find", "isalpha", "isdigit", "islower", "isspace", "isupper", "lower",
    "lstrip", "replace", "rfind", "rsplit", "rstrip", "split", "startswith", "strip", "swapcase", "title",
    "upper",
})
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """Tasks with their programs rewritten.

    Attributes:
        items: rewrite -> id of the task -> the task rewritten, where both versions gave the same results.
        dropped: rewrite -> number of tasks for which they did not.
    """

    items: Mapping[str, Mapping[str, Item]]
    dropped: Mapping[str, int]


def rewritten(items: Sequence[Item], runner: Runner) -> Variants:
    """The rewrites of all tasks that show a program to the solver and have an input.

    Both versions run on the task's input, and on others of its types; tasks without a program are left out.
    """
    versions = [
        (item, field, dict(rewrites(item.fields[field]))) for item in items if (field := _shown_program(item))
    ]
    jobs = [
        _job(program, arguments)
        for item, field, changed in versions
        for arguments in [_arguments(item)]
        for program in (item.fields[field], *changed.values())
    ]
    runs = iter(runner.run_jobs(jobs))
    kept: dict[str, dict[str, Item]] = {name: {} for name in _REWRITES}
    dropped = dict.fromkeys(_REWRITES, 0)
    for item, field, changed in versions:
        original = next(runs)
        for name, program in changed.items():
            if _agree(original, next(runs)):
                kept[name][item.id] = replace(item, fields={**item.fields, field: program})
            else:
                dropped[name] += 1
    return Variants(items=kept, dropped=dropped)


def rewrites(program: str) -> Iterator[tuple[str, str]]:
    """The names of the rewrites that change a program, with what they make of it."""
    for name, rewrite in _REWRITES.items():
        try:
            tree = parse(program)
            before = ast.dump(tree)
            rewrite(tree)
            if ast.dump(tree) != before:
                yield name, unparse(ast.fix_missing_locations(tree))
        except BadProgram:
            continue


def _shown_program(item: Item) -> str:
    """The field with the program that the prompt shows; empty where it shows none."""
    if isinstance(item.fields.get("code"), str) and isinstance(item.fields.get("input"), str):
        return "code"
    is_shown = item.fields.get("kind") in ("deduction", "abduction") and item.fields.get("inputs")
    return "program" if is_shown else ""


def _arguments(item: Item) -> str:
    return str(item.fields["input"] if "code" in item.fields else item.fields["inputs"][0])


def _job(program: str, arguments: str) -> Job:
    """Runs a program on the task's input, then on others; CRUXEval has inputs that are expressions."""
    try:
        values = parse_arguments(arguments)
    except BadLiteral:
        call = f"eval({f'{ENTRY}({arguments})'!r}, solution)"
        return Job(program=in_module([program], call), inputs=("",))
    others = map(render_arguments, perturb(values, _OTHER_INPUTS))
    return Job(program=program, inputs=(arguments, *others))


def _agree(original: Sequence[Execution], changed: Sequence[Execution]) -> bool:
    """Whether both give a result for the first input, and the same results or exceptions for all."""
    pairs = list(zip(original, changed, strict=True))
    return original[0].is_ok and all(
        left.outcome is right.outcome and left.detail == right.detail and same(left.value, right.value)
        for number, (left, right) in enumerate(pairs)
        if number == 0 or Outcome.TIMEOUT not in (left.outcome, right.outcome)  # either may be near the limit
    )


def _reorder(tree: ast.Module) -> None:
    """Swap neighbouring statements that do not depend on each other."""
    own = bound_names(tree)
    for node in ast.walk(tree):
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            place = 0
            while isinstance(block, list) and place + 1 < len(block):
                if _are_independent(block[place], block[place + 1], own):
                    block[place : place + 2] = reversed(block[place : place + 2])
                    place += 1
                place += 1


def _are_independent(first: ast.stmt, second: ast.stmt, own: set[str]) -> bool:
    """Whether two statements may change places: assignments without effects, or functions."""
    if isinstance(first, ast.FunctionDef) and isinstance(second, ast.FunctionDef):
        return first.name != second.name and not any(map(_runs_code, (first, second)))
    if not (_is_plain(first, own) and _is_plain(second, own)):
        return False
    return not (bound_names(first) & _names(second) or bound_names(second) & _names(first))


def _runs_code(function: ast.FunctionDef) -> bool:
    """Whether a definition evaluates expressions: decorators and default values."""
    return bool(function.decorator_list or function.args.defaults or function.args.kw_defaults)


def _is_plain(statement: ast.stmt, own: set[str]) -> bool:
    """Whether it only gives names to the value of an expression that changes nothing.

    Args:
        own: names that the program binds, which are no builtins.
    """
    return (
        isinstance(statement, ast.Assign)
        and all(isinstance(target, ast.Name) for target in statement.targets)
        and all(_is_pure(node, own) for node in ast.walk(statement.value))
    )


def _is_pure(node: ast.AST, own: set[str]) -> bool:
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Name):
            return function.id in _PURE_FUNCTIONS - own
        return isinstance(function, ast.Attribute) and function.attr in _PURE_METHODS
    return isinstance(node, _PURE_NODES)


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | bound_names(tree)


def _add_dead_code(tree: ast.Module) -> None:
    """Begin the entry with an assignment, and test its value before the last statement, in vain."""
    entry = next(
        (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == ENTRY), None
    )
    if entry is None:
        return
    taken = _names(tree)
    name = next(
        name for name in (f"spare{'_' * length}" for length in range(len(taken) + 1)) if name not in taken
    )
    begin, test = parse(f"{name} = 0\nif {name} > 0:\n    return {name}").body
    entry.body[-1:] = [test, entry.body[-1]]
    entry.body.insert(0, begin)


class _Reexpress(ast.NodeTransformer):
    """`3` as `2 + 1`, `'abc'` as `'a' + 'bc'`; not in f-strings, patterns, annotations and bare texts."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        value = node.value
        if type(value) is int and 0 < value <= _LARGEST_INT:
            return _binary(value - 1, ast.Add(), 1)
        if type(value) is int and value == 0:
            return _binary(1, ast.Sub(), 1)
        if isinstance(value, str) and len(value) > 1:
            return _binary(value[:1], ast.Add(), value[1:])
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = node.value and self.visit(node.value)
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.args = self.visit(node.args)
        node.body = [self.visit(statement) for statement in node.body]
        return node


def _binary(left: int | str, operator: ast.operator, right: int | str) -> ast.BinOp:
    return ast.BinOp(left=ast.Constant(value=left), op=operator, right=ast.Constant(value=right))


def _reexpress(tree: ast.Module) -> None:
    _Reexpress().visit(tree)


_REWRITES: Mapping[str, Callable[[ast.Module], None]] = {
    "renamed": renamed,
    "reordered": _reorder,
    "dead code": _add_dead_code,
    "constants": _reexpress,
}
"""Each changes a syntax tree in place."""
