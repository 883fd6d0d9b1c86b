"""What is found in answers, with every fall-back, and what is not."""

import pytest

from tinyzero.execution.values import BadLiteral, parse_literal
from tinyzero.tasks import KINDS
from tinyzero.tasks.answers import (
    candidates,
    fences,
    final_part,
    first_arguments,
    listed_calls,
    proposal_parts,
    reasoning,
    split_usage,
    written_program,
)
from tinyzero.tasks.base import Check
from tinyzero.types import Proposal, Rejection, Task, Verdict, VerdictStatus

PROGRAM = "def f(a):\n    return a + 1"


def first(answer: str, tag: str) -> str:
    return next(candidates(answer, tag))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("```output\n5\n```", "5"),
        ("First ```output\n4\n``` no:\n```output\n5\n```", "5"),
        ("```OUTPUT\n5\n```", "5"),
        ("```output 5```", "5"),
        ("```output\n5", "5"),
        ("```output\n[1,\n 2]\n```", "[1,\n 2]"),
        ("<think>```output\n4\n```</think>```output\n5\n```", "5"),
        ("<answer>\n```output\n5\n```\n</answer> or ```output\n4\n```", "5"),
        ("<think>no</think><answer>5</answer>", "5"),
        ("<answer>5</answer>", "5"),
        ("The value:\n```\n5\n```", "5"),
        ("The value:\n```python\n5\n```", "5"),
        ("So it is easy.\nOutput: 5\nDone.", "5"),
        ("**Output:** `5`", "5"),
        ("# Output: 5", "5"),
        ("Answer: 4\nAnswer: 5", "5"),
        ("So $\\boxed{5}$.", "5"),
        ("It is \\boxed{{1: 5}}.", "{1: 5}"),
        ("5", "5"),
        (" `5`\n", "5"),
        ("It adds up to 5. </think>\n<answer>5</answer>", "5"),
        ("It adds up. </think> <answer>5</answer>", "5"),
        ("easy </think>\n5", "5"),  # the reasoning was begun for the model
        ("<answer>5</answer>\nUser: And 2 + 2?\nAssistant: <answer>4</answer>", "5"),
        ("<answer>```output\n5\n```</answer>\nUser: And ```output\n4\n```", "5"),
        ("5\nUser: And 2 + 2?\nAssistant: 4", "5"),
    ],
)
def test_a_literal_is_found(answer: str, found: str) -> None:
    assert first(answer, "output") == found


def is_literal(text: str) -> bool:
    try:
        parse_literal(text)
    except BadLiteral:
        return False
    return True


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("So the output is 5.", "5"),
        ("First the result is 4.\nThen, finally, the output would be: `5`", "5"),
        ("The answer is **5**.", "5"),
        ("The result of the call `f(2)` is [1, 2].", "[1, 2]"),
        ("The returned value is 'a.'", "'a.'"),
        ("I think <output>5</output>", "5"),
        ("I think <output>\n5", "5"),
        ("The output is 4.\nNo: the output is 5.", "5"),
        ("The output is 5.\nThe output is hard to find.", "5"),
    ],
)
def test_what_a_sentence_says_is_the_last_resort(answer: str, found: str) -> None:
    assert next(text for text in candidates(answer, "output") if is_literal(text)) == found
    assert first(f"{answer}\nOutput: 7", "output") == "7"


def test_arguments_are_found_in_a_sentence() -> None:
    assert "3, 'a'" in list(candidates("An input is 3, 'a'.", "input"))
    assert "3" not in list(candidates("The output is 3.", "input"))


def test_a_fence_with_the_right_tag_is_decisive() -> None:
    assert list(candidates("Output: 5\n```output\nnonsense here\n```", "output")) == ["nonsense here"]


def test_a_fence_of_another_part_is_not_taken_for_the_answer() -> None:
    assert "3" not in list(candidates("```input\n3\n```\nnothing else", "output"))


