"""`tinyzero chat`: talk to a run's trained model."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from tinyzero.cli.choices import Checkpoint, RoleName, RunName, open_run
from tinyzero.cli.consent import YesPlugins

if TYPE_CHECKING:
    from tinyzero.cli.screen import Screen
    from tinyzero.cli.talk import Speaker, Talk

_FENCE = '"""'
_HELP = (
    'a message a line, or several lines between """ and """; /new forgets what was said, '
    "/help says this again, /quit leaves"
)
_NANO = """nano reads and writes small Python programs, and knows no language. Ask it as in training:
\"\"\"
solve deduction
def f(n):
    return n * 2 + 1
in: 3
\"\"\""""
_LEAVES = ("/quit", "/exit", "quit", "exit", ":q")


def chat(
    run: RunName = None,
    role: Annotated[RoleName, typer.Option(help="Whose adapter answers.")] = "solver",
    base: Annotated[bool, typer.Option("--base", help="Show the untrained model's answer first.")] = False,
    checkpoint: Checkpoint = "last",
    temperature: Annotated[
        float | None,
        typer.Option(help="Sampling temperature; 0 is greedy. Default: the temperature of the training."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Maximum length of an answer, tokens. Default: as in training.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the answers' random numbers.")] = 0,
    yes_plugins: YesPlugins = False,
) -> None:
    """Talk to a run's model. Where standard input is no terminal, all of it is one message."""
    from tinyzero.cli.screen import Screen
    from tinyzero.cli.talk import open_talk
    from tinyzero.types import Role

    screen = Screen(sys.stdout, sys.stderr)
    try:
        talk = open_talk(
            open_run(run, yes_plugins=yes_plugins),
            screen,
            role=Role(role),
            checkpoint=checkpoint,
            with_base=base,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
        )
        if talk.config.model.base == "nano":
            screen.note(_NANO)
        if sys.stdin.isatty():
            converse(talk, read_messages(sys.stdin, screen), screen)
        else:
            converse(talk, iter([sys.stdin.read()]), screen)
    finally:
        screen.close()


def converse(talk: "Talk", messages: Iterator[str], screen: "Screen") -> None:
    """Answer message after message; each speaker remembers its own side of the conversation."""
    histories: dict[str, list[str]] = {speaker.label: [] for speaker in talk.speakers}
    for number, message in enumerate(messages):
        text = message.strip("\n")
        if text.strip() == "/new":
            histories = {label: [] for label in histories}
        elif text.strip():
            for speaker in talk.speakers:
                turns = histories[speaker.label] = _turns_that_fit(
                    talk, [*histories[speaker.label], text], screen
                )
                answer = _say(talk, speaker, turns, f"chat/{number}", screen)
                histories[speaker.label] = [*turns, answer]


def _turns_that_fit(talk: "Talk", turns: list[str], screen: "Screen") -> list[str]:
    """The last turns that fit. For the compact style only the last one, since training had single turns."""
    if talk.config.prompts.style == "compact":
        return turns[-1:]
    longest = min(talk.config.sampling.max_prompt_tokens, talk.policy.context_tokens - 1)
    kept = turns
    while len(kept) > 1 and len(talk.policy.encode_turns(kept)) > longest:
        kept = kept[2:]
    if len(kept) < len(turns):
        screen.note("(the conversation is too long for the model: its beginning is left out)")
    return kept


def read_messages(stream: TextIO, screen: "Screen") -> Iterator[str]:
    """Messages that the user types, until /quit or the end of the input."""
    screen.note(_HELP)
    while True:
        screen.piece("> ")
        try:
            line = stream.readline()
        except KeyboardInterrupt:
            line = ""
        if line.strip().startswith(_FENCE):
            line = _read_block(stream, line.strip().removeprefix(_FENCE))
        if not line or line.strip() in _LEAVES:
            screen.piece("\n" if not line else "")
            return
        if line.strip() == "/help":
            screen.note(_HELP)
        else:
            yield line


def _read_block(stream: TextIO, first: str) -> str:
    lines = [first] if first else []
    for line in stream:
        before, fence, _ = line.partition(_FENCE)
        lines.append(before.rstrip("\n"))
        if fence:
            break
    return "\n".join(lines).strip("\n") + "\n"


def _say(talk: "Talk", speaker: "Speaker", turns: list[str], stream: str, screen: "Screen") -> str:
    """Stream one answer to the screen. Ctrl-C ends the answer, not the conversation."""
    if len(talk.speakers) > 1:
        screen.piece(f"[{speaker.label}] ")
    pieces = []
    try:
        for piece in talk.answer(speaker, talk.policy.encode_turns(turns), stream):
            screen.piece(piece)
            pieces.append(piece)
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
    screen.piece("\n")
    return "".join(pieces)
