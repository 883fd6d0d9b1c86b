"""Where a thought begins and ends in what a model wrote. Text in, text out."""

import re

OPENED, CLOSED = "<think>", "</think>"
# Tags begin or end a line, or end the thought that begins the text: within a literal they are text.
_OPENING = re.compile(rf"^[ \t]*{OPENED}|{OPENED}[ \t]*$", re.MULTILINE)
_THOUGHT = re.compile(
    rf"\A(?:\s*{OPENED}.*{CLOSED}|.*(?:^[ \t]*{CLOSED}|{CLOSED}[ \t]*$))", re.DOTALL | re.MULTILINE
)
_UNENDED = re.compile(rf"\A\s*{OPENED}.*", re.DOTALL)


def thought_of(answer: str) -> str:
    """The thought that an answer begins with, cut off or not; empty without one."""
    match = _THOUGHT.match(answer) or _UNENDED.match(answer)
    return match[0] if match else ""


def without_thoughts(answer: str) -> str:
    """What a model says after its thought; empty where the thought never ends: that is a draft, no answer.

    The thought may have been begun for the model: then there is no <think> before its end.
    """
    return "" if is_in_thought(answer) else _THOUGHT.sub("", answer)


def is_in_thought(answer: str) -> bool:
    """Whether a thought is still open at the end of a text."""
    openings = list(_OPENING.finditer(answer))
    return bool(openings) and CLOSED not in answer[openings[-1].end() :]
