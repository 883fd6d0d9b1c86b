"""Removes parts of a program that have no effect, since their text may give answers away."""

import ast

_INERT = (ast.JoinedStr, ast.FormattedValue, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Starred)
_BLOCKS = ("body", "orelse", "finalbody")


def strip(tree: ast.Module) -> None:
    """Remove annotations, statements that are only text, and names that hold text and are never read."""
    for node in ast.walk(tree):
        _strip_annotations(node)
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _is_read(node)}
    declared = {
        name for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
    }
    for node in ast.walk(tree):
        is_class = isinstance(node, ast.ClassDef)
        for field in _BLOCKS:
            block = getattr(node, field, None)
            if isinstance(block, list):
                needed = [child for child in block if not _is_idle(child, read | declared, is_class=is_class)]
                setattr(node, field, needed or ([ast.Pass()] if block and field == "body" else []))


def _is_read(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Store)


def _strip_annotations(node: ast.AST) -> None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node.returns = None
    elif isinstance(node, ast.arg):
        node.annotation = None
    elif isinstance(node, ast.Assert) and node.msg is not None and _is_inert(node.msg):
        node.msg = None
    if isinstance(node, ast.ClassDef):
        for child in node.body:  # dataclasses need an annotation here
            if isinstance(child, ast.AnnAssign) and _holds_text(child.annotation):
                child.annotation = ast.Constant(value=None)
    for bound in ("bound", "default_value"):  # type parameters, since Python 3.12
        if isinstance(node, getattr(ast, "type_param", ())):
            setattr(node, bound, None)
    _plain_assignments(node)


def _plain_assignments(node: ast.AST) -> None:
    """`x: int = 5` -> `x = 5` in functions and at the top level; removes annotations without a value."""
    if isinstance(node, ast.ClassDef):
        return
    for field in _BLOCKS:
        block = getattr(node, field, None)
        if isinstance(block, list):
            kept = [_plain(child) for child in block]
            block[:] = [child for child in kept if child is not None] or ([ast.Pass()] if block else [])


def _plain(statement: ast.stmt) -> ast.stmt | None:
    if not isinstance(statement, ast.AnnAssign):
        return statement
    if statement.value is None:
        return None
    return ast.copy_location(ast.Assign(targets=[statement.target], value=statement.value), statement)


def _is_idle(statement: ast.stmt, read: set[str], *, is_class: bool) -> bool:
    """Whether a statement is only text, or assigns text to a name that is never read."""
    match statement:
        case ast.Expr(value=value):
            return _is_inert(value)
        case ast.Assert(test=ast.Constant(value=value)):
            return bool(value)
        case ast.Assign(targets=targets, value=value) if not is_class:
            is_unread = all(isinstance(t, ast.Name) and t.id not in read for t in targets)
            return is_unread and _is_inert(value) and _holds_text(value)
    return False


def _is_inert(node: ast.expr) -> bool:
    """Whether evaluating an expression has no effect: constants, and text built from constants."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and _is_text(node.left) and _is_text(node.right)
    return isinstance(node, _INERT) and all(
        _is_inert(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
    )


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_inert(node)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _holds_text(node: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str | bytes) for part in ast.walk(node)
    )
