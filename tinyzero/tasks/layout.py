"""How tasks are written in prompts and ideal answers."""

from collections.abc import Sequence


def block(tag: str, body: str) -> str:
    return f"```{tag}\n{body}\n```"


def program_and_calls(program: str, inputs: Sequence[str]) -> str:
    """A program and calls of it as one fenced block, the way that people and models write usage examples."""
    calls = "\n".join(f"print(f({arguments}))" for arguments in inputs)
    return block("python", f"{program}\n\n{calls}")


def compact(program: str = "", *, inputs: Sequence[str] = (), output: str = "", message: str = "") -> str:
    """The given parts, a line each after the program.

    `in` is a keyword, so outside of a multi-line string no line of a program can begin like such a line.
    """
    lines = [program] if program else []
    lines += [f"in: {arguments}" for arguments in inputs]
    lines += [f"out: {output}"] if output else []
    lines += [f"msg: {message}"] if message else []
    return "\n".join(lines)
