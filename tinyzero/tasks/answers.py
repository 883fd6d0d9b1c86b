"""Finds the parts of a model's answer: tagged fences first, then the fall-backs worth having.

Text in, text out. Nothing is evaluated here, and what is found is still untrusted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tinyzero.execution.values import BadLiteral, parse_arguments
from tinyzero.tasks.thoughts import is_in_thought, thought_of, without_thoughts

# A fence ends at bare backticks, at the next tagged fence (models forget to close), or with the text.
_FENCE = re.compile(r"```([A-Za-z]\w*)?(.*?)(?:```(?!\w)|(?=```\w)|\Z)", re.DOTALL)
# Tags begin a line, or end the reasoning that begins the text: within a literal they are text.
_ANSWER_TAG = re.compile(r"(?:^|</think>)[ \t]*<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.MULTILINE)
_NEXT_QUESTION, _NEXT_ANSWER = "\nUser:", "\nAssistant:"
_PYTHON_TAGS = ("python", "python3", "py")
_USAGE = re.compile(r"(?:print\(|assert |[a-z_]+ = )?f\(")
_LISTED = re.compile(r"^[ \t]*(?:\d+[.)]|[-*])[ \t]*`?f\((.*)", re.MULTILINE)
# In a line: a string, so that brackets inside of it are text, or a bracket. A string may lack its end.
_BRACKET_OR_STRING = re.compile(r"'(?:[^'\\]|\\.)*(?:'|\\?\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)|[()\[\]{}]")
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_LABELS = {
    "input": r"input|in|arguments",
    "output": r"output|out|answer|result",
    "message": r"message|msg",
}
_NOUNS = {
    "input": r"inputs?|arguments?|answer",
    "output": r"output|answer|result|(?:returned|return|final) value",
}
_BOXED = "\\boxed{"


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block; `tag` is lower case and empty where there was none."""

    tag: str
    body: str

    @property
    def is_program(self) -> bool:
        return self.tag in (*_PYTHON_TAGS, "") and "def " in self.body


def fences(answer: str) -> list[Fence]:
    """All fenced blocks, in order."""
    return [
        Fence((match[1] or "").lower(), match[2].strip("\n").rstrip())
        for match in _FENCE.finditer(final_part(answer))
    ]


def final_part(answer: str) -> str:
    """What follows the thought: the last <answer> element, or all after </think>, or everything.

    Empty where the thought never ends: what stands in it is a draft.
    """
    turn = _first_turn(answer)
    if is_in_thought(turn):
        return ""
    tagged = _ANSWER_TAG.findall(turn)
    return str(tagged[-1]) if tagged else without_thoughts(turn)


def reasoning(answer: str) -> str:
    """What an answer thinks before it says anything: its <think> part, cut off or not; empty without one."""
    return thought_of(_first_turn(answer))


def _first_turn(answer: str) -> str:
    """Without the conversation that a base model goes on to invent: its next question, and the answer to it.

    Source of the form: the frame of R1-Zero (`tinyzero.policy.frame`).
    """
    turn, question, rest = answer.partition(_NEXT_QUESTION)
    is_over = _NEXT_ANSWER in rest or turn.rstrip().endswith("</answer>")
    return turn if question and is_over else answer


def labelled(text: str, label: str) -> list[str]:
    """What follows `Output:` (or `out:`, `# Output:`, `**Output:**`) on lines that begin with that label."""
    pattern = rf"^[#>* \t]*(?:{_LABELS[label]})\**[ \t]*:\**[ \t]*(\S.*)$"
    return [value.strip().strip("`") for value in re.findall(pattern, text, re.MULTILINE | re.IGNORECASE)]


def candidates(answer: str, tag: str) -> Iterator[str]:
    """Where a literal may stand, best place first. A fence with the right tag is decisive."""
    blocks = fences(answer)
    tagged = [block.body for block in blocks if block.tag == tag]
    if tagged:
        yield tagged[-1].strip()
        return
    yield from (block.body.strip() for block in reversed(blocks) if block.tag not in _LABELS)
    text = final_part(answer)
    yield from reversed(labelled(text, tag))
    yield from reversed(_boxed_lines(text))
    yield text.strip().strip("`").strip()
    yield from reversed(_told(text, tag))


def _told(text: str, tag: str) -> list[str]:
    """What ends a sentence such as `So the output is **5**.`, or stands in an element such as <output>."""
    elements = re.findall(rf"<{tag}>(.*?)(?:</{tag}>|\Z)", text, re.DOTALL | re.IGNORECASE)
    sentence = rf"\b(?:{_NOUNS[tag]})(?: of [^\n]{{0,80}})? (?:is|are|will be|would be):? (\S.*)$"
    told = re.findall(sentence, text, re.MULTILINE | re.IGNORECASE)
    return [*(_bare(words.rstrip().removesuffix(".")) for words in told), *map(_bare, elements)]


