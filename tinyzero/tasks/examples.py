"""Verified example tasks for showing prompts. A test sends each through the funnel. Runs do not use them."""

from typing import Any

from tinyzero.tasks.funnel import make_task
from tinyzero.types import Proposal, Task

_LONG_WORDS = """\
def f(words, n):
    kept = [word for word in words if len(word) > n]
    return '-'.join(sorted(kept, key=len))"""

_STEPS = """\
def f(n):
    steps = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps"""

_BALANCE = """\
def f(numbers):
    total, out = (0, [])
    for number in numbers:
        total = total + number if number > total else total - number
        out.append(total)
    return out"""

_LETTERS = """\
def f(text):
    counts = {}
    for letter in text:
        counts[letter] = counts.get(letter, 0) + 1
    return max(counts, key=counts.get) + str(len(counts))"""

_STOCK = """\
def f(stock, order):
    left = dict(stock)
    for name in order:
        left[name] -= 1
        if left[name] == 0:
            del left[name]
    return left"""

_LEAST = """\
def f(values, place):
    values.sort()
    return values[place] // values[0]"""

_NUMBER = """\
def f(text, n):
    try:
        return int(text[n:])
    except ValueError:
        return len(text) // n"""

_CALLS: tuple[tuple[str, str, Any], ...] = (
    (_LONG_WORDS, "['kiwi', 'fig', 'banana', 'plum'], 3", "kiwi-plum-banana"),
    (_STEPS, "6", 8),
    (_BALANCE, "[3, 1, 4, 1, 5]", [3, 2, 6, 5, 0]),
    (_LETTERS, "'banana'", "a3"),
)
_ENDS = (
    (_STOCK, "{'nut': 2, 'bolt': 1}, ['nut', 'bolt', 'bolt']", "KeyError"),
    (_LEAST, "[4, 0, 2], 2", "ZeroDivisionError"),
    (_NUMBER, "'12ab', 2", "NoError"),
)
_PAIRS = {
    "'banana'": "a3",
    "'zoo'": "o2",
    "'level'": "l3",
    "'x'": "x1",
    "'mississippi'": "i4",
    "'Anna'": "n3",
}


def example_tasks() -> list[Task]:
    """A few example tasks of each built-in kind."""
    calls = [(kind, *call) for kind in ("deduction", "abduction") for call in _CALLS]
    ends = [("error-prediction", *end) for end in _ENDS]
    pairs = Proposal(
        kind="induction", program=_LETTERS, inputs=tuple(_PAIRS), message="What is there most, and how many?"
    )
    single = [
        make_task(Proposal(kind=kind, program=program, inputs=(arguments,)), [output], step=0)
        for kind, program, arguments, output in calls + ends
    ]
    return [*single, make_task(pairs, list(_PAIRS.values()), step=0)]
