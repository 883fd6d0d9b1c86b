"""Programs as syntax trees: the tidy form, and normal forms for comparing programs.

The rules for what a proposal may contain are in `tinyzero.tasks.allowed`.
"""

import ast
import warnings
from collections.abc import Set
from hashlib import blake2b

from tinyzero.tasks.stripping import strip

ENTRY = "f"

_DEFINITIONS = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
# Nodes of `except ... as name` and of patterns; their name is optional.
_NAMING = (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
# Longer text never reaches Python's parser.
_MAX_SOURCE_CHARS = 20_000
# What Python's parser and unparser may raise; SystemError comes from bugs in the parser itself.
_FAULTS = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError, SystemError)
_MAX_TIDY_CHARS = 4 * _MAX_SOURCE_CHARS
# Deeper trees overflow the recursion of ast.unparse; normal programs stay below 30.
_MAX_DEPTH = 60


class BadProgram(ValueError):
    """The text is not a usable program; the message says why."""


def tidy(source: str) -> str:
    """The program in a standard form: the entry, named `f`, and the definitions that it needs.

    Removes comments, docstrings and other text without effect, since they may give answers away, and also
    annotations, which may name types that are not imported. Idempotent. Raises only BadProgram,
    for any text.
    """
    tree = parse(source)
    tree.body = [node for node in tree.body if not _is_scrap(node)]
    stray = next((node for node in tree.body if not isinstance(node, _DEFINITIONS)), None)
    if stray is not None:
        raise BadProgram(
            f"line {stray.lineno}: only imports, definitions and assignments may stand at the top level"
        )
    entry = _name_entry(tree)
    tree.body = _needed(entry, tree.body)
    strip(tree)
    return unparse(tree)


def unparse(tree: ast.Module) -> str:
    """The text of a syntax tree. Raises BadProgram if Python cannot write it."""
    try:
        program = ast.unparse(tree)
    except _FAULTS as error:
        raise BadProgram(f"has no tidy form: {type(error).__name__}") from error
    if len(program) > _MAX_TIDY_CHARS or ast.dump(parse(program)) != ast.dump(tree):
        raise BadProgram("has no tidy form: it reads as another program when it is written out")
    return program


def with_definitions(source: str) -> str:
    """`f = lambda a: a + 1` as `def f(a): return a + 1`; other names only in a program without functions.

    A text that does not parse is returned unchanged.
    """
    try:
        tree = parse(source)
        names = {name for node in tree.body if (name := _lambda_name(node))}
        has_function = ENTRY in names or any(isinstance(node, ast.FunctionDef) for node in tree.body)
        chosen = names & {ENTRY} if has_function else names
        tree.body = [_definition(node) if _lambda_name(node) in chosen else node for node in tree.body]
        return unparse(tree) if chosen else source
    except BadProgram:
        return source


def canonical(program: str) -> str:
    """Normal form with names replaced and constants kept: equal for programs that differ only in names."""
    return ast.dump(_Renamer(constants=False).visit(ast.parse(tidy(program))))


def renamed(tree: ast.Module) -> None:
    """Replace every name that a program binds, but that of the entry, by `v0`, `v1`, ..., in place."""
    _Renamer(constants=False, kept={ENTRY}).visit(tree)


def shape(program: str) -> str:
    """Hash of the program with names and constants replaced: equal for near-duplicates."""
    return digest(ast.dump(_Renamer(constants=True).visit(ast.parse(tidy(program)))))


def digest(*parts: str) -> str:
    """A hash of several texts, 16 hex digits. It is unambiguous: each part is prefixed by its length."""
    content = "".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(content.encode(errors="backslashreplace"), digest_size=8).hexdigest()


def parse(source: str) -> ast.Module:
    """The syntax tree of an untrusted text. Raises BadProgram."""
    if len(source) > _MAX_SOURCE_CHARS:
        raise BadProgram(f"is longer than {_MAX_SOURCE_CHARS} characters")
    try:
        with warnings.catch_warnings(action="ignore"):  # such as "\d" or `is 1`: not our concern
            tree = ast.parse(source)
    except _FAULTS as error:
        raise BadProgram(f"does not parse: {error}") from error
    if _depth(tree) > _MAX_DEPTH:
        raise BadProgram("is nested too deeply")
    return tree


