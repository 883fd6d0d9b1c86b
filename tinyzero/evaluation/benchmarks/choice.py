"""The benchmarks by name, and their files."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tinyzero.errors import ConfigError, nearest
from tinyzero.evaluation.benchmarks.base import Benchmark, Item
from tinyzero.evaluation.benchmarks.code_tests import humaneval_plus, mbpp_plus
from tinyzero.evaluation.benchmarks.cruxeval import CruxEvalInput, CruxEvalOutput
from tinyzero.evaluation.benchmarks.own_tasks import OwnTasks
from tinyzero.evaluation.benchmarks.word_problems import gsm8k, math500
from tinyzero.tasks.base import Kind

_ALL: Sequence[Benchmark] = (
    CruxEvalOutput(),
    CruxEvalInput(),
    humaneval_plus(),
    mbpp_plus(),
    gsm8k(),
    math500(),
)
BENCHMARKS: Mapping[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}


def open_benchmark(
    name: str, data: Path | None, kinds: Mapping[str, Kind]
) -> tuple[Benchmark, Sequence[Item], Path]:
    """A benchmark with its tasks and their file.

    Args:
        name: of a benchmark, or a JSONL file of tasks of these kinds.
        data: folder with the published files, or the file itself.

    Raises:
        ConfigError: there is no such benchmark, its file is missing, or a line of it is no task.
    """
    own = Path(name).expanduser()
    if name not in BENCHMARKS and (own.suffix == ".jsonl" or own.is_file()):
        if not own.is_file():
            raise ConfigError(f"there is no file {name}; --bench takes a JSONL file of tasks, or {_names()}")
        benchmark: Benchmark = OwnTasks(name=own.stem, kinds=kinds)
        return benchmark, _items(benchmark, own), own
    if name not in BENCHMARKS:
        raise ConfigError(
            f"no benchmark is called {name}{nearest(name, BENCHMARKS)}; --bench takes {_names()}, or a JSONL "
            "file of tasks"
        )
    benchmark = BENCHMARKS[name]
    path = _find_file(benchmark, data)
    return benchmark, _items(benchmark, path), path


def _names() -> str:
    return ", ".join(BENCHMARKS)


def _find_file(benchmark: Benchmark, data: Path | None) -> Path:
    traits = benchmark.traits
    how = f"it is published as {traits.source}"
    if data is None:
        raise ConfigError(f"{benchmark.name} needs its file: give its folder with --data DIR; {how}")
    if data.is_file():
        return data
    if not data.is_dir():
        raise ConfigError(
            f"--data {data} is no folder and no file; give the folder of {benchmark.name}; {how}"
        )
    for pattern in (*traits.names, *(f"*/{name}" for name in traits.names)):
        for path in sorted(data.glob(pattern)):
            if path.is_file():
                return path
    names = " or ".join(traits.names)
    raise ConfigError(f"{data} has no file {names} for {benchmark.name}; put it there; {how}")


def _items(benchmark: Benchmark, path: Path) -> Sequence[Item]:
    items: dict[str, Item] = {}
    for number, record in enumerate(json_lines(path), start=1):
        try:
            item = benchmark.item({"line": number - 1, **record})
        except KeyError as error:
            raise ConfigError(f"{_place(path, number, benchmark)}: it has no field {error}") from error
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{_place(path, number, benchmark)}: {error}") from error
        if item.id in items:
            raise ConfigError(f"{path}, line {number}: another task has the id {item.id} already")
        items[item.id] = item
    if not items:
        raise ConfigError(f"{path} holds no task")
    return tuple(items.values())


def _place(path: Path, number: int, benchmark: Benchmark) -> str:
    where = (
        f"take the file of {benchmark.traits.source}" if benchmark.traits.names else benchmark.traits.source
    )
    return f"line {number} of {path} is no task of {benchmark.name} ({where})"


def json_lines(path: Path) -> Iterator[dict[str, object]]:
    """The JSON objects of a file, which may be compressed by gzip; empty lines are skipped.

    Raises:
        ConfigError: the file cannot be read, or a line is no JSON object.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _json_object(line, path, number)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _json_object(line: str, path: Path, number: int) -> dict[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"line {number} of {path} is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise ConfigError(f'line {number} of {path} is no JSON object, such as {{"id": ..., "answer": ...}}')
    return record
