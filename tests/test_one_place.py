"""Foreign text reaches people through `cli.screen` and `watch.text`, and is read through `foreign`.

The search follows names, not lines: aliases and imported functions are seen, too.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tinyzero"
# A module's functions that read text of others, or anything of a module that only does that.
READERS = {
    "json": {"load", "loads", "JSONDecoder", "detect_encoding"},
    "tomllib": {"*"},
    "yaml": {"load", "load_all", "safe_load", "safe_load_all", "full_load", "unsafe_load", "SafeLoader"},
    "pickle": {"*"}, "marshal": {"*"}, "configparser": {"*"}, "csv": {"*"}, "xml": {"*"}, "shelve": {"*"},
    "huggingface_hub": {"metadata_load", "ModelCard", "DatasetCard", "RepoCard"},
    "ast": {"literal_eval"}, "runpy": {"*"}, "fileinput": {"*"}, "linecache": {"*"}, "torch": {"load"},
    "io": {"open", "open_code"}, "codecs": {"open"},
}  # fmt: skip
READING_METHODS = {"read_text", "read_bytes", "model_validate_json"}
MAY_READ = {
    "foreign.py": {"json.loads", "tomllib.loads", "read_bytes", "huggingface_hub.metadata_load"},
    # A run's logs, line by line: what cannot be read is skipped, or is refused with its number.
    "run/records.py": {"json.loads", "open"}, "watch/follow.py": {"open"}, "export/dataset.py": {"open"},
    # Bytes, for digests, for copies, and in search of the token.
    "run/durable.py": {"open"}, "policy/base_files.py": {"open"}, "export/adapters.py": {"read_bytes"},
    "export/hub/plan.py": {"open", "read_bytes"},
    "cli/candidate.py": {"read_bytes"}, "evaluation/benchmarks/answering.py": {"read_bytes"},
    "evaluation/benchmarks/choice.py": {"json.loads"},  # some benchmarks have integers of any size
    # One number: the process that holds the lock, the kernel's limit of memory.
    "run/folder.py": {"open"}, "machine/hardware.py": {"read_text"},
    "learning/optimizers.py": {"torch.load", "read_bytes"},  # weights only, of a checkpoint with digests
    "policy/policy.py": {"read_bytes"}, "run/keeping.py": {"open", "read_bytes"},
    "plugins/finding.py": {"read_bytes"}, "plugins/record.py": {"read_bytes"},  # whole, for digest and copy
    "ranks/following.py": {"read_bytes"},  # a checkpoint's files, to pass them on
    "run/task_log.py": {"json.loads", "open"},  # of the run's log, as run/records.py
    "cli/__init__.py": {"open"},  # /dev/null
    # A program of its own, and what it says.
    "export/llama_cpp_child.py": {"json.load"}, "export/gguf_trial.py": {"json.loads"},
    "execution/attack.py": {"ast.literal_eval", "runpy.run_path"},  # a user's own programs
    # The sandbox imports nothing of ours; its parent writes arguments.
    "execution/child.py": {"marshal.loads"}, "execution/sandbox.py": {"open"},
    "execution/zygote.py": {"json.loads", "open"}, "execution/executor.py": {"marshal.dumps"},
    "execution/plans.py": {"marshal.dumps"}, "games/r_zero/equivalence/judge.py": {"marshal.dumps"},
    "games/r_zero/equivalence/worker.py": {"json.loads", "marshal.loads", "open"},
}  # fmt: skip
PRINTERS = {
    "typer": {"echo", "secho", "echo_via_pager", "prompt", "confirm", "progressbar"},
    "click": {"*"},
    "rich": {"print", "print_json", "inspect", "get_console"},
    "sys": {"stdout", "stderr", "__stdout__", "__stderr__", "displayhook", "excepthook"},
    "traceback": {"print_exc", "print_exception", "print_stack", "print_last", "print_tb"},
    "html": {"*"}, "pprint": {"pprint", "pp"}, "xml": {"*"},
    "logging": {"Formatter", "StreamHandler", "FileHandler", "basicConfig", "lastResort"},
    "warnings": {"warn", "showwarning"}, "os": {"write"}, "curses": {"*"},
}  # fmt: skip
STREAMS = {"sys.stdout", "sys.stderr"}  # commands hand them to `Screen`, and ask whether they are terminals
MAY_PRINT = {
    "cli/screen.py": {"typer.echo", "os.write"},
    "watch/text.py": {"html.escape", "logging.Formatter"},
    "cli/terminal.py": {"os.write"},  # the dashboard, whose parts are inert
    "cli/running.py": {"logging.FileHandler"},  # run.log, with the formatter of watch/text.py
    "watch/painter.py": {"Console.print"},  # into memory
    "export/llama_cpp_child.py": {"os.write"},  # a program of its own, to the pipe of its parent
    # The sandbox: the result pipe, and a script's own output.
    "execution/child.py": {"os.write", "sys.stdout"}, "games/r_zero/equivalence/worker.py": {"os.write"},
}  # fmt: skip


_parsed = functools.cache(ast.parse)


def calls_around(source: str, of_modules: dict[str, set[str]]) -> Iterator[str]:
    """Every use of such a function of a module, by whatever name it goes in this source."""
    tree = _parsed(source)
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {(a.asname or a.name).partition(".")[0]: a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            top = node.module.partition(".")[0]
            for alias in node.names:
                if {alias.name, "*"} & of_modules.get(top, set()):
                    yield f"{top}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id, "")
            if {node.attr, "*"} & of_modules.get(module, set()):
                yield f"{module}.{node.attr}"


def reads_in(source: str) -> set[str]:
    found = set(calls_around(source, READERS))
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Attribute) and node.attr in READING_METHODS:
            found.add(node.attr)
        elif isinstance(node, ast.Call) and _opens(node) and not _writes(node):
            found.add("open")
    return found


def _opens(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id == "open"
    is_method = isinstance(call.func, ast.Attribute) and call.func.attr == "open"
    return is_method and bool(not call.args or _mode(call))


def _mode(call: ast.Call) -> str:
    """The mode, where an argument looks like that: `RunFolder.open(path)` is no opened file."""
    values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    texts = [
        value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]
    return next((text for text in texts if text and set(text) <= set("rwaxbt+")), "")


def _writes(call: ast.Call) -> bool:
    mode = _mode(call)
    return bool(set(mode) & set("wax")) and "+" not in mode


def prints_in(source: str) -> set[str]:
    found = set(calls_around(source, PRINTERS))
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Name) and node.id == "print":
            found.add("print")
        elif isinstance(node, ast.Attribute) and node.attr == "print":
            found.add("Console.print")
    return found


def files() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8")


def test_nothing_reads_foreign_text_around_the_one_place() -> None:
    around = {name: left for name, text in files() if (left := reads_in(text) - MAY_READ.get(name, set()))}
    assert around == {}, "read through tinyzero.foreign, or say in MAY_READ why not"


def test_nothing_shows_foreign_text_around_the_one_place() -> None:
    around = {name: left for name, text in files() if (left := prints_in(text) - _may_print(name))}
    assert around == {}, "show through cli.screen and watch.text, or say in MAY_PRINT why not"


def _may_print(name: str) -> set[str]:
    return MAY_PRINT.get(name, set()) | (STREAMS if name.startswith("cli/") else set())


def test_commands_write_to_no_stream_themselves() -> None:
    for name, text in files():
        for node in ast.walk(_parsed(text)):
            if isinstance(node, ast.Attribute) and node.attr in ("write", "writelines", "buffer"):
                assert ast.unparse(node.value) not in STREAMS, name


def test_every_exception_is_still_needed() -> None:
    sources = dict(files())
    assert all(uses <= reads_in(sources[name]) for name, uses in MAY_READ.items())
    assert all(uses <= prints_in(sources[name]) for name, uses in MAY_PRINT.items())


@pytest.mark.parametrize(
    "source",
    [
        "import json\njson.loads(x)", "import json as j\nj.load(f)", "from json import loads\nloads(x)",
        "import tomllib\ntomllib.load(f)", "from tomllib import loads as read",
        "import yaml\nyaml.safe_load(x)",
        "open(p).read()", "open(p, 'rb')", "p.open()", "p.open('r')", "p.open(mode='rb')", "p.open('r+')",
        "p.read_text('utf-8')", "p.read_bytes()", "M.model_validate_json(x)",
        "import pickle\npickle.loads(x)",
        "def f():\n    import json\n    return json.loads(x)", "from huggingface_hub import metadata_load",
        "import json\nread = json.loads", "import io\nio.open(p)",
    ],
)  # fmt: skip
def test_the_search_sees_a_read(source: str) -> None:
    assert reads_in(source)


@pytest.mark.parametrize(
    "source",
    [
        "print(x)", "import typer\ntyper.echo(x)", "from typer import echo", "import typer as t\nt.secho(x)",
        "import sys\nsys.stdout.write(x)", "import sys as s\ns.stderr.write(x)", "from sys import stdout",
        "import os\nos.write(1, x)", "console.print(x)", "from rich import print", "show = print",
        "import html\nhtml.escape(x)", "from html import escape", "import traceback\ntraceback.print_exc()",
        "import logging\nlogging.StreamHandler()", "import click\nclick.echo(x)",
    ],
)  # fmt: skip
def test_the_search_sees_a_print(source: str) -> None:
    assert prints_in(source)


@pytest.mark.parametrize(
    "source",
    ["p.open('w')", "p.open('ab')", "RunFolder.open(path)", "import json\njson.dumps(x)", "p.write_text(x)"],
)
def test_the_search_leaves_writing_alone(source: str) -> None:
    assert not reads_in(source)
