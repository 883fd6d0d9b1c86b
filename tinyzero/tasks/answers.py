"""Finds the parts of a model's answer: tagged fences first, then the fall-backs worth having.

Text in, text out. Nothing is evaluated here, and what is found is still untrusted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

from tinyzero.execution.values import BadLiteral, parse_arguments
from tinyzero.tasks.fences import Fence, begins_with_code, defines, fenced
from tinyzero.tasks.programs import BadProgram, parse, with_definitions
from tinyzero.tasks.thoughts import CLOSED, is_in_thought, thought_of, without_thoughts
from tinyzero.tasks.wording import boxed as boxed
from tinyzero.tasks.wording import boxes, from_call, readings, told, trimmed, unmarked, unwrapped, visible
from tinyzero.tasks.wording import first_arguments as first_arguments

# Tags begin a line, or end the reasoning that begins the text: within a literal they are text.
_ANSWER_TAG = re.compile(r"(?:^|</think>)[ \t]*<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.MULTILINE)
_ELEMENT = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)
_NEXT_QUESTION, _NEXT_ANSWER = "\nUser:", "\nAssistant:"
_USAGE = re.compile(r"(?:print\(|assert |[a-z_]+ = )?f\(")
_LISTED = re.compile(r"^[ \t]*(?:\d+[.)]|[-*])[ \t]*`?f\((.*)", re.MULTILINE)
_RESULTS = r"answer|ans|result|solution"
_LABELS = {
    "input": r"input|in|arguments?",
    "output": rf"output|out|out\[\d+\]|returned value|return value|{_RESULTS}",
    "message": r"message|msg",
    "answer": _RESULTS,
}
_PARTS = ("input", "output", "message")
"""Tags of fences that hold one part of a proposal, or an answer."""
_HEADING_MARKS = r"(?:[#>*_ \t-]|\d{1,3}[.)])*"


def fences(answer: str) -> list[Fence]:
    """All fenced blocks, in order."""
    return fenced(final_part(answer))


def final_part(answer: str) -> str:
    """What follows the thought: the last <answer> element, or all after </think>, or everything.

    Empty where the thought never ends: what stands in it is a draft. Without invisible characters at the ends
    of lines.
    """
    turn = trimmed(_first_turn(answer))
    if is_in_thought(turn):
        return ""
    tagged = _ANSWER_TAG.findall(turn)
    return str(tagged[-1]) if tagged else without_thoughts(turn)


def reasoning(answer: str) -> str:
    """What an answer thinks before it says anything: its <think> part, cut off or not; empty without one."""
    return thought_of(trimmed(_first_turn(answer)))


def _first_turn(answer: str) -> str:
    """Without the conversation that a base model goes on to invent: its next question, and the answer to it.

    Source of the form: the frame of R1-Zero (`tinyzero.policy.frame`).
    """
    turn, question, rest = answer.partition(_NEXT_QUESTION)
    is_over = _NEXT_ANSWER in rest or turn.rstrip().endswith("</answer>")
    return turn if question and is_over else answer


def labelled(text: str, label: str) -> list[str]:
    """What follows `Output:` (or `out:`, `# Output:`, `**Final output:**`) on lines that begin with it."""
    pattern = rf"^{_HEADING_MARKS}{_label(label)}:[*_]*[ \t]*(\S.*)$"
    return [value.strip().strip("`") for value in re.findall(pattern, text, re.MULTILINE | re.IGNORECASE)]


def _under_headings(text: str, label: str) -> list[str]:
    """The lines under `Output:`, `**Output**` or `## Output`."""
    words = _label(label)
    heading = rf"^(?:{_HEADING_MARKS}{words}:[*_]*|[ \t>]*[#*_]{_HEADING_MARKS}{words})[ \t]*\n\s*(\S.*)$"
    return re.findall(heading, text, re.MULTILINE | re.IGNORECASE)


def _label(label: str) -> str:
    return rf"(?:the |my )?(?:(?:final|correct|expected) )?(?:{_LABELS[label]})[*_]*[ \t]*"


def candidates(answer: str, tag: str) -> Iterator[str]:
    """Where a literal may stand, best place first, each as it stands and without the marks around it.

    A fence with the right tag is decisive. At last, everything again without invisible characters.
    """
    text = final_part(answer)
    yield from _candidates(text, tag)
    if visible(text) != text:
        yield from _candidates(visible(text), tag)


def _candidates(text: str, tag: str) -> Iterator[str]:
    blocks = fenced(text)
    tagged = [block.body.strip() for block in blocks if block.tag == tag]
    if tagged:
        body = next(filter(None, reversed(tagged)), "")
        yield from readings(body, tag)
        yield from labelled(body, tag)
        return
    places = [place.strip() for place in _places(text, blocks, tag)]
    for place in places:
        yield from unmarked(place)
    for place in places:
        yield from from_call(place, tag)
    yield from told(text, tag)


def _places(text: str, blocks: list[Fence], tag: str) -> Iterator[str]:
    yield from (block.body for block in reversed(blocks) if block.tag not in _PARTS)
    for label in dict.fromkeys((tag, "answer")):
        values = reversed(labelled(text, label) or _under_headings(text, label))
        yield from (value.removesuffix(".").strip("`") for value in values)
    yield from reversed(boxes(text))
    yield from reversed(_boxed_lines(text))
    yield from (text.strip().strip("`"), text, text.rpartition(CLOSED)[2])


def _boxed_lines(text: str) -> list[str]:
    r"""What each line has between its first `\boxed{` and its last brace, for braces within strings."""
    lines = (line.partition("\\boxed{")[2] for line in text.split("\n"))
    return [line[: line.rfind("}")].strip() for line in lines if "}" in line]


def written_program(answer: str) -> str:
    """The program of an answer: the last fenced one, or the first where the answer begins with it.

    An answer without fences is one where it starts like a program. Empty where there is none.
    """
    text = final_part(answer)
    programs = [block.body for block in fenced(text) if block.is_program]
    if programs:
        return _used(programs[0] if _begins_with_fence(text) else programs[-1])[0]
    elements = _ELEMENT.findall(text)
    unfenced = (part.strip("\n").rstrip() for part in (text, unwrapped(text), *elements[-1:]))
    return next((_readable_program(code) for code in unfenced if begins_with_code(code)), "")


def _used(body: str) -> tuple[str, tuple[str, ...]]:
    """The program of a block, and the arguments of its usage examples."""
    program, calls = split_usage(dedent(body) if body[:1] in (" ", "\t") else body)
    return _readable_program(program), calls


def _readable_program(program: str) -> str:
    """With a named lambda as a definition; without invisible characters if it does not parse with them."""
    program = with_definitions(program) if "lambda" in program else program
    if visible(program) == program:
        return program
    try:
        parse(program)
    except BadProgram:
        return with_definitions(visible(program))
    return program


@dataclass(frozen=True, slots=True)
class Parts:
    """What a proposal consists of, as written."""

    program: str
    inputs: tuple[str, ...]
    message: str


def proposal_parts(answer: str) -> Parts:
    """Program, inputs and message of a proposal; a part that is missing is empty."""
    text = final_part(answer)
    blocks = fenced(text)
    return _from_fences(text, blocks) if blocks else _from_lines(text)


def split_usage(program: str) -> tuple[str, tuple[str, ...]]:
    """Cut a program before its first top-level call of `f`; what was cut off gives the arguments."""
    lines = program.splitlines()
    start = next((place for place, line in enumerate(lines) if _USAGE.match(line)), len(lines))
    calls = (_call_arguments(line) for line in lines[start:] if _USAGE.match(line))
    return "\n".join(lines[:start]).rstrip(), tuple(call for call in calls if call)


def listed_calls(text: str) -> list[str]:
    """The arguments of calls of `f` in a list: lines such as 1. `f(3, 4)`."""
    calls = (first_arguments(match[1]) for match in _LISTED.finditer(text))
    return [call for call in calls if call]


def _call_arguments(line: str) -> str:
    return first_arguments(line.partition("f(")[2])


def _begins_with_fence(text: str) -> bool:
    """What follows reasoning comes last; what begins with code has it there, and may ramble on."""
    return text.lstrip(" \t\n\r>").startswith(("```", "~~~"))


def _from_fences(text: str, blocks: list[Fence]) -> Parts:
    """The first program if the answer begins with it, else the last that has inputs; with these inputs."""
    starts = [index for index, block in enumerate(blocks) if block.is_program] or [0]
    sections = [blocks[start:end] for start, end in zip(starts, [*starts[1:], len(blocks)], strict=True)]
    parts = [_section(section) for section in sections]
    best = next((part for part in reversed(parts) if part.inputs), parts[-1])
    chosen = parts[0] if _begins_with_fence(text) else best
    return chosen if chosen.inputs else Parts(chosen.program, _labelled_inputs(text), chosen.message)


def _labelled_inputs(text: str) -> tuple[str, ...]:
    return tuple(_readable(value) for value in labelled(text, "input"))


def _readable(text: str) -> str:
    """The first reading of an input that gives arguments, or the text itself. Several lines stay as is."""
    for reading in readings(text, "input") if "\n" not in text else ():
        try:
            parse_arguments(reading)
        except BadLiteral:
            continue
        return reading
    return text


def _section(blocks: list[Fence]) -> Parts:
    """A program, and the inputs from tagged fences behind it, or else from calls."""
    usages = [_used(block.body) for block in blocks if block.is_python]
    program = next((code for code, _ in usages if defines(code)), "")
    tagged = tuple(_readable(block.body.strip()) for block in blocks if block.tag == "input")
    called = tuple(call for _, calls in usages for call in calls)
    messages = [block.body.strip() for block in blocks if block.tag == "message"]
    return Parts(program, tagged or called, messages[0] if messages else "")


def _from_lines(text: str) -> Parts:
    """The compact form: a program, then lines `in: ...` and `msg: ...`."""
    first = re.search(r"^(?:in|msg):", text, re.MULTILINE)
    program = text[: first.start()] if first else text
    messages = labelled(text, "message")
    program = _readable_program(program.strip("\n").rstrip())
    return Parts(program, _labelled_inputs(text), messages[0] if messages else "")
