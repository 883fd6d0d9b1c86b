"""What a person writes down while working out a call: every operation with its values and its result.

It walks the syntax tree of a program of `nano.grammar`; Python itself computes each operation.
"""

import ast
import copy
from collections.abc import Mapping, Sequence
from typing import Any

from nano.examples import BUILTINS

_PLAIN = (ast.Constant, ast.Name, ast.List, ast.Tuple, ast.IfExp)
"""Expressions that leave no line of their own."""


class TooLong(Exception):
    """The trace has more characters than it may."""


def trace(source: str, arguments: Sequence[object], *, max_chars: int) -> tuple[list[str], Any] | None:
    """The lines of a trace and the returned value; None where it would be too long."""
    tracer = _Tracer(max_chars)
    try:
        value = tracer.call(source, arguments)
    except TooLong:
        return None
    return tracer.lines, value


class _Return(Exception):
    def __init__(self, value: Any) -> None:  # noqa: ANN401 (any tree of builtins)
        self.value = value


class _Tracer:
    def __init__(self, max_chars: int) -> None:
        self.lines: list[str] = []
        self._max_chars = max_chars
        self._names: dict[str, Any] = {}

    def call(self, source: str, arguments: Sequence[object]) -> Any:  # noqa: ANN401
        (function,) = ast.parse(source).body
        assert isinstance(function, ast.FunctionDef)  # noqa: S101 (for the type checker)
        names = (argument.arg for argument in function.args.args)
        self._names = dict(zip(names, copy.deepcopy(arguments), strict=True))
        try:
            self._run(function.body)
        except _Return as returned:
            return returned.value
        raise AssertionError(source)

    def _run(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self._execute(statement)

    def _execute(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Return(value=ast.expr() as value):
                raise _Return(self._value(value))
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._assign(name, value)
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
                self._assign(name, ast.BinOp(ast.Name(name, ast.Load()), operator, value))
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)), args=[item])):
                appended = ast.List([item], ast.Load())
                self._assign(name, ast.BinOp(ast.Name(name, ast.Load()), ast.Add(), appended))
            case ast.For(target=ast.Name(id=name), iter=items, body=body):
                for item in self._value(items):
                    self._assign(name, ast.Constant(item))
                    self._run(body)
            case ast.If(test=test, body=body, orelse=otherwise):
                self._run(body if self._value(test) else otherwise)
            case _:
                raise AssertionError(ast.dump(statement))

    def _assign(self, name: str, expression: ast.expr) -> None:
        """`name = ` begins the line of the last operation, or a line with the value alone."""
        value = self._names[name] = self._value(expression)
        if isinstance(expression, _PLAIN):
            self._write(f"{name} = {value!r}")
        else:
            self.lines[-1] = f"{name} = {self.lines[-1]}"

    def _value(self, expression: ast.expr) -> Any:  # noqa: ANN401
        match expression:
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
                return -value
            case ast.Name(id=name):
                return self._names[name]
            case ast.List(elts=items):
                return [self._value(item) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self._value(item) for item in items)
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self._value(body if self._value(test) else otherwise)
            case ast.Call(func=ast.Name(id="range"), args=arguments):
                return range(*map(self._value, arguments))
            case ast.Call(func=ast.Name(id="sum"), args=[items]):
                return self._sum(self._value(items))
            case ast.ListComp():
                return self._operate(self._filled_comprehension(expression))
        return self._operate(self._filled(expression))

    def _sum(self, items: Sequence[int]) -> int:
        """`sum([3, 4, 5]) -> 3 + 4 + 5 -> 7 + 5 -> 12`."""
        parts = [f"sum({items!r})"]
        rest = list(items)
        while len(rest) > 1:
            parts.append(" + ".join(map(str, rest)))
            rest = [rest[0] + rest[1], *rest[2:]]
        self._write(" -> ".join([*parts, str(sum(items))]))
        return sum(items)

    def _operate(self, node: ast.expr) -> Any:  # noqa: ANN401
        """Compute a single operation on values, and write it down."""
        text = ast.unparse(ast.fix_missing_locations(node))
        value = eval(text, {"__builtins__": BUILTINS})  # noqa: S307 (our own grammar wrote it)
        self._write(f"{text} -> {value!r}")
        return value

    def _write(self, line: str) -> None:
        self.lines.append(line)
        if sum(map(len, self.lines)) > self._max_chars:
            raise TooLong

    def _filled(self, expression: ast.expr) -> ast.expr:
        """The operation with values in place of the expressions it works on."""
        node = copy.copy(expression)
        for name, field in ast.iter_fields(expression):
            if name == "func":
                node.func = self._method(field)  # type: ignore[attr-defined]
            elif isinstance(field, ast.expr):
                setattr(node, name, self._constant(field))
            elif isinstance(field, list) and field and isinstance(field[0], ast.expr):
                setattr(node, name, [self._constant(item) for item in field])
        return node

    def _method(self, function: ast.expr) -> ast.expr:
        if isinstance(function, ast.Attribute):
            return ast.Attribute(self._constant(function.value), function.attr, ast.Load())
        return function

    def _constant(self, expression: ast.expr) -> ast.expr:
        if not isinstance(expression, ast.Slice):
            return ast.Constant(self._value(expression))
        ends = (expression.lower, expression.upper, expression.step)
        return ast.Slice(*(end and self._constant(end) for end in ends))

    def _filled_comprehension(self, expression: ast.ListComp) -> ast.expr:
        """`[y + k for y in xs]` with values in place of all names but the loop's own."""
        node = copy.deepcopy(expression)
        (loop,) = node.generators
        loop.iter = ast.Constant(self._value(loop.iter))
        assert isinstance(loop.target, ast.Name)  # noqa: S101 (for the type checker)
        known = {name: value for name, value in self._names.items() if name != loop.target.id}
        filled: ast.expr = _Fill(known).visit(node)
        return filled


class _Fill(ast.NodeTransformer):
    """Puts values in place of names."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self._values[node.id]) if node.id in self._values else node
