"""Files of others: whatever they hold, every reader takes it or says in one line what is wrong with it."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tinyzero import foreign
from tinyzero.cli.own_task import read_task
from tinyzero.cli.runs import _row
from tinyzero.cli.solve import _read
from tinyzero.config import load_config
from tinyzero.config.loading import to_toml
from tinyzero.errors import TinyZeroError
from tinyzero.evaluation.heldout import read_set
from tinyzero.execution.attack import load_items
from tinyzero.export import manifest, tokenizer_files, weights
from tinyzero.export.adapters import _read_config
from tinyzero.export.licence import licence_of
from tinyzero.export.results import read_evaluation
from tinyzero.foreign import BadContent
from tinyzero.games.absolute_zero.game import _read_progress
from tinyzero.games.r_zero.question_set import QuestionSet
from tinyzero.machine.hardware import Machine
from tinyzero.machine.settling import settle
from tinyzero.machine.shapes import shape_of
from tinyzero.run import checkpoints
from tinyzero.run.folder import RunFolder
from tinyzero.tasks import KINDS
from tinyzero.tasks.pool.pool import read_tasks
from tinyzero.tasks.records import to_record
from tinyzero.types import Task
from tinyzero.watch.follow import state_of
from tinyzero.watch.report.page import report

HOSTILE = [
    b"", b"\xff\xfe", b"\0", b"[" * 100_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900, b"null", b"1",
    b"true",
    b'"x"', b"[]", b"[1]", b"[[1]]", b"{}", b"[{}]", b"9" * 5000, b"9" * 4000, b"1e999", b"NaN", b"-Infinity",
    b'"\\ud800"', b'{"\\ud800": "\\ud800"}',
]  # fmt: skip
VALUES = [
    "null", "0", "1", "-1", "1" + "0" * 35, "true", '"x"', "[]", "[1]", "{}", '{"a": 1}', "9" * 4000,
    "1e999", "NaN", '"\\ud800"', "[null]", '[["a"]]', "1.5", '""', "[" * 80 + "]" * 80,
]  # fmt: skip
TASK = to_record(
    Task(id="a" * 16, kind="deduction", program="def f(x):\n    return x", inputs=("1",), outputs=("1",))
)
SHAPE = {
    "model_type": "qwen2", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000, "head_dim": 16,
}  # fmt: skip
LORA = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "peft_type": "LORA"}
ROW = {
    "name": "deduction", "decoding": "sampled", "tasks": 100,
    "before": 0.1, "after": 0.2, "difference": 0.1, "low": 0.0, "high": 0.2,
}  # fmt: skip
TABLE = {"set": "nano-heldout", "attempts": 8, "step": 3, "rows": [ROW], "others": [ROW], "untrained": []}
QUESTIONS = {
    "turn": 0, "num_written": 1, "rounds": 0, "extended_at": -1, "told": ["a"],
    "kept": [{**TASK, "kind": "question"}],
}  # fmt: skip


def contents(valid: dict[str, Any]) -> Iterator[bytes]:
    """Texts that are nothing of the kind, then a valid object where a field is missing, or another."""
    yield from HOSTILE
    for name in valid:
        rest = json.dumps({key: value for key, value in valid.items() if key != name})[1:-1]
        yield f"{{{rest}}}".encode()
        for value in VALUES:
            yield f"{{{json.dumps(name)}: {value}{', ' * bool(rest)}{rest}}}".encode()


def look(run: RunFolder) -> None:
    state = state_of(run)
    report([state], made_at="today")
    _row(run)
    run.base()
    read_evaluation(run)
    run.config()


def a_run(folder: Path) -> RunFolder:
    if not (folder / "config.json").exists():
        config = settle(load_config("nano-cpu"), Machine(memory_gib=16))
        (folder / "checkpoints").mkdir()
        (folder / "config.json").write_text(json.dumps(config.model_dump(mode="json")))
    return RunFolder(folder)


READERS: dict[str, tuple[str, dict[str, Any], Callable[[Path], object]]] = {
    "held-out": ("set.jsonl", TASK, lambda path: read_set(path, KINDS)),
    "pool": ("pool.jsonl", TASK, read_tasks),
    "own task": ("own.json", TASK, lambda path: read_task(_read(str(path)))),
    "shape": ("config.json", SHAPE, lambda path: shape_of(str(path.parent))),
    "base's file": ("config.json", SHAPE, tokenizer_files.read_object),
    "adapter": ("adapter_config.json", LORA, _read_config),
    "index": (
        weights.INDEX, {"weight_map": {"a": "b.safetensors"}}, lambda path: weights.weight_files(path.parent),
    ),
    "manifest": (
        manifest.RECORD, {"request": {}, "files": {}}, lambda path: manifest.is_same_export(path.parent, {}),
    ),
    "checkpoint": (
        "progress.json", {"step": 1, "files": {"a": {}}}, lambda path: checkpoints.find_damage(path.parent),
    ),
    "progress": ("game.json", {"rounds_prepared": 3}, _read_progress),
    "questions": ("questions.json", QUESTIONS, lambda path: QuestionSet().load(path.parent)),
    "environment": (
        "environment.json", {"base": {"name": "x"}, "preset": "nano"}, lambda path: look(a_run(path.parent)),
    ),
    "evaluation": ("evaluation.json", TABLE, lambda path: look(a_run(path.parent))),
    "configuration": (
        "config.json", {"model": {}, "learner": {}, "run": {}}, lambda path: look(RunFolder(path.parent)),
    ),
}  # fmt: skip


def one_line_or_a_value(call: Callable[[], object]) -> None:
    try:
        call()
    except TinyZeroError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_it_or_says_so_in_one_line(reader: str, tmp_path: Path) -> None:
    logging.getLogger("tinyzero").addHandler(logging.NullHandler())
    name, valid, read = READERS[reader]
    path = tmp_path / name
    for content in contents(valid):
        path.write_bytes(content)
        one_line_or_a_value(lambda: read(path))
    path.unlink()
    path.mkdir()
    one_line_or_a_value(lambda: read(path))


@pytest.mark.parametrize("reader", READERS)
def test_the_readers_of_this_test_read_what_is_valid(reader: str, tmp_path: Path) -> None:
    name, valid, read = READERS[reader]
    (tmp_path / name).write_text(json.dumps(valid))
    if reader == "index":
        (tmp_path / "b.safetensors").touch()
    if reader != "configuration":
        read(tmp_path / name)


TOML = [
    b"a = " + b"[" * 100_000, b"a = " + b"{a=" * 50_000, b"[a" + b".a" * 20_000 + b"]", b"x = '''", b"\xff",
    b"[run]\nseed = " + b"9" * 5000, b"[run]\nseed = " + b"9" * 4000, b"[run]\nseed = 1e999", b"run = 1",
    b"model = []", b"[[model]]\nbase = 'x'", b"[learner]\nlr = nan", b"[selfplay]\nkinds = [[]]",
    b"[run]\nseed = 1979-05-27", b"[execution]\nmemory_mib = " + b"9" * 400, b"[execution]\ncpu_s = 1e308",
]  # fmt: skip


@pytest.mark.parametrize("content", TOML, ids=lambda content: repr(content[:30]))
def test_a_preset_of_others_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "preset.toml"
    path.write_bytes(content)
    one_line_or_a_value(lambda: settle(load_config(str(path)), Machine(memory_gib=16)))


def test_every_setting_takes_huge_values_or_refuses_them(tmp_path: Path) -> None:
    path = tmp_path / "preset.toml"
    for section, settings in load_config("nano-cpu").model_dump(mode="json").items():
        for name in settings:
            for value in ("9" * 400, "1e308", "inf", "nan", "-1", "[]", "{}", '"\\u0000"'):
                path.write_text(f"[{section}]\n{name} = {value}\n")
                one_line_or_a_value(lambda: to_toml(load_config(str(path))))


@pytest.mark.parametrize(
    "value", ["[" * 50_000, "{a=" * 50_000, "9" * 5000, "1e999", "'", "\ud800", "[1,", "x\ny"]
)
def test_a_setting_of_the_command_line_is_one_line(value: str) -> None:
    for key in ("run.seed", "model.base", "learner.lr", "selfplay.kinds"):
        one_line_or_a_value(lambda key=key: load_config("nano-cpu", [f"{key}={value}"]))


CARDS = [
    "license: [", "license: " + "[" * 900, "license: !!timestamp x", 'license: !!int ""', "- a",
    "license: 2020-13-45", 'license: "\\ud800"', "? {a: b}\n: c", "license: 0b" + "1" * 20_000, "<<: [1]",
    "license: " + "9" * 5000, "&a [*a]", "license: !!float x", "{" * 900, "license: \0",
]  # fmt: skip


@pytest.mark.parametrize("front", CARDS, ids=lambda front: repr(front[:30]))
def test_a_card_of_others_has_no_known_licence(front: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\ntext")
    assert licence_of(tmp_path).id is None


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"\0", b"ITEMS = 1", b"ITEMS = [{}]", b"ITEMS = " + b"-" * 50_000]
)
def test_a_file_of_attacks_is_one_line(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "items.py"
    path.write_bytes(text)
    with pytest.raises(TinyZeroError):
        load_items(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "it is nested more than 64 levels deep"),
        (b"[" * 65 + b"]" * 65, "it is nested more than 64 levels deep"),
        (b"\xff", "it is not UTF-8 text (byte 0)"),
        (b"{", "it is not JSON: "),
        (b"9" * 4000, "it holds an integer beyond 10^36"),
        (b'{"a": [1e999]}', "it holds a number that is too large"),
        (b'["\\udc00"]', "it holds half a character (a surrogate)"),
        (b'{"\\ud800": 1}', "it holds half a character (a surrogate)"),
    ],
)
def test_the_reason_is_one_phrase(content: bytes, reason: str) -> None:
    with pytest.raises(BadContent) as caught:
        foreign.parse_json(content)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


def test_what_is_sound_is_read_unchanged() -> None:
    text = json.dumps({"a": [1.5, -(2**64), None, True, "\U0001f680"], "b": {"c": [[]]}})
    assert foreign.parse_json(text) == json.loads(text)
    assert foreign.parse_json("[" * 64 + "]" * 64)[0]
