"""`tinyzero presets NAME --show-prompts`: shows the prompts of a run as its model reads them."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyzero.config import Config
    from tinyzero.policy.frame import Frame
    from tinyzero.types import Prompt, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A prompt, and its rendered text if the tokenizer is available.

    Attributes:
        rendered: all text before the answer, including special tokens; None without tokenizer.
        num_tokens: number of tokens of `rendered`.
    """

    role: "Role"
    prompt: "Prompt"
    rendered: str | None = None
    num_tokens: int | None = None


def prompts(name: str | None, *, as_json: bool) -> str:
    """The text to print. Raises ConfigError, also if no preset is named."""
    from tinyzero.cli.screen import waiting
    from tinyzero.config import load_config
    from tinyzero.errors import ConfigError

    if name is None:
        raise ConfigError("--show-prompts needs a preset, as in tinyzero presets nano-cpu --show-prompts")
    config = load_config(name)
    with waiting("looking for the tokenizer"):
        from tinyzero.policy.loading import local_frame

        frame = local_frame(config.model)
    items = [_rendered_prompt(role, prompt, frame) for role, prompt in _prompts(config, frame)]
    if as_json:
        return _as_json(config, frame, items)
    width = min(max(shutil.get_terminal_size().columns, 60), 110)
    return "\n".join(_page(name, config, frame, items, width))


def _prompts(config: "Config", frame: "Frame | None") -> Iterator[tuple["Role", "Prompt"]]:
    """For each kind in the game, one proposer prompt and one solver prompt."""
    from tinyzero.games.absolute_zero.game import choose_kinds
    from tinyzero.games.r_zero.program_question import ProgramQuestion
    from tinyzero.games.r_zero.question import DEDUCTION, QUESTION, example_question
    from tinyzero.tasks import KINDS
    from tinyzero.tasks.examples import example_tasks
    from tinyzero.tasks.pool.pool import Pool
    from tinyzero.types import Role

    style = config.prompts.style
    if config.selfplay.game == "r-zero" and config.r_zero.domain == "programs":
        yield Role.PROPOSER, ProgramQuestion(config.r_zero.gate).propose_prompt(style)
        task = next(task for task in example_tasks() if task.kind == DEDUCTION.name)
        yield Role.SOLVER, QUESTION.solve_prompt(replace(task, kind=QUESTION.name), style)
        return
    if config.selfplay.game == "r-zero":
        yield Role.PROPOSER, QUESTION.propose_prompt([], style)
        yield Role.SOLVER, QUESTION.solve_prompt(example_question(), style)
        return
    kinds = choose_kinds(config.selfplay.kinds, KINDS)
    tasks = [task for task in example_tasks() if task.kind in kinds]
    source = Pool(config.pool, tasks)
    for name, kind in kinds.items():
        rng = Random(config.run.seed)
        references = kind.draw_references(source, config.selfplay.references, rng) or list(kind.seeds()[:1])
        while len(references) > 1 and not _fits(kind.propose_prompt(references, style), config, frame):
            references.pop()
        yield Role.PROPOSER, kind.propose_prompt(references, style)
        for task in [task for task in [*tasks, *kind.seeds()] if task.kind == name][:1]:
            yield Role.SOLVER, kind.solve_prompt(task, style)


def _fits(prompt: "Prompt", config: "Config", frame: "Frame | None") -> bool:
    """Whether the sampler would accept the prompt; True without a tokenizer."""
    return frame is None or len(frame.encode(prompt)) <= config.sampling.max_prompt_tokens


def _rendered_prompt(role: "Role", prompt: "Prompt", frame: "Frame | None") -> _Shown:
    if frame is None:
        return _Shown(role=role, prompt=prompt)
    ids = frame.encode(prompt)
    rendered = str(frame.tokenizer.decode(ids))
    return _Shown(role=role, prompt=prompt, rendered=rendered, num_tokens=len(ids))


def _as_json(config: "Config", frame: "Frame | None", items: Sequence[_Shown]) -> str:
    rows: list[dict[str, Any]] = [
        {"role": item.role, **asdict(item.prompt), "rendered": item.rendered, "num_tokens": item.num_tokens}
        for item in items
    ]
    return json.dumps(
        {
            "model": config.model.base,
            "style": config.prompts.style,
            "frame": _frame_kind(frame),
            "max_prompt_tokens": config.sampling.max_prompt_tokens,
            "prompts": rows,
        },
        indent=2,
    )


def _frame_kind(frame: "Frame | None") -> str | None:
    if frame is None:
        return None
    return "chat template" if frame.has_chat_template else "conversation"


def _page(
    name: str, config: "Config", frame: "Frame | None", items: Sequence[_Shown], width: int
) -> Iterator[str]:
    head = f"The prompts of {name}, in the {config.prompts.style} style, with examples in place of tasks."
    yield from textwrap.wrap(f"{head} {_about(config, frame)}", width)
    for item in items:
        yield ""
        yield _heading(item, config, width)
        yield from _quoted(item.prompt.text if item.rendered is None else item.rendered, width)
        if item.rendered is None and item.prompt.prefill:
            yield "and the answer is begun with:"
            yield from _quoted(item.prompt.prefill, width)


def _about(config: "Config", frame: "Frame | None") -> str:
    base = config.model.base
    if frame is None:
        return (
            f"The tokenizer of {base} is not on this machine and was not downloaded: around each of these "
            "goes the model's chat template, or a written conversation where it has none. A | begins a line."
        )
    kind = (
        "in its chat template" if frame.has_chat_template else "which has no chat template, in a conversation"
    )
    return f"This is what {base} reads, {kind}; its answer begins where a prompt ends. A | begins a line."


def _heading(item: _Shown, config: "Config", width: int) -> str:
    title = f"== {item.role}, {item.prompt.kind} "
    limit = config.sampling.max_prompt_tokens
    size = "" if item.num_tokens is None else f" {item.num_tokens} of {limit} tokens"
    return f"{title}{'=' * max(width - len(title) - len(size), 2)}{size}"


def _quoted(text: str, width: int) -> Iterator[str]:
    """The lines of a text, each after a bar. Long lines continue below without a bar."""
    for line in text.split("\n"):
        words = line.lstrip(" ")
        pieces = textwrap.wrap(
            words,
            width - 2,
            initial_indent=line.removesuffix(words),
            replace_whitespace=False,
            expand_tabs=False,
        )
        yield f"| {pieces[0] if pieces else ''}".rstrip()
        yield from (f"  {piece}".rstrip() for piece in pieces[1:])
