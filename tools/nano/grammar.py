"""Random small programs over ints, strings and lists of ints, and random inputs for them.

A program is a chain: a value starts as the first parameter and every operation turns it into the next
one, so each line matters. Loops are bounded by construction; only ordinary exceptions have to be expected.
"""

import ast
import string
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from nano.operations import CHARACTERS, CONDITIONS, ELEMENTS, LOCALS, LOOPS, OPERATIONS, PARAMETERS

MAX_LINES = 4
"""Longest body of a pretraining program; longer ones exist in the held-out set only."""
LINE_WEIGHTS = (0.6, 0.18, 0.14, 0.08)

ALPHABETS = ("abc", "abc", "abcdexyz", string.ascii_lowercase, string.ascii_lowercase, "abABC-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Source of `f`, and the types of its parameters."""

    source: str
    parameters: tuple[str, ...]


def random_program(rng: Random, *, num_lines: int | None = None) -> Program:
    """A program whose body has `num_lines` lines (drawn by `LINE_WEIGHTS` where none is given)."""
    num_lines = num_lines or rng.choices(range(1, MAX_LINES + 1), LINE_WEIGHTS)[0]
    while (writer := _Writer(rng)).write(num_lines) or writer.unused:
        pass
    body = "\n".join("    " + line for line in writer.lines)
    source = f"def f({', '.join(writer.parameters)}):\n{body}"
    # One spelling for equal programs: the parentheses and quotes of `ast.unparse`.
    return Program(source=ast.unparse(ast.parse(source)), parameters=tuple(writer.parameters.values()))


def random_arguments(rng: Random, types: Sequence[str]) -> tuple[object, ...]:
    return tuple(_VALUES[type_](rng) for type_ in types)


def random_int(rng: Random) -> int:
    return rng.choices((rng.randint(0, 9), rng.randint(10, 20), rng.randint(-9, -1)), (8, 1, 1))[0]


def random_string(rng: Random) -> str:
    alphabet = rng.choice(ALPHABETS)
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 4)))


def random_list(rng: Random) -> list[int]:
    return [random_int(rng) if rng.random() < 0.1 else rng.randint(0, 9) for _ in range(rng.randint(1, 4))]


_VALUES = {"int": random_int, "str": random_string, "list": random_list}


class _Writer:
    """Writes one body: the chain's current value is `expression`, of type `type`."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        types = [rng.choice(("int", "str", "list"))]
        if rng.random() < 0.3:
            types.append(rng.choice(("int", "int", "str", "list")))
        self.parameters: dict[str, str] = {}
        for type_ in types:
            self.parameters[self._new_name(PARAMETERS[type_])] = type_
        self.expression, self.type = next(iter(self.parameters.items()))
        self.unused = list(self.parameters)[1:]

    def write(self, num_lines: int) -> None:
        while (room := num_lines - len(self.lines) - 1) > 0:
            self._write_statement(room)
        minimum = 1 if not self.lines or self.unused else 0
        self.extend(self.rng.choices((minimum, 1, 2), (2, 6, 1))[0])
        if num_lines == 1 and self.rng.random() < 0.25:
            self.extend(1)
        self.lines.append(f"return {self.expression}")

    def _write_statement(self, room: int) -> None:
        loops = [loop for loop in LOOPS if loop[0] == self.type and len(loop[1]) <= room]
        if loops and self.rng.random() < 0.6:
            self._write_loop(self.rng.choice(loops))
        elif room >= 2 and self.rng.random() < 0.6:
            self._write_condition()
        else:
            self.extend(self.rng.choice((1, 1, 1, 1, 2)))
            self._assign()

    def _write_loop(self, loop: tuple[str, tuple[str, ...], str]) -> None:
        source_type, lines, result = loop
        element = self._new_name(ELEMENTS[source_type])
        accumulator = self._new_name(LOCALS[result], taken=(element,))
        self.lines += [self._fill(line, a=accumulator, x=element) for line in lines]
        self.expression, self.type = accumulator, result

    def _write_condition(self) -> None:
        """`if ...:` and one indented line: an early return, or a change of the value."""
        if not self.expression.isidentifier():
            self.extend(1)
            return self._assign()
        self.lines.append(f"if {self._fill(self.rng.choice(CONDITIONS[self.type]))}:")
        operations = [row for row in _usable(self.type, {}) if row[2] == self.type]
        changed = self._fill(_pick(self.rng, operations)[1]) if operations else self.expression
        keyword = "return " if self.rng.random() < 0.6 else f"{self.expression} = "
        self.lines.append(f"    {keyword}{changed}")
        return None

    def _assign(self) -> None:
        name = self.expression if self.expression in self.parameters else None
        if name is None or self.rng.random() < 0.5:
            name = self._new_name(LOCALS[self.type])
        self.lines.append(f"{name} = {self.expression}")
        self.expression = name

    def extend(self, num_operations: int) -> None:
        """Apply operations to the value, the second parameter's one as soon as the types allow it."""
        for _ in range(num_operations):
            others = {self.parameters[name]: name for name in self.unused}
            rows = _usable(self.type, others)
            with_other = [row for row in rows if any(f"{{{type_}}}" in row[1] for type_ in others)]
            _, template, result = _pick(self.rng, with_other or rows)
            simple = self.expression.isidentifier()
            value = self.expression if simple else f"({self.expression})"
            self.expression, self.type = self._fill(template, value=value, **others), result
            self.unused = [] if with_other else self.unused

    def _fill(self, template: str, *, value: str = "", **names: str) -> str:
        """Every hole of a template, each occurrence drawn anew (so `{c}` twice is two characters)."""
        element = names.pop("e", None) or self._new_name(ELEMENTS.get(self.type, ("c",)))
        fixed = {"v": value or self.expression, "e": element, **names}
        pieces = []
        for literal, hole, _, _ in string.Formatter().parse(template):
            pieces.append(literal)
            if hole is not None:
                pieces.append(fixed[hole] if hole in fixed else self._constant(hole))
        return "".join(pieces)

    def _constant(self, hole: str) -> str:
        match hole:
            case "k":
                return str(self.rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10)))
            case "m":
                return str(self.rng.choice((2, 2, 3)))
            case "d":
                return str(self.rng.choice((2, 2, 3, 3, 4, 5, 10)))
            case "i":
                return str(self.rng.choice((0, 1, 1, 2)))
            case "s":
                return str(self.rng.choice((1, 1, 2)))
            case "b":
                return str(self.rng.choice((0, 1)))
            case "p":
                return self.rng.choice((">", "<", "==", ">", "<"))
        return repr(self.rng.choice(CHARACTERS))

    def _new_name(self, candidates: Sequence[str], taken: Sequence[str] = ()) -> str:
        used = {*taken, *getattr(self, "parameters", ())}
        used |= {line.split(" ")[0] for line in self.lines}
        free = [name for name in candidates if name not in used]
        return self.rng.choice(free or [name for name in string.ascii_lowercase if name not in used])


def _usable(type_: str, others: dict[str, str]) -> list[tuple[float, str, str]]:
    """Operations whose holes for other parameters can be filled from `others` (type -> name)."""
    missing = [f"{{{name}}}" for name in ("int", "str", "list") if name not in others]
    return [row for row in OPERATIONS[type_] if not any(hole in row[1] for hole in missing)]


def _pick(rng: Random, rows: Sequence[tuple[float, str, str]]) -> tuple[float, str, str]:
    return rng.choices(rows, [weight for weight, _, _ in rows])[0]