def _depth(tree: ast.AST) -> int:
    """Depth of a syntax tree, counted level by level, since a recursive walk could overflow."""
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def _is_scrap(node: ast.stmt) -> bool:
    """Whether a statement is a usage example, a docstring or an `if __name__ == ...` block."""
    return isinstance(node, ast.Expr | ast.Assert) or (
        isinstance(node, ast.If) and "__name__" in _used(node.test)
    )


def _lambda_name(node: ast.stmt) -> str:
    """The name that a statement gives to a lambda, or an empty string."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda()):
            return name
    return ""


def _definition(node: ast.stmt) -> ast.stmt:
    """The `def` that means the same as a named lambda."""
    definition = parse(f"def {_lambda_name(node)}(): pass").body[0]
    match node, definition:
        case ast.Assign(value=ast.Lambda(args=arguments, body=value)), ast.FunctionDef():
            definition.args, definition.body = arguments, [ast.Return(value=value)]
    return ast.fix_missing_locations(definition)


def _name_entry(tree: ast.Module) -> ast.FunctionDef:
    """Return the entry: the function named `f`, or the only function, which is renamed. Raises BadProgram."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    entry = next((node for node in reversed(functions) if node.name == ENTRY), None)
    if entry is None:
        if len(functions) != 1:
            raise BadProgram(f"defines {len(functions)} functions and none is named {ENTRY}")
        entry = functions[0]
        _rename(tree, entry.name)
    arguments = entry.args
    if not (arguments.posonlyargs or arguments.args or arguments.vararg):
        raise BadProgram(f"{ENTRY} takes no argument")
    return entry


def _needed(entry: ast.FunctionDef, body: list[ast.stmt]) -> list[ast.stmt]:
    """The top-level statements that define what `entry` uses, directly or indirectly, in order."""
    definers: dict[str, list[ast.stmt]] = {}
    for node in body:
        for name in _defines(node):
            definers.setdefault(name, []).append(node)
    kept: set[ast.stmt] = set()
    todo: list[ast.stmt] = [entry]
    while todo:
        node = todo.pop()
        if node not in kept:
            kept.add(node)
            todo += [definer for name in _used(node) for definer in definers.pop(name, ())]
    return [node for node in body if node in kept]


def _defines(node: ast.stmt) -> set[str]:
    """Names that a top-level statement defines, without its local names."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return bound_names(node)


def _rename(tree: ast.Module, name: str) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            node.id = ENTRY
        elif isinstance(node, ast.FunctionDef) and node.name == name:
            node.name = ENTRY


def _used(tree: ast.AST) -> set[str]:
    return {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def bound_names(tree: ast.AST) -> set[str]:
    """Names that the program binds itself: `input` in `def f(input)` is not the builtin."""
    names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names |= {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {node.asname for node in ast.walk(tree) if isinstance(node, ast.alias) and node.asname}
    return names | {node.name for node in ast.walk(tree) if isinstance(node, _NAMING) and node.name}


class _Renamer(ast.NodeTransformer):
    """Replaces names that the program binds by numbers, and, with `constants`, constants by their type.

    Builtin names and attributes stay, since they define what the program does.
    """

    def __init__(self, *, constants: bool, kept: Set[str] = frozenset()) -> None:
        self._constants = constants
        self._kept = kept
        self._names: dict[str, str] = {}
        self._own: set[str] = set()

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self._own = bound_names(node) - self._kept
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._fresh(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._fresh(node.arg)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._fresh(node.name)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._fresh(node.name)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Renames keywords of the program's own functions; `sorted(a, key=key)` keeps its keyword `key`."""
        if isinstance(node.func, ast.Name) and node.func.id in self._own:
            for keyword in node.keywords:
                keyword.arg = keyword.arg and self._fresh(keyword.arg)
        return self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> ast.AST:
        node.asname = node.asname and self._fresh(node.asname)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = node.name and self._fresh(node.name)
        return self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        node.name = node.name and self._fresh(node.name)
        return self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        node.name = node.name and self._fresh(node.name)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self._fresh(name) for name in node.names]
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._fresh(name) for name in node.names]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(value=type(node.value).__name__) if self._constants else node

    def _fresh(self, name: str) -> str:
        return self._names.setdefault(name, f"v{len(self._names)}") if name in self._own else name
