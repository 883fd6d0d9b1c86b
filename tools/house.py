"""The size and shape of a checkout: lines, functions, public names, knobs, modules on a path.

    python tools/house.py                      # this checkout
    python tools/house.py ../other --no-runs   # another, without training a step and exporting it

Counted without tests and tools. Public names are module-level functions, classes and constants without an
underscore, loggers left out. A path's modules are those of which the main thread calls a function; it is
walked by nano at toy size, in a process that imports the checkout.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_PACKAGE = "tinyzero"
_LOGGERS = {"log", "logger"}
_PROBE = Path(__file__).parent / "house_probe.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A file of the package.

    Attributes:
        functions: lines of each, nested ones and methods included.
    """

    path: Path
    lines: int
    functions: tuple[int, ...]
    public_names: tuple[str, ...]
    words: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The modules of a checkout, and what stands around them."""

    modules: tuple[Module, ...]
    test_lines: int
    words_around: frozenset[str]

    @property
    def lines(self) -> int:
        return sum(module.lines for module in self.modules)

    @property
    def own_only(self) -> list[str]:
        """Public names that no other file of the package mentions, as `path:name`."""
        counts: dict[str, int] = {}
        for module in self.modules:
            for word in module.words:
                counts[word] = counts.get(word, 0) + 1
        return [
            f"{module.path.as_posix()}:{name}"
            for module in self.modules
            for name in module.public_names
            if counts[name] == 1
        ]

    @property
    def untested(self) -> list[str]:
        """Those of them that no test, tool or example mentions either."""
        return [place for place in self.own_only if place.rpartition(":")[2] not in self.words_around]


def read_house(root: Path) -> House:
    modules = tuple(_read_module(path, root) for path in sorted((root / _PACKAGE).rglob("*.py")))
    around = [path for folder in ("tests", "tools", "examples") for path in (root / folder).rglob("*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in around}
    return House(
        modules=modules,
        test_lines=sum(
            _num_lines(text) for path, text in texts.items() if path.is_relative_to(root / "tests")
        ),
        words_around=frozenset().union(*map(_words, texts.values())),
    )


def figures(house: House) -> dict[str, str]:
    """Name -> figure, as text."""
    files = [module.lines for module in house.modules]
    functions = [lines for module in house.modules for lines in module.functions]
    num_names = sum(len(module.public_names) for module in house.modules)
    return {
        "files": str(len(files)),
        "lines": str(house.lines),
        "lines of a file, median / p90 / max": _spread(files),
        "functions": str(len(functions)),
        "lines of a function, median / p90 / max": _spread(functions),
        "functions over 40 lines": str(sum(lines > 40 for lines in functions)),
        "public names": str(num_names),
        "of these, used in their own file only": f"{len(house.own_only)}, untested {len(house.untested)}",
        "test lines a line": f"{house.test_lines / house.lines:.2f}",
    }


def largest(house: House, count: int = 8) -> list[str]:
    """The largest files, one a line."""
    ordered = sorted(house.modules, key=lambda module: -module.lines)[:count]
    return [f"{module.lines:6} {module.path.as_posix()}" for module in ordered]


def walked(root: Path) -> dict[str, list[str]]:
    """Path -> modules, and `knobs` -> their names, as a process with this checkout tells them."""
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(_PROBE)], env=environment, cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the checkout could not be walked:\n{done.stderr[-3000:]}")
    told: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    house = read_house(options.root)
    shown = figures(house)
    paths = {} if options.no_runs else walked(options.root)
    shown |= {name: str(len(entries)) for name, entries in paths.items()}
    width = max(map(len, shown))
    print("\n".join([*(f"{name:{width}}  {value}" for name, value in shown.items()), "", *largest(house)]))
    for name, entries in (
        {**paths, "untested, own file only": house.untested}.items() if options.names else ()
    ):
        print("\n".join(["", name, *(f"  {entry}" for entry in entries)]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", nargs="?", type=lambda text: Path(text).resolve(), default=_PROBE.parents[1])
    parser.add_argument("--no-runs", action="store_true", help="count only; train and export nothing")
    parser.add_argument("--names", action="store_true", help="also list the modules, knobs and names")
    return parser.parse_args(arguments)


def _read_module(path: Path, root: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return Module(
        path=path.relative_to(root),
        lines=_num_lines(text),
        functions=tuple((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions),
        public_names=tuple(dict.fromkeys(_public_names(tree))),
        words=_words(text),
    )


def _public_names(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if not name.startswith("_") and name not in _LOGGERS)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


def _num_lines(text: str) -> int:
    return len(text.splitlines())


def _spread(sizes: Sequence[int]) -> str:
    ordered = sorted(sizes)
    return f"{median(ordered):g} / {ordered[round(0.9 * (len(ordered) - 1))]} / {ordered[-1]}"


if __name__ == "__main__":
    main()