def _boxed_lines(text: str) -> list[str]:
    r"""What each line has between its first `\boxed{` and its last brace."""
    lines = (line[line.find(_BOXED) + len(_BOXED) :] for line in text.split("\n") if _BOXED in line)
    return [line[: line.rfind("}")].strip() for line in lines if "}" in line]


def boxed(text: str) -> str:
    r"""What the last `\boxed{...}` holds, whose braces may nest; empty without one, or where it is cut off.

    Models forget to close it: then it ends with its line, if another follows.
    """
    start = text.rfind(_BOXED)
    if start < 0:
        return ""
    inside = text[start + len(_BOXED) :]
    depth = 1
    for place, letter in enumerate(inside):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return inside[:place].strip()
    line, newline, _ = inside.partition("\n")
    return line.strip() if newline else ""


def _bare(text: str) -> str:
    """`**`5`**` -> `5`."""
    return text.strip().strip("*").strip("`").strip()


def written_program(answer: str) -> str:
    """The program of an answer: the last fenced one, or the first where the answer begins with it.

    An answer without fences is one where it starts like a program. Empty where there is none.
    """
    text = final_part(answer)
    programs = [block.body for block in fences(text) if block.is_program]
    if programs:
        return split_usage(programs[0] if _begins_with_code(text) else programs[-1])[0]
    text = text.strip("\n")
    return text.rstrip() if text.startswith(("def ", "import ", "from ", "class ")) else ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a proposal consists of, as written."""

    program: str
    inputs: tuple[str, ...]
    message: str


def proposal_parts(answer: str) -> Parts:
    """Program, inputs and message of a proposal; a part that is missing is empty."""
    text = final_part(answer)
    return _from_fences(text) if "```" in text else _from_lines(text)


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


def first_arguments(text: str) -> str:
    """The beginning of `text` up to the `)` that closes a call, if it reads as arguments; else empty."""
    arguments = _up_to_closing(text.partition("\n")[0])
    try:
        parse_arguments(arguments)
    except BadLiteral:
        return ""
    return arguments


def _up_to_closing(line: str) -> str:
    """What stands before the first bracket that nothing on the line opens; empty without one."""
    depth = 0
    for match in _BRACKET_OR_STRING.finditer(line):
        depth += match[0] in _OPENING
        depth -= match[0] in _CLOSING
        if depth < 0:
            return line[: match.start()]
    return ""


def _call_arguments(line: str) -> str:
    return first_arguments(line.partition("f(")[2])


def _begins_with_code(text: str) -> bool:
    """What follows reasoning comes last; what begins with code has it there, and may ramble on."""
    return text.lstrip().startswith("```")


def _from_fences(text: str) -> Parts:
    """The first program if the answer begins with it, else the last that has inputs; with these inputs."""
    blocks = fences(text)
    starts = [index for index, block in enumerate(blocks) if block.is_program] or [0]
    sections = [blocks[start:end] for start, end in zip(starts, [*starts[1:], len(blocks)], strict=True)]
    parts = [_section(section) for section in sections]
    best = next((part for part in reversed(parts) if part.inputs), parts[-1])
    chosen = parts[0] if _begins_with_code(text) else best
    return chosen if chosen.inputs else Parts(chosen.program, tuple(labelled(text, "input")), chosen.message)


def _section(blocks: list[Fence]) -> Parts:
    """A program, and the inputs from tagged fences behind it, or else from calls."""
    usages = [split_usage(block.body) for block in blocks if block.tag in (*_PYTHON_TAGS, "")]
    program = next((code for code, _ in usages if "def " in code), "")
    tagged = tuple(block.body.strip() for block in blocks if block.tag == "input")
    called = tuple(call for _, calls in usages for call in calls)
    messages = [block.body.strip() for block in blocks if block.tag == "message"]
    return Parts(program, tagged or called, messages[0] if messages else "")


def _from_lines(text: str) -> Parts:
    """The compact form: a program, then lines `in: ...` and `msg: ...`."""
    first = re.search(r"^(?:in|msg):", text, re.MULTILINE)
    program = text[: first.start()] if first else text
    messages = labelled(text, "message")
    return Parts(
        program.strip("\n").rstrip(), tuple(labelled(text, "input")), messages[0] if messages else ""
    )
