"""What the exam asks, and the rates that the card shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from nano.exam import ATTEMPTS, WAYS, Answered, Examiner, ProposalScore, Way
from nano.tasks import TAUGHT
from tinyzero.types import Task

FORCED_TASKS = 480
"""So many of the first held-out tasks are also solved without any choice between the two ways."""
DECODINGS = ("greedy", "sampled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Answers by (way, decoding) to held-out tasks and to the ladder, and what else was measured, by kind."""

    held_out: Mapping[tuple[Way, str], Sequence[Answered]]
    ladder: Mapping[tuple[Way, str], Sequence[Answered]]
    chance_of_thinking: Mapping[str, float]
    proposals: Mapping[str, ProposalScore]


def examine(
    examiner: Examiner, tasks: Sequence[Task], ladder: Sequence[Task], *, report: Callable[[str], None]
) -> Result:
    held_out: dict[tuple[Way, str], Sequence[Answered]] = {}
    rungs: dict[tuple[Way, str], Sequence[Answered]] = {}
    for way in WAYS:
        chosen = tasks if way == "free" else tasks[:FORCED_TASKS]
        for decoding in DECODINGS:
            attempts = ATTEMPTS if decoding == "sampled" else 0
            held_out[way, decoding] = examiner.solve(chosen, way, attempts=attempts)
            rungs[way, decoding] = examiner.solve(ladder, way, attempts=attempts)
            report(f"{way}, {decoding}: {rate(held_out[way, decoding]):.3f} of the held-out tasks")
    return Result(
        held_out=held_out,
        ladder=rungs,
        chance_of_thinking={
            kind: examiner.chance_of_thinking(task for task in tasks if task.kind == kind) for kind in TAUGHT
        },
        proposals={kind: examiner.propose(kind) for kind in TAUGHT},
    )


def rate(answers: Iterable[Answered]) -> float:
    return fmean(answered.is_right for answered in answers)


def tokens(answers: Iterable[Answered]) -> float:
    return fmean(answered.num_tokens for answered in answers)
