"""Similarity of programs by their syntax trees. The programs' own names and their constants do not count."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from tinyzero.tasks.programs import bound_names

_GRAM = 3
# Each of these nodes adds one path; so does every further operand of `and` and `or`.
_BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension, ast.match_case,
)  # fmt: skip


@lru_cache(maxsize=16384)
def skeleton(program: str) -> tuple[str, ...]:
    """The syntax tree in preorder, as words: node types, builtin and attribute names, types of constants.

    Raises:
        SyntaxError: the text is not a program.
    """
    tree = ast.parse(program)
    return tuple(_words(tree, bound_names(tree)))


def _words(node: ast.AST, own: set[str]) -> Iterator[str]:
    if not isinstance(node, ast.Load | ast.Store | ast.Module):
        yield _word(node, own)
    for child in ast.iter_child_nodes(node):
        yield from _words(child, own)


def _word(node: ast.AST, own: set[str]) -> str:
    if isinstance(node, ast.Constant):
        return type(node.value).__name__
    if isinstance(node, ast.Attribute):
        return f".{node.attr}"
    if isinstance(node, ast.Name) and node.id not in own:
        return node.id
    return type(node).__name__


@lru_cache(maxsize=16384)
def _grams(program: str) -> frozenset[tuple[str, ...]]:
    words = skeleton(program)
    return frozenset(words[place : place + _GRAM] for place in range(max(1, len(words) - _GRAM + 1)))


def distance(program: str, other: str) -> float:
    """1 - Jaccard similarity of two skeletons' trigrams: 0 for the same shape, 1 if nothing is in common."""
    mine, theirs = _grams(program), _grams(other)
    shared = len(mine & theirs)
    return 1.0 - shared / (len(mine) + len(theirs) - shared)


def novelty(program: str, others: Iterable[str]) -> float:
    """Distance to the nearest of the other programs; 1 if there are none."""
    nearest, size = 1.0, len(_grams(program))
    for other in others:
        smaller, larger = sorted((size, len(_grams(other))))
        if 1.0 - smaller / larger < nearest:  # else it cannot be nearer, whatever the two have in common
            nearest = min(nearest, distance(program, other))
    return nearest


def edit_distance(program: str, others: Sequence[str]) -> float:
    """1 - matching share of the two skeletons, averaged over the other programs; 0 without others.

    Source: the mean edit distance of Absolute Zero's code, which compares dumped trees by difflib's ratio.
    """
    ratios = (
        SequenceMatcher(None, skeleton(program), skeleton(other), autojunk=False).ratio() for other in others
    )
    return sum(1.0 - ratio for ratio in ratios) / len(others) if others else 0.0


def cyclomatic_complexity(program: str) -> int:
    """Independent paths through a program: 1 + branch points.

    Source: McCabe, A Complexity Measure (1976), counted over the whole program.
    """
    paths = 1
    for node in ast.walk(ast.parse(program)):
        paths += isinstance(node, _BRANCHES)
        paths += len(node.values) - 1 if isinstance(node, ast.BoolOp) else 0
    return paths