@pytest.mark.parametrize(
    "answer",
    [
        "```python\ndef f(a):\n    return a + 1\n```\n```input\n3\n```",
        "```py\ndef f(a):\n    return a + 1\n```\nNow the input:\n```input\n3\n```\nIt returns 4.",
        "```python\ndef f(a):\n    return a + 1\n```input\n3\n```",  # the first fence never closes
        "```\ndef f(a):\n    return a + 1\n```\n```input\n3",  # nor does the last
        "```python\ndef f(a):\n    return a + 1\n```\nInput: 3",
        "```python\ndef f(a):\n    return a + 1\n```\n**Input:** `3`",
        "def f(a):\n    return a + 1\nin: 3",
        "def f(a):\n    return a + 1\n\nin: 3\n",
        "<think>easy</think><answer>```python\ndef f(a):\n    return a + 1\n```\n```input\n3\n```</answer>",
    ],
)
def test_a_proposal_is_found(answer: str) -> None:
    parts = proposal_parts(answer)
    assert (parts.program, parts.inputs, parts.message) == (PROGRAM, ("3",), "")


PAIR = "```python\ndef f(a):\n    return {0}\n```\n```input\n{1}\n```\n"
CUT = "```python\ndef f(a):\n    return 'cut"


def test_after_reasoning_the_last_program_with_an_input_counts() -> None:
    parts = proposal_parts("Let me try.\n" + PAIR.format("a", 1) + PAIR.format("a * 2", 2) + CUT)
    assert (parts.program, parts.inputs) == ("def f(a):\n    return a * 2", ("2",))


def test_an_answer_that_begins_with_code_may_ramble_on() -> None:
    parts = proposal_parts(PAIR.format("a", 1) + "Or:\n" + PAIR.format("a * 2", 2))
    assert (parts.program, parts.inputs) == ("def f(a):\n    return a", ("1",))
    assert written_program(
        "```python\ndef f(a):\n    return 1\n```\n```python\ndef f(a):\n    return 2\n```"
    ) == ("def f(a):\n    return 1")


@pytest.mark.parametrize(
    ("usage", "inputs"),
    [
        ("print(f(3))", ("3",)),
        ("print(f(3))  # prints 4", ("3",)),
        ("f(3)", ("3",)),
        ("assert f(3) == 4", ("3",)),
        ("result = f(3)\nprint(result)", ("3",)),
        ("print(f('a)', (1, 2)))", ("'a)', (1, 2)",)),
        ("print(f(3))\nprint(f([4, 5]))", ("3", "[4, 5]")),
        ("print(f(3))\n\nThis line is no Python (f(4)).", ("3",)),
        ("print(f(x))", ()),
        ("print(f(a=3))", ()),
        ("print(f(__import__('os')))", ()),
        ("print(g(3))", ()),
    ],
)
def test_a_usage_example_gives_the_input(usage: str, inputs: tuple[str, ...]) -> None:
    assert proposal_parts(f"```python\n{PROGRAM}\n\n{usage}\n```").inputs == inputs


def test_the_program_ends_where_its_usage_begins() -> None:
    code, calls = split_usage(PROGRAM + "\n\nprint(f(3))\ndef f(a: broken")
    assert (code, calls) == (PROGRAM, ("3",))


def test_a_recursive_call_is_no_usage() -> None:
    recursive = "def f(n):\n    if n < 1:\n        return 0\n    return f(1)"
    assert split_usage(recursive) == (recursive, ())


def test_a_tagged_input_wins_over_a_usage_example() -> None:
    answer = f"```python\n{PROGRAM}\n\nprint(f(3))\n```\n```input\n5\n```"
    assert proposal_parts(answer).inputs == ("5",)


