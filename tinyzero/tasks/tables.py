"""Finds programs that only look up their input, such as `{5: 7}[x]`; they need no reasoning."""

import ast
from collections.abc import Sequence

from tinyzero.tasks.programs import ENTRY

_EQUALITY = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)
_IDLE = (ast.Pass, ast.Import, ast.ImportFrom)


def is_table(program: str) -> bool:
    """Whether a tidy program only chooses among constants, by equality with its arguments."""
    choices = _Choices(ast.parse(program))
    return choices.only_choose(choices.entry.body)


def tests_for_constants(program: str) -> bool:
    """Whether a tidy program tests anywhere if an argument equals a constant, or one of several."""
    choices = _Choices(ast.parse(program))
    return any(choices.asks_for_constant(node) for node in ast.walk(choices.entry))


class _Choices:
    """The values of a program's names, if each value is a literal."""

    def __init__(self, tree: ast.Module) -> None:
        functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
        entry = self.entry = next(node for node in functions if node.name == ENTRY)
        self._values: dict[str, list[ast.expr]] = {}
        for node in (*tree.body, *ast.walk(entry)):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self._values.setdefault(target.id, []).append(node.value)
        self._parameters = {node.arg for node in ast.walk(entry.args) if isinstance(node, ast.arg)}
        self._depth = 0

    def only_choose(self, body: Sequence[ast.stmt]) -> bool:
        return all(self._chooses(statement) for statement in body)

    def asks_for_constant(self, node: ast.AST) -> bool:
        match node:
            case ast.Compare(left=left, comparators=[right]):
                return self._is_test(node) and any(map(self._is_argument, (left, right)))
            case (
                ast.Subscript(value=table, slice=key)
                | ast.Call(func=ast.Attribute(value=table, attr="get"), args=[key, *_])
            ):
                return self._is_choice(table) and self._is_argument(key)
            case ast.Match(subject=subject):
                return self._is_argument(subject)
        return False

    def _is_argument(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self._parameters

    def _chooses(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Return(value=None):
                return True
            case ast.Return(value=ast.expr() as value):
                return self._is_choice(value)
            case ast.Assign(targets=[ast.Name()], value=value):
                return self._is_choice(value) or self._is_plain(value)
            case ast.If(test=test):
                return self._is_test(test) and self.only_choose([*statement.body, *statement.orelse])
            case ast.Match(subject=subject, cases=cases):
                return self._is_plain(subject) and all(self._is_case(case) for case in cases)
            case ast.Try(handlers=handlers):  # a table with a default for missing keys
                inner = [*statement.body, *statement.orelse, *statement.finalbody]
                return self.only_choose([*inner, *(node for h in handlers for node in h.body)])
        return isinstance(statement, _IDLE)

    def _is_case(self, case: ast.match_case) -> bool:
        is_plain = not any(isinstance(node, ast.MatchClass) for node in ast.walk(case.pattern))
        return is_plain and (case.guard is None or self._is_test(case.guard)) and self.only_choose(case.body)

    def _is_choice(self, node: ast.expr) -> bool:
        """Whether an expression chooses one of several constants."""
        match node:
            case ast.Constant():
                return True
            case ast.UnaryOp(operand=ast.Constant()):
                return True
            case ast.Name(id=name):
                return name not in self._parameters and self._is_known(name)
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
                return all(self._is_choice(item) for item in items)
            case ast.Dict():
                return all(key is not None and self._is_choice(key) for key in node.keys) and all(
                    map(self._is_choice, node.values)
                )
            case ast.IfExp(test=test, body=body, orelse=other):
                return self._is_test(test) and self._is_choice(body) and self._is_choice(other)
            case ast.BoolOp(values=values):
                return all(self._is_choice(value) or self._is_test(value) for value in values)
            case ast.Subscript(value=table, slice=place):
                return self._is_choice(table) and (self._is_plain(place) or self._is_choice(place))
            case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[place, *default]):
                return self._is_choice(table) and self._is_plain(place) and all(map(self._is_choice, default))
            case ast.Call(func=ast.Name(id="dict"), args=[table], keywords=[]):
                return self._is_choice(table)
        return isinstance(node, ast.Compare | ast.UnaryOp) and self._is_test(node)

    def _is_known(self, name: str) -> bool:
        """Whether a name holds a choice; False if its definition refers to itself."""
        values = self._values.get(name, [])
        self._depth += 1
        try:
            return bool(values) and self._depth < 20 and all(self._is_choice(value) for value in values)
        finally:
            self._depth -= 1

    def _is_test(self, node: ast.expr) -> bool:
        match node:
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[among]):
                return self._is_plain(left) and self._is_choice(among)
            case ast.Compare(left=left, ops=ops, comparators=others):
                is_equality = all(isinstance(op, _EQUALITY) for op in ops)
                return (
                    is_equality
                    and any(map(self._is_choice, [left, *others]))
                    and all(self._is_plain(side) or self._is_choice(side) for side in [left, *others])
                )
            case ast.BoolOp(values=values):
                return all(self._is_test(value) for value in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._is_test(operand)
        return False

    def _is_plain(self, node: ast.expr) -> bool:
        """Whether an expression is an unchanged argument, or several of them."""
        match node:
            case ast.Name():
                return True
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return all(self._is_plain(item) or self._is_choice(item) for item in items)
        return False
