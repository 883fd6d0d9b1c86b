"""Finds the parts of a model's answer: tagged fences first, then the fall-backs worth having.

Text in, text out. Nothing is evaluated here, and what is found is still untrusted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A fence ends at bare backticks, at the next tagged fence (models forget to close), or with the text.
_FENCE = re.compile(r"```([A-Za-z]\w*)?(.*?)(?:```(?!\w)|(?=```\w)|\Z)", re.DOTALL)
_ANSWER_TAG = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_PYTHON_TAGS = ("python", "python3", "py")
_LABELS = {
    "input": r"input|in|arguments",
    "output": r"output|out|answer|result",
    "message": r"message|msg",
}


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
    """What follows the reasoning: the last <answer> element, or all after </think>, or everything."""
    tagged = _ANSWER_TAG.findall(answer)
    return str(tagged[-1]) if tagged else answer.rpartition("</think>")[2]


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
    yield text.strip().strip("`").strip()


def last_program(answer: str) -> str:
    """The last fenced block that defines a function, or the whole text where it starts like a program."""
    programs = [block.body for block in fences(answer) if block.is_program]
    if programs:
        return programs[-1]
    text = final_part(answer).strip("\n")
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


def _from_fences(text: str) -> Parts:
    """The last program that has inputs after it, and these; an answer may ramble on behind them."""
    blocks = fences(text)
    starts = [index for index, block in enumerate(blocks) if block.is_program] or [0]
    ends = [*starts[1:], len(blocks)]
    parts = [_section(blocks[start:end]) for start, end in zip(starts, ends, strict=True)]
    best = next((part for part in reversed(parts) if part.inputs), parts[-1])
    return best if best.inputs else Parts(best.program, tuple(labelled(text, "input")), best.message)


def _section(blocks: list[Fence]) -> Parts:
    program = next((block.body for block in blocks if block.is_program), "")
    inputs = tuple(block.body.strip() for block in blocks if block.tag == "input")
    messages = [block.body.strip() for block in blocks if block.tag == "message"]
    return Parts(program, inputs, messages[0] if messages else "")


def _from_lines(text: str) -> Parts:
    """The compact form: a program, then lines `in: ...` and `msg: ...`, which no program can contain."""
    first = re.search(r"^(?:in|msg):", text, re.MULTILINE)
    program = text[: first.start()] if first else text
    messages = labelled(text, "message")
    return Parts(
        program.strip("\n").rstrip(), tuple(labelled(text, "input")), messages[0] if messages else ""
    )
