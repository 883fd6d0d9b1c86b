"""`tinyzero solve`: a run's model answers a user's task; the answer is judged by execution."""

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyzero.cli.choices import Checkpoint, RunName, open_run
from tinyzero.cli.consent import YesPlugins

_HOW_TO_TYPE = """reading a task from this terminal; Ctrl-D on a line of its own ends it. For example:
def f(n):
    return n * 2 + 1
in: 3"""

if TYPE_CHECKING:
    from tinyzero.cli.screen import Screen
    from tinyzero.cli.talk import Speaker, Talk
    from tinyzero.execution import Executor
    from tinyzero.types import Task, Verdict


def solve(
    run: RunName = None,
    task: Annotated[
        str, typer.Argument(help="A file with the task, - for standard input.", metavar="FILE|-")
    ] = "-",
    base: Annotated[bool, typer.Option("--base", help="Let the untrained model try first.")] = False,
    attempts: Annotated[int, typer.Option(min=1, max=1000, help="Answers to the task.")] = 1,
    checkpoint: Checkpoint = "last",
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Sampling temperature. Default: greedy for one attempt, as in training for several."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the answers' random numbers.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per answer.")] = False,
    yes_plugins: YesPlugins = False,
    allow_weak_sandbox: Annotated[
        bool,
        typer.Option("--allow-weak-sandbox", help="Run programs even if this machine cannot confine them."),
    ] = False,
) -> None:
    """Solve a task of your own: a program and `in: ...` or `out: ...`, pairs of both, JSON, or a question."""
    from tinyzero.cli.own_task import complete, read_task
    from tinyzero.cli.screen import Screen
    from tinyzero.cli.talk import open_talk
    from tinyzero.execution import Executor
    from tinyzero.types import Role

    screen = Screen(sys.stdout, sys.stderr)
    try:
        folder = open_run(run, yes_plugins=yes_plugins)  # its plugins may have the kind of the task
        if task == "-" and sys.stdin.isatty():
            screen.note(_HOW_TO_TYPE)
        parsed_task = read_task(_read(task))
        limits = folder.config().execution
        allowed = limits.allow_weak_sandbox or allow_weak_sandbox
        with Executor(limits.model_copy(update={"allow_weak_sandbox": allowed})) as executor:
            completed = complete(parsed_task, executor)
            talk = open_talk(
                folder,
                screen,
                role=Role.SOLVER,
                checkpoint=checkpoint,
                with_base=base,
                max_tokens=None,
                temperature=0.0 if temperature is None and attempts == 1 else temperature,
                seed=seed,
            )
            for speaker in talk.speakers:
                _try(talk, speaker, completed, attempts, executor, screen, as_json=json)
    finally:
        screen.close()


def _read(task: str) -> str:
    """The text of a task. Raises ConfigError."""
    from tinyzero.errors import ConfigError
    from tinyzero.foreign import BadContent, read_text
    from tinyzero.watch.text import clipped

    try:
        return sys.stdin.read() if task == "-" else read_text(Path(task).expanduser())
    except OSError as error:
        is_path = "/" in task or Path(task).suffix
        hint = "" if is_path else "; a task itself goes to standard input, or into a file"
        raise ConfigError(f"cannot read {clipped(task, 60)}: {error.strerror}{hint}") from error
    except BadContent as error:
        raise ConfigError(f"{task} cannot be read: {error}") from error


def _try(
    talk: "Talk",
    speaker: "Speaker",
    task: "Task",
    attempts: int,
    executor: "Executor",
    screen: "Screen",
    *,
    as_json: bool,
) -> None:
    """Show all attempts of one speaker with their verdicts, and the number of right ones."""
    from tinyzero.cli.own_task import judge
    from tinyzero.games.choice import ALL_KINDS

    prompt = ALL_KINDS[task.kind].solve_prompt(task, talk.config.prompts.style)
    ids = talk.policy.encode(prompt)
    verdicts = []
    for number in range(attempts):
        if not as_json:
            screen.piece(f"[{speaker.label}] " if len(talk.speakers) > 1 else "")
            screen.piece(prompt.prefill)
        answer = talk.policy.begun(prompt) + prompt.prefill
        for piece in talk.answer(speaker, ids, f"solve/{number}"):
            answer += piece
            screen.piece("" if as_json else piece)
        verdict = judge(task, answer, executor)
        verdicts.append(verdict)
        if as_json:
            screen.line(json_module.dumps(_as_json(speaker, task, answer, verdict)))
        else:
            screen.line(f"\n{in_words(task, verdict)}")
    if attempts > 1 and not as_json:
        right = sum(verdict.is_correct for verdict in verdicts)
        screen.line(f"{speaker.label}: {right} of {attempts} right")


def in_words(task: "Task", verdict: "Verdict") -> str:
    """The verdict, the answer that was read, and the right answer."""
    detail = f" ({verdict.detail})" if verdict.detail else ""
    lines = [f"verdict: {verdict.status}{detail}"]
    if verdict.answer and "\n" not in verdict.answer:
        lines.append(f"read: {verdict.answer}")
    if not verdict.is_correct and task.kind in ("deduction", "error-prediction", "question"):
        lines.append(f"right: {task.outputs[0]}")
    return "\n".join(lines)


def _as_json(speaker: "Speaker", task: "Task", answer: str, verdict: "Verdict") -> dict[str, Any]:
    return {
        "model": speaker.label,
        "kind": task.kind,
        "answer": answer,
        "verdict": verdict.status,
        "read": verdict.answer,
        "detail": verdict.detail,
    }
