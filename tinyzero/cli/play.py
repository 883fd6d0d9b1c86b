"""`tinyzero play`: a person against a model, on tasks that it invented."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Annotated

import typer

from tinyzero.cli.choices import Checkpoint, complete_run, open_run
from tinyzero.cli.consent import YesPlugins

if TYPE_CHECKING:
    from tinyzero.cli.screen import Screen
    from tinyzero.cli.talk import Talk
    from tinyzero.config import Settled
    from tinyzero.run.folder import RunFolder
    from tinyzero.types import Runner, Task


def play(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run. Default: nano untrained, on its held-out tasks.",
            metavar="[RUN]",
            autocompletion=complete_run,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Tasks in a game.")] = 5,
    checkpoint: Checkpoint = "last",
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Draws the tasks. Default: others in each game."),
    ] = None,
    allow_weak_sandbox: Annotated[
        bool,
        typer.Option("--allow-weak-sandbox", help="Run programs even if this machine cannot confine them."),
    ] = False,
    yes_plugins: YesPlugins = False,
) -> None:
    """Play against a run's model: both answer the same task, and the sandbox judges."""
    from tinyzero.cli.match import HELP, Match
    from tinyzero.cli.screen import Screen
    from tinyzero.execution import Executor

    with suppress(AttributeError):  # of a stream that is no file
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]  # no byte ends the game
    number = SystemRandom().randrange(2**31) if seed is None else seed
    folder = None if run is None else _playable(open_run(run, yes_plugins=yes_plugins))
    screen = Screen(sys.stdout, sys.stderr)
    try:
        talk = _nano(screen, number) if folder is None else _trained(folder, checkpoint, screen, number)
        limits = talk.config.execution
        allowed = limits.allow_weak_sandbox or allow_weak_sandbox
        with Executor(limits.model_copy(update={"allow_weak_sandbox": allowed})) as executor:
            tasks = _tasks(folder, talk, number, executor)
            name = "" if folder is None else f"{folder.name}, "
            screen.line(f"You against {name}{talk.speakers[-1].label}\n{HELP}")
            match = Match(
                model=_answers_of(talk), typed=sys.stdin, screen=screen, runner=executor, rounds=rounds
            )
            match.play(tasks)
    finally:
        screen.close()


def _playable(run: "RunFolder") -> "RunFolder":
    from tinyzero.errors import ConfigError

    if run.config().selfplay.game == "r-zero":
        raise ConfigError(
            f"{run.path} is a run of R-Zero, whose questions no program verifies; talk to it: "
            f"tinyzero chat {run.path}"
        )
    return run


def _trained(run: "RunFolder", checkpoint: str, screen: "Screen", seed: int) -> "Talk":
    from tinyzero.cli.talk import open_talk
    from tinyzero.types import Role

    return open_talk(
        run,
        screen,
        role=Role.SOLVER,
        checkpoint=checkpoint,
        with_base=False,
        max_tokens=None,
        temperature=0.0,
        seed=seed,
    )


def _nano(screen: "Screen", seed: int) -> "Talk":
    """Nano as it ships."""
    from tinyzero.cli.talk import Speaker, Talk
    from tinyzero.config import load_config
    from tinyzero.machine.hardware import look
    from tinyzero.machine.settling import settle
    from tinyzero.policy.device import prepare_device
    from tinyzero.policy.loading import load_policy
    from tinyzero.sampling.builtin import BuiltinSampler

    screen.wait("loading nano")
    config: Settled = settle(load_config("nano-cpu"), look())
    policy = load_policy(
        config.model,
        config.policy,
        device=prepare_device(config.hardware),
        temperature=config.sampling.temperature,
    )
    screen.close_wait()
    return Talk(
        policy=policy,
        sampler=BuiltinSampler(policy, config.sampling, seed),
        config=config,
        speakers=[Speaker(label="nano, untrained", role=None)],
        max_tokens=config.selfplay.answer_tokens,
        temperature=0.0,
    )


def _answers_of(talk: "Talk") -> "Callable[[Task, int], str]":
    """The model's answer to a task, prefill included; greedy."""
    from tinyzero.games.choice import ALL_KINDS

    def answer(task: "Task", number: int) -> str:
        prompt = ALL_KINDS[task.kind].solve_prompt(task, talk.config.prompts.style)
        pieces = talk.answer(talk.speakers[-1], talk.policy.encode(prompt), f"play/{number}")
        return talk.policy.begun(prompt) + prompt.prefill + "".join(pieces)

    return answer


def _tasks(run: "RunFolder | None", talk: "Talk", seed: int, runner: "Runner") -> "Iterator[Task]":
    """Tasks that the screen and the model's context have room for, in random order.

    Raises:
        ConfigError: there is none.
    """
    from itertools import chain

    from tinyzero.cli.match import fits_the_screen
    from tinyzero.errors import ConfigError
    from tinyzero.games.choice import ALL_KINDS

    rng = Random(f"{seed}/play")
    drawn = _held_out(rng) if run is None else _invented(run, rng, runner)
    fitting = (
        task
        for task in drawn
        if fits_the_screen(task)
        and talk.sampler.fits(ALL_KINDS[task.kind].solve_prompt(task, talk.config.prompts.style))
    )
    first = next(fitting, None)
    if first is None:
        name = "nano" if run is None else run.path
        raise ConfigError(
            f"{name} has no task yet that holds when it is verified again and fits a screen; "
            "let it train on, or play against nano: tinyzero play"
        )
    return chain([first], fitting)


def _held_out(rng: Random) -> "Iterator[Task]":
    from tinyzero.config import resolve_base
    from tinyzero.evaluation.heldout import find_set, read_set
    from tinyzero.tasks import KINDS

    path = find_set("nano", resolve_base("nano"))
    tasks = [] if path is None else [item.task for item in read_set(path, KINDS).tasks]
    rng.shuffle(tasks)
    return iter(tasks)


def _invented(run: "RunFolder", rng: Random, runner: "Runner") -> "Iterator[Task]":
    """The run's tasks, one for each program, as they are when they are verified now."""
    from tinyzero.run.task_log import TaskLog
    from tinyzero.run.verification import verify_again
    from tinyzero.tasks import KINDS
    from tinyzero.types import Task

    fitting, seen = TaskLog(run.tasks).fitting, set[str]()
    longest = run.config().pool.max_program_chars
    for place in rng.sample(range(len(fitting)), len(fitting)):
        for record in fitting[place : place + 1]:
            if record.program in seen:
                continue
            for outcome in verify_again([record], runner, KINDS, max_program_chars=longest, step=record.step):
                if isinstance(outcome, Task):
                    seen.add(record.program)
                    yield outcome