def test_calls_without_a_program_are_inputs() -> None:
    parts = proposal_parts("```python\nprint(f(1))\nprint(f(2))\n```\n```message\nAdds one.\n```")
    assert (parts.program, parts.inputs, parts.message) == ("", ("1", "2"), "Adds one.")


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("3, 4) # text", "3, 4"),
        ("(1, 2), 3)", "(1, 2), 3"),
        ("')')", "')'"),
        (" 1) or (True)", " 1"),
        ("x)", ""),
        ("3", ""),
        ("3\n)", ""),
    ],
)
def test_arguments_end_at_their_parenthesis(text: str, arguments: str) -> None:
    assert first_arguments(text) == arguments


def test_a_program_alone_has_no_input() -> None:
    assert proposal_parts(f"```python\n{PROGRAM}\n```").inputs == ()


def test_a_compact_line_inside_the_program_is_part_of_it() -> None:
    parts = proposal_parts(
        "def f(a):\n    for b in a:\n        c = b\n    return c\nin: [1]\nin: [2]\nmsg: last one"
    )
    assert parts.program == "def f(a):\n    for b in a:\n        c = b\n    return c"
    assert parts.inputs == ("[1]", "[2]")
    assert parts.message == "last one"


def test_several_inputs_and_a_message_are_found() -> None:
    parts = proposal_parts("```input\n1\n```\n```input\n2\n```\n```message\nAdds one.\n```")
    assert (parts.program, parts.inputs, parts.message) == ("", ("1", "2"), "Adds one.")


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        (f"```python\n{PROGRAM}\n```", PROGRAM),
        (f"So:\n```python\nx = 1\n```\n```\n{PROGRAM}\n```\n```python\nprint(f(1))\n```", PROGRAM),
        (f"First:\n```python\ndef f(a):\n    return a\n```\nBetter:\n```python\n{PROGRAM}\n```", PROGRAM),
        (PROGRAM, PROGRAM),
        ("import math\n" + PROGRAM + "\n", "import math\n" + PROGRAM),
        ("I would add one.", ""),
        ("```output\n3\n```", ""),
    ],
)
def test_a_program_is_found(answer: str, program: str) -> None:
    assert written_program(answer) == program


def test_reasoning_is_left_out() -> None:
    assert final_part("<think>5</think> 6") == " 6"
    assert final_part("no tags") == "no tags"
    assert final_part("<answer>1</answer>\n<answer>2") == "2"
    assert final_part("so\n</think> 6") == " 6"
    assert final_part("so </think>\n6") == "\n6"
    assert final_part("a\nUser: b") == "a\nUser: b"  # a quotation: no answer follows it


@pytest.mark.parametrize(
    "literal", ["'</think>'", "'<answer>'", "['<think>', '</think>']", "'a <answer>1</answer>'"]
)
def test_tags_inside_a_literal_are_text(literal: str) -> None:
    assert final_part(literal) == literal


def test_fences_keep_indentation_and_order() -> None:
    blocks = fences("```python\n  x\n\n  y\n```\ntext\n```input\n1\n```")
    assert [(block.tag, block.body) for block in blocks] == [("python", "  x\n\n  y"), ("input", "1")]


def test_calls_in_a_list_are_found() -> None:
    text = "Calls:\n1. `f(3, 4)`: small\n2) f('a)')\n- `f([1])`\n4. f(x)\n5. g(6)\nAnd f(7)."
    assert listed_calls(text) == ["3, 4", "'a)'", "[1]"]


@pytest.mark.parametrize(
    ("answer", "thought"),
    [
        ("<think>a -> 1</think>5", "<think>a -> 1</think>"),
        ("\n<think>\na -> 1\n</think>\n5", "\n<think>\na -> 1\n</think>"),
        ("begun for the model\n</think>\n5", "begun for the model\n</think>"),
        ("<think>\ncut off", "<think>\ncut off"),
        ("5", ""),
        ("'</think>'", ""),
        ("It is '<think>'.", ""),
        ("5\nUser: and now?\nAssistant: <think>1</think>6", ""),
    ],
)
def test_reasoning_is_what_stands_before_the_answer_and_empty_without_any(answer, thought):
    assert reasoning(answer) == thought


