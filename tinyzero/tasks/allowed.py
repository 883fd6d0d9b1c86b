"""What a proposed program may use. The sandbox is for safety; these rules are for good tasks.

An answer must follow from the text of the program, so that a reader can work it out. The
rules track objects: a module may only be the left side of a dot, so the object behind each name is known.
"""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from string import Formatter
from types import ModuleType

from tinyzero.tasks.programs import BadProgram, parse

# Pure modules whose results a reader can work out, all preloaded by the executor. Excluded on purpose:
# random, hashlib, zlib and the like (nobody can predict them, seeded or not), and all that read the machine.
# fmt: off
ALLOWED_MODULES = frozenset({
    "__future__", "abc", "bisect", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal",
    "enum", "fractions", "functools", "heapq", "itertools", "json", "math", "numbers", "operator", "re",
    "statistics", "string", "textwrap", "typing", "unicodedata",
})
# Names that read the machine, the interpreter or the user, or that hide the program from its reader.
_BANNED_NAMES = frozenset({
    "breakpoint", "compile", "delattr", "dir", "eval", "exec", "exit", "getattr", "globals", "hash", "help",
    "id", "input", "locals", "memoryview", "object", "open", "quit", "setattr", "vars",
})
# Public functions that run text, or access any attribute or module by name.
_HIDDEN = frozenset({
    "typing.get_type_hints", "typing.ForwardRef", "string.Formatter", "dataclasses.make_dataclass",
    "enum.global_enum",
})
_BANNED_ATTRIBUTES = frozenset({
    "now", "today", "utcnow",  # the clock
    "f_back", "f_builtins", "f_code", "f_globals", "f_locals", "tb_frame", "tb_next", "gi_code", "gi_frame",
    "gi_yieldfrom", "cr_await", "cr_code", "cr_frame", "cr_origin", "ag_await", "ag_code", "ag_frame",
})
# fmt: on
_SUBMODULES = frozenset({"collections.abc"})
_BY_NAME = frozenset({"attrgetter", "methodcaller"})
_ALLOWED_DUNDERS = frozenset(
    {"__init__", "__name__", "__len__", "__getitem__", "__iter__", "__next__", "__call__"}
)
_ALLOWED_GLOBALS = frozenset({"__name__", "__class__", "__debug__"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def check_allowed(program: str, max_chars: int) -> str:
    """Why a tidy program must not become a task, or an empty string."""
    if len(program) > max_chars:
        return f"program has {len(program)} characters, {max_chars} are allowed"
    try:
        tree = parse(program)
        return next(_Rules(tree).broken(tree, ()), "")
    except (BadProgram, RecursionError) as error:
        return str(error)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The names that a function binds, imports or declares global."""

    bound: frozenset[str]
    modules: dict[str, str]
    outer: frozenset[str] = frozenset()


_Scopes = tuple[_Scope, ...]


class _Rules:
    """Walks a program with its scopes, innermost last, and yields the broken rules."""

    def __init__(self, tree: ast.Module) -> None:
        self._modules = _imported_modules(tree)
        self._own = frozenset(_bound_in(tree)) - _read_too_early(tree)
        self._all_modules = {
            name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
            for name in _imported_modules(node)
        }  # fmt: skip

    def broken(self, node: ast.AST, scopes: _Scopes) -> Iterator[str]:
        match node:
            case ast.Import() | ast.ImportFrom():
                yield from _bad_import(node)
            case ast.Name():
                yield from self._bad_name(node, scopes)
            case ast.Attribute():
                yield from self._bad_attribute(node, scopes)
            case ast.Call() if _last_name(node.func) in _BY_NAME:
                yield from self._bad_getter(node, scopes)
            case ast.ClassDef():
                yield from self._bad_class(node, scopes)
            case ast.Global() | ast.Nonlocal():
                yield from (f"rebinds the module {name}" for name in node.names if name in self._all_modules)
            case ast.MatchClass():
                yield from (f"uses .{name}" for name in node.kwd_attrs if _is_banned_attribute(name))
                yield from self._children(node, scopes)
            case _:
                yield from self._children(node, scopes)

    def _children(self, node: ast.AST, scopes: _Scopes) -> Iterator[str]:
        for child, inner in _children(node, scopes):
            yield from self.broken(child, inner)

    def _bad_name(self, node: ast.Name, scopes: _Scopes) -> Iterator[str]:
        scope = _binding(node.id, scopes)
        if self._module(node, scopes):
            yield f"uses the module {node.id} as a value"
        elif not isinstance(node.ctx, ast.Load) or scope is not None:
            return
        elif (
            node.id in _BY_NAME
            or (node.id in _BANNED_NAMES and node.id not in self._own)
            or (_is_dunder(node.id) and node.id not in _ALLOWED_GLOBALS)
        ):
            yield f"uses {node.id}"

    def _bad_attribute(self, node: ast.Attribute, scopes: _Scopes) -> Iterator[str]:
        module = self._module(node.value, scopes)
        if module:
            yield from _bad_member(module, node)
        else:
            if _is_banned_attribute(node.attr) or node.attr in _BY_NAME:
                yield f"uses .{node.attr}"
            if node.attr in ("format", "format_map") and not _is_plain_template(node.value):
                yield f"uses .{node.attr} of a text that is not written out, or that names attributes"
            yield from self.broken(node.value, scopes)

    def _bad_getter(self, node: ast.Call, scopes: _Scopes) -> Iterator[str]:
        """`attrgetter('a.b')` reads attributes, so their names must be literals."""
        names = node.args[:1] if _last_name(node.func) == "methodcaller" else node.args
        for argument in names:
            text = argument.value if isinstance(argument, ast.Constant) else None
            if not isinstance(text, str) or any(map(_is_banned_attribute, text.split("."))):
                yield f"uses {_last_name(node.func)} on more than plain names"
        for child in (*node.args, *node.keywords):
            yield from self.broken(child, scopes)

    def _bad_class(self, node: ast.ClassDef, scopes: _Scopes) -> Iterator[str]:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id == "__match_args__":
                yield "uses __match_args__"
        if any(isinstance(child, ast.Import | ast.ImportFrom) for child in _own_nodes(node)):
            yield f"imports inside of the class {node.name}"
        yield from self._children(node, scopes)

    def _module(self, node: ast.expr, scopes: _Scopes) -> str:
        """The name of the module that an expression refers to, or an empty string."""
        if isinstance(node, ast.Name):
            scope = _binding(node.id, scopes)
            return (self._modules if scope is None else scope.modules).get(node.id, "")
        if isinstance(node, ast.Attribute):
            path = f"{self._module(node.value, scopes)}.{node.attr}"
            return path if path in _SUBMODULES else ""
        return ""


def _binding(name: str, scopes: _Scopes) -> _Scope | None:
    """The function that binds a name at its use; None for a global or builtin name."""
    for scope in reversed(scopes):
        if name in scope.outer:
            return None
        if name in scope.bound:
            return scope
    return None


def _children(node: ast.AST, scopes: _Scopes) -> Iterator[tuple[ast.AST, _Scopes]]:
    """The children of a node, each with the scopes of its evaluation."""
    if isinstance(node, _FUNCTIONS):
        inner = (*scopes, _scope(node))
        body = node.body if isinstance(node.body, list) else [node.body]
        yield from ((child, inner) for child in body)
        yield from ((child, scopes) for child in ast.iter_child_nodes(node) if child not in body)
    elif isinstance(node, _COMPREHENSIONS):
        bound = {name for generator in node.generators for name in _stored(generator.target)}
        inner = (*scopes, _Scope(frozenset(bound), {}))
        first = node.generators[0].iter
        yield first, scopes
        yield from ((child, inner) for child in ast.iter_child_nodes(node) if child not in node.generators)
        for generator in node.generators:
            parts = [generator.target, *generator.ifs]
            yield from (
                (part, inner) for part in (parts if generator.iter is first else [*parts, generator.iter])
            )
    else:
        yield from ((child, scopes) for child in ast.iter_child_nodes(node))


def _scope(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> _Scope:
    parameters = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    if isinstance(function, ast.Lambda):
        return _Scope(frozenset(parameters), {})
    outer = {name for node in _own_nodes(function) if isinstance(node, ast.Global) for name in node.names}
    passed_on = {
        name for node in _own_nodes(function) if isinstance(node, ast.Nonlocal) for name in node.names
    }
    bound = (parameters | _bound_in(function)) - outer - passed_on
    return _Scope(frozenset(bound), _imported_modules(function), frozenset(outer))


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a scope without its inner scopes. Comprehensions are not counted as inner scopes."""
    body = getattr(scope, "body", [scope])
    todo = list(body) if isinstance(body, list) else [body]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(node))


def _bound_in(scope: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in _own_nodes(scope):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                names.add(name)
            case ast.MatchMapping(rest=str(name)):
                names.add(name)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case _ if isinstance(node, _COMPREHENSIONS):
                pass
    return names - {name for node in _own_nodes(scope) for name in _only_in_comprehensions(node)}


def _only_in_comprehensions(node: ast.AST) -> set[str]:
    """Names that only a comprehension binds.

    A name that is also bound outside counts as unbound, which is the stricter choice.
    """
    if not isinstance(node, _COMPREHENSIONS):
        return set()
    return {name for generator in node.generators for name in _stored(generator.target)}


def _stored(target: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _read_too_early(tree: ast.Module) -> frozenset[str]:
    """Names that may still be builtins when they are read: outside functions, or while unbound."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names |= set(node.names)
    outside: list[ast.AST] = list(tree.body)
    while outside:
        node = outside.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            names.add(node.id)
        inner = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
        outside.extend(child for child in ast.iter_child_nodes(node) if child not in inner)
    return frozenset(names)


def _imported_modules(scope: ast.AST) -> dict[str, str]:
    """Name -> module, for the imports of a scope or for one import."""
    modules: dict[str, str] = {}
    for node in _own_nodes(scope):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                modules[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if f"{node.module}.{alias.name}" in _SUBMODULES:
                    modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return modules


def _bad_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"imports {alias.name}" for alias in node.names if not _is_allowed(alias.name))
        return
    module = node.module or ""
    if node.level or not _is_allowed(module):
        yield f"imports {module if module and not node.level else 'relatively'}"
        return
    for alias in node.names:
        is_renamed_getter = alias.name in _BY_NAME and alias.asname not in (None, alias.name)
        if alias.name != "*" and (is_renamed_getter or not _is_public(module, alias.name)):
            yield f"imports {module}.{alias.name}"


def _is_allowed(module: str) -> bool:
    return module in ALLOWED_MODULES or module in _SUBMODULES


def _bad_member(module: str, node: ast.Attribute) -> Iterator[str]:
    if not isinstance(node.ctx, ast.Load):
        yield f"changes {module}.{node.attr}"
    elif f"{module}.{node.attr}" in _SUBMODULES:
        yield f"uses the module {module}.{node.attr} as a value"
    elif node.attr in _BY_NAME or not _is_public(module, node.attr):
        yield f"uses {module}.{node.attr}"


def _is_public(module: str, name: str) -> bool:
    path = f"{module}.{name}"
    return path in _SUBMODULES or (
        _is_allowed(module) and name in public_names(module) and path not in _HIDDEN
    )


@cache
def public_names(module: str) -> frozenset[str]:
    """Public names of a standard library module: `__all__`, or all names except private ones and modules."""
    members = vars(importlib.import_module(module))
    offered = members.get("__all__") or (name for name in members if not name.startswith("_"))
    return frozenset(name for name in offered if not isinstance(members.get(name), ModuleType))


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return str(name)
    return ""


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_banned_attribute(name: str) -> bool:
    return name in _BANNED_ATTRIBUTES or (name.startswith("__") and name not in _ALLOWED_DUNDERS)


def _is_plain_template(node: ast.expr) -> bool:
    """Whether an expression is a literal format string without attributes."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    return _names_no_attribute(node.value, depth=3)


def _names_no_attribute(template: str, depth: int) -> bool:
    try:
        fields = [(name or "", spec or "") for _, name, spec, _ in Formatter().parse(template)]
    except ValueError:  # the program raises the same error
        return True
    return depth > 0 and all(
        "." not in name and "__" not in name and _names_no_attribute(spec, depth - 1) for name, spec in fields
    )
