"""The layout of tasks in prompts and ideal answers."""

from collections.abc import Sequence


def block(tag: str, body: str) -> str:
    return f"```{tag}\n{body}\n```"


def program_and_calls(program: str, inputs: Sequence[str]) -> str:
    """A program and its calls as one fenced block, like a usage example."""
    calls = "\n".join(f"print(f({arguments}))" for arguments in inputs)
    return block("python", f"{program}\n\n{calls}")


def compact(program: str = "", *, inputs: Sequence[str] = (), output: str = "", message: str = "") -> str:
    """The program, then one line for each other part.

    `in` is a keyword, so no program line can begin like such a line, except inside a multi-line string.
    """
    lines = [program] if program else []
    lines += [f"in: {arguments}" for arguments in inputs]
    lines += [f"out: {output}"] if output else []
    lines += [f"msg: {message}"] if message else []
    return "\n".join(lines)