@pytest.mark.parametrize(
    "answer",
    [
        "```def f(a):\n    return a + 1\n```\n> ```input\n> 3\n> ```",
        "  ```python\n  def f(a):\n      return a + 1\n\n  print(f(3))\n  ```",
        "````python\ndef f(a):\n    return a + 1\n````\n````input\n3\n````",
        "``` python\ndef f(a):\n    return a + 1\n```\n``` input\n3\n```",
        "```python\ndef f(a):\n    return a + 1\n``` input\n3\n```",  # the first fence never closes
        "~~~python\ndef f(a):\n    return a + 1\n~~~\nInput: **3**",
        "\ufeff```python\n\u200bdef f(a):\n    return a + 1\n```\n```input\n\u200b3\n```",
        "```python\nf = lambda a: a + 1\n\nprint(f(3))\n```",
        "```python\ndef f(a):\n    return a + 1\n```\n**Input**: `f(3)`",
        "\ufeff<think>```python\ndef g(a):\n    pass\n```</think>\ndef f(a):\n    return a + 1\nin: 3",
    ],
)
def test_a_proposal_is_found_however_it_is_fenced(answer: str) -> None:
    test_a_proposal_is_found(answer)


@pytest.mark.parametrize(
    "opening", ["<think>\n", "So far <think>\n", "\ufeff<think>", "<think>a</think>\n<think>"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_thought_that_never_ends_gives_neither_an_answer_nor_a_proposal(kind: str, opening: str) -> None:
    calls = "\n".join(f"{n}. `f({n})`" for n in range(1, 5))
    program = f"```python\n{PROGRAM}\n\nprint(f(3))\n```\n```message\nAdds.\n```"
    draft = f"{opening}{calls}\n{program}\n\\boxed{{4}}\n4\nKeyError"
    task = Task(id="t", kind=kind, program=PROGRAM, inputs=("3",) * 4, outputs=("'KeyError'",) * 4)
    verdict, proposal = KINDS[kind].grade(task, draft), KINDS[kind].parse_proposal(draft, [task])
    assert isinstance(verdict, Verdict)
    assert verdict.status is VerdictStatus.MALFORMED
    assert isinstance(proposal, Rejection)
    spoken = f"{draft}</think>\n{draft.removeprefix(opening)}"
    verdict, proposal = KINDS[kind].grade(task, spoken), KINDS[kind].parse_proposal(spoken, [task])
    assert isinstance(verdict, Check) or verdict.status is not VerdictStatus.MALFORMED
    assert isinstance(proposal, Proposal)


def test_invisible_characters_in_a_string_stay_as_written() -> None:
    program = "def f(a):\n    return a + '\u200d'"
    assert written_program(f"```python\n{program}\n```") == program
    assert next(candidates("'a\u200db'", "output")) == "'a\u200db'"


def test_a_fence_within_a_longer_fence_is_text() -> None:
    blocks = fences("````python\nx = 1\n```\ny = 2\n````\n```output\n5\n```")
    assert [(block.tag, block.body) for block in blocks] == [("python", "x = 1\n```\ny = 2"), ("output", "5")]
    assert first("````output\n5\n```", "output") == "5"  # nothing else closes it


@pytest.mark.parametrize(
    "ending", ["return 0", "return f(a - 1) == 7", "return 'a'", "f(7) = 8", "print(f(7))"]
)
@pytest.mark.parametrize("tag", ["input", "output"])
def test_a_program_that_is_quoted_is_no_answer(tag: str, ending: str) -> None:
    quoted = f"The program is\n```python\ndef f(a):\n    if a:\n        {ending}\n    {ending}\n```\n"
    assert not any(map(is_literal, candidates(quoted, tag)))
    assert next(filter(is_literal, candidates(f"{quoted}Answer: 5", tag))) == "5"
