"""How tasks are written in prompts and ideal answers: fenced blocks (full), or a line a part (compact)."""

from collections.abc import Iterable

from tinyzero.tasks.base import Style


def block(tag: str, body: str) -> str:
    return f"```{tag}\n{body}\n```"


def write(
    program: str, style: Style, *, inputs: Iterable[str] = (), output: str = "", message: str = ""
) -> str:
    """The parts of a task that are given, in the order program, inputs, output, message."""
    parts = [("input", text) for text in inputs] + [("output", output)] * bool(output)
    parts += [("message", message)] * bool(message)
    if style == "compact":
        return "\n".join([program] * bool(program) + [f"{_SHORT[tag]}: {body}" for tag, body in parts])
    return "\n".join([block("python", program)] * bool(program) + [block(tag, body) for tag, body in parts])


# `in` is a keyword, so no line of a program can begin like this, outside of a multi-line string.
_SHORT = {"input": "in", "output": "out", "message": "msg"}
