"""Lets a model answer a benchmark, and keeps the answers: an interrupted evaluation goes on where it was."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tinyzero.errors import ConfigError
from tinyzero.evaluation.benchmarks.answers import WrittenAnswer
from tinyzero.evaluation.benchmarks.base import Benchmark, Item
from tinyzero.foreign import BadContent, parse_json_object, read_text
from tinyzero.tasks.base import Style
from tinyzero.types import Answer, Prompt, Role, Sampler, SamplingRequest

_TASKS_AT_ONCE = 8
"""Tasks of a request. Part of what names the random numbers: both models draw the same for a sample."""
_FEW_TASKS, _LEAST_SAMPLES = 100, 16
"""Sets with fewer tasks need this many samples of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a benchmark is asked: the same for every model that is compared.

    Attributes:
        temperature: 0 is greedy. max_tokens: budget of an answer.
    """

    style: Style
    samples: int
    temperature: float
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The tasks that are asked, with their prompts, and those whose prompts are too long for the model."""

    items: Sequence[Item]
    prompts: Sequence[Prompt]
    left_out: Sequence[str]


def questions_of(
    benchmark: Benchmark, items: Sequence[Item], sampler: Sampler, protocol: Protocol
) -> Questions:
    """The tasks whose prompts fit.

    Raises:
        ConfigError: none fits, or there are too few tasks for a difference to mean something.
    """
    prompts = [benchmark.prompt(item, protocol.style) for item in items]
    fitting = [(item, prompt) for item, prompt in zip(items, prompts, strict=True) if sampler.fits(prompt)]
    if not fitting:
        raise ConfigError(
            f"no prompt of {benchmark.name} fits into this model's context and sampling.max_prompt_tokens; "
            "choose another benchmark or a model with a longer context"
        )
    check_size(len(fitting), protocol.samples)
    kept = {item.id for item, _ in fitting}
    return Questions(
        items=[item for item, _ in fitting],
        prompts=[prompt for _, prompt in fitting],
        left_out=[item.id for item in items if item.id not in kept],
    )


def check_size(num_tasks: int, samples: int) -> None:
    """Raises ConfigError where there are too few answers for a difference to mean something."""
    if num_tasks < _FEW_TASKS and samples < _LEAST_SAMPLES:
        raise ConfigError(
            f"{num_tasks} tasks with {samples} answers each cannot tell a gain from noise; use --samples "
            f"{_LEAST_SAMPLES} or more, or at least {_FEW_TASKS} tasks"
        )


def answer(
    benchmark: Benchmark,
    questions: Questions,
    sampler: Sampler,
    role: Role | None,
    protocol: Protocol,
    path: Path,
    progress: Callable[[int], None] = lambda _: None,
    joules: Callable[[], float | None] = lambda: None,
) -> list[WrittenAnswer]:
    """The answers of a model to all questions, in the order of the tasks.

    Args:
        role: whose adapter answers; None for the base model.
        path: file to which answers are added as they come; those that it has already are taken from it.
        progress: is told how many tasks are answered.
        joules: what the card has used so far; None where nothing counts it.

    Raises:
        ConfigError: the file cannot be written.
    """
    answers: list[WrittenAnswer] = []
    kept = _kept(path, protocol.samples)
    for start in range(0, len(questions.items), _TASKS_AT_ONCE):
        items = questions.items[start : start + _TASKS_AT_ONCE]
        rows = [row for item in items for row in kept.get(item.id, ())]
        if len(rows) < len(items) * protocol.samples:
            request = SamplingRequest(
                role=role,
                prompts=tuple(questions.prompts[start : start + _TASKS_AT_ONCE]),
                num_samples=protocol.samples,
                max_tokens=protocol.max_tokens,
                temperature=protocol.temperature,
                stream=f"eval/{benchmark.name}/{items[0].id}",
            )
            began, used = time.monotonic(), joules()
            rows = list(_sampled(items, request, sampler))
            spent = {"seconds": (time.monotonic() - began) / len(rows)}
            if used is not None and (now := joules()) is not None:
                spent["joules"] = (now - used) / len(rows)
            rows = [row | spent for row in rows]
            _append(path, rows)
        by_id = {item.id: item for item in items}
        answers += [_written(by_id[row["id"]], row) for row in rows]
        progress(start + len(items))
    return answers


def file_name(benchmark: Benchmark, model: str, protocol: Protocol, data: Path, questions: Questions) -> str:
    """The name of an answer file: other settings, data or tasks give another file."""
    asked = [
        str(data),
        *(item.id for item in questions.items),
        *(prompt.text for prompt in questions.prompts),
    ]
    digest = blake2b(repr((protocol, asked)).encode(errors="backslashreplace"), digest_size=4).hexdigest()
    return f"{benchmark.name}-{model}-{digest}.jsonl"


def _sampled(items: Sequence[Item], request: SamplingRequest, sampler: Sampler) -> Iterator[dict[str, Any]]:
    groups = sampler.sample(request)
    for item, prompt, group in zip(items, request.prompts, groups, strict=True):
        for completion in group:
            yield {
                "id": item.id,
                "completion": Answer(prompt=prompt, completion=completion).text,
                "finish_reason": completion.finish_reason,
                "num_tokens": len(completion.token_ids),
            }


def _written(item: Item, row: dict[str, Any]) -> WrittenAnswer:
    return WrittenAnswer(
        item=item,
        text=row["completion"],
        is_truncated=row["finish_reason"] == "length",
        num_tokens=row["num_tokens"],
        seconds=row.get("seconds"),
        joules=row.get("joules"),
    )


def _kept(path: Path, samples: int) -> dict[str, list[dict[str, Any]]]:
    """Task id -> its answers, of the tasks that an earlier evaluation finished; cut lines are dropped."""
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, BadContent) as error:
        raise ConfigError(f"cannot read the answers so far in {path}: {error}; delete that file") from error
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        try:
            row = parse_json_object(line)
        except BadContent:
            continue
        if {"id", "completion", "finish_reason", "num_tokens"} <= row.keys():
            rows.setdefault(str(row["id"]), []).append(row)
    return {task: group[-samples:] for task, group in rows.items() if len(group) >= samples}


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add lines; a last line that was cut off is ended first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_cut = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * is_cut + "".join(json.dumps(row) + "\n" for row in rows))
    except OSError as error:
        raise ConfigError(
            f"cannot write answers to {path}: {error.strerror}; free some space there"
        ) from error
