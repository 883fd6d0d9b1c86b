"""Which program an answer to a coding task holds."""

import pytest

from tinyzero.evaluation.benchmarks.written_code import sources_of

PROMPT = 'import math\n\n\ndef area(r):\n    """The area of a circle."""\n'
HEAD = "import math\n\n\n"
BODY = "    return math.pi * r**2\n"
DEF = f"def area(r):\n{BODY}"


@pytest.mark.parametrize(
    ("answer", "sources"),
    [
        (BODY, [PROMPT + BODY]),
        (f"{BODY}\nThis is the area.", [f"{PROMPT}{BODY}\n"]),
        (f"{BODY}\ndef volume(r):\n    return (", [f"{PROMPT}{BODY}\n"]),  # the budget was over
        (DEF, [HEAD, DEF]),
        (f"The function is:\n\n{DEF}\nIt works.", [HEAD, f"{DEF}\n"]),
        (f"```python\narea(2)\n```\n```python\n{DEF}```\n```python\ndef area(r):1\n```", [HEAD, DEF.strip()]),
        (f"```python\n{DEF}", [HEAD, DEF.strip()]),
        (f"<think>```python\ndef area(r): pass\n```</think>\n```python\n{DEF}```", [HEAD, DEF.strip()]),
        (f"<think>```python\n{DEF}```", []),
        ("", []),
    ],
)  # fmt: skip
def test_the_program_of_an_answer(answer, sources):
    assert list(sources_of(answer, PROMPT, "area")) == sources


def test_without_a_function_in_the_prompt_there_must_be_one_in_the_answer():
    prompt = '"""\nWrite a function for the area.\nassert area(1) > 3\n"""\n'
    assert list(sources_of(f"Here:\n{DEF}", prompt, "area")) == [DEF]
    assert list(sources_of("It is pi r squared.", prompt, "area")) == []
