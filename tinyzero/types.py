"""The nouns of self-play: frozen data without torch, I/O or behaviour beyond arithmetic.

A task kind is named by a plain string, the key of `tinyzero.tasks.KINDS` and of its metrics, so that a kind
of one's own needs no change here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable


class Role(StrEnum):
    """Which hat the policy is wearing. The value is the metric key."""

    PROPOSER = "proposer"
    SOLVER = "solver"


class Outcome(StrEnum):
    """What became of one run of an untrusted program: the program's doing, never the infrastructure's."""

    OK = "ok"
    """`f` returned a value made of plain builtin types."""
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    """Used up its CPU time, or the wall cap above it."""
    OUT_OF_MEMORY = "oom"
    OUTPUT_TOO_LARGE = "output_too_large"
    BAD_TYPE = "bad_type"
    """Returned something that is not a tree of exact builtin types."""
    NO_FUNCTION = "no_function"
    SYNTAX_ERROR = "syntax_error"
    BAD_INPUT = "bad_input"
    """The arguments are no literals, or too large or deep."""
    BANNED = "banned"
    """Tried a system call that no program may make."""
    CRASHED = "crashed"
    """Died or left without a well-formed result."""
    NONDETERMINISTIC = "nondeterministic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One program and the argument lists to run it on; every input gets a process of its own, as a rule.

    Attributes:
        program: Python source that defines `f`.
        inputs: sources of `f`'s positional arguments, literals only: `"1, 'a'"` calls `f(1, 'a')`.
        is_proposal: hold it to the proposer's (half) CPU limit, so that verdicts near the edge do not flip.
        check_determinism: run each input in two differently seeded processes and a second time in one of
            them; results that differ give `Outcome.NONDETERMINISTIC`.
        share_process: the inputs share one process, each call in a module of its own. Faster, and for runs
            that no verdict hangs on: a hostile program can tell that it is called several times.
    """

    program: str
    inputs: tuple[str, ...]
    is_proposal: bool = False
    check_determinism: bool = False
    share_process: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What the child process did with one input.

    Attributes:
        value: the returned tree of builtin values when `outcome` is OK, else None; of a script, what it
            printed.
        detail: the exception's type name, the signal, or empty.
        message: of the exception, at most 300 characters, as far as it is plain text; a program's own words.
        stdout: what a script printed, up to its end or its exception; empty for runs of `f`.
        cpu_s: CPU seconds the child used; wall_s: seconds from start to end.
    """

    outcome: Outcome
    value: Any = None
    detail: str = ""
    message: str = ""
    stdout: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def is_ok(self) -> bool:
        return self.outcome is Outcome.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question to the policy.

    Attributes:
        text: the user's turn, before any chat template.
        prefill: the beginning of the answer, put into the model's mouth; a completion continues it.
        reasons: whether the answer begins with reasoning. A model without a chat template is then shown tags
            for it, and begins inside of them.
    """

    kind: str
    text: str
    prefill: str = ""
    reasons: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled answer, and the behaviour policy it was sampled from.

    Attributes:
        text: decoded completion, special tokens left out, the prompt's prefill not included.
        prompt_ids: token ids of the rendered prompt (template and prefill included), length P.
        token_ids: sampled ids, length T, the end token included where one was drawn.
        sampler_logprobs: nats, aligned with `token_ids`, of the distribution that was sampled from.
        temperature: of that distribution; 0 means greedy (then the logprobs are those at temperature 1).
        adapter: name of the adapter that sampled; adapter_version: number of updates it had had.
        finish_reason: "stop" where an end token was drawn, "length" where the budget ran out.
        begun: `<think>` where the frame around the prompt began the thought, else empty.
    """

    text: str
    prompt_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    sampler_logprobs: tuple[float, ...] = ()
    temperature: float = 1.0
    adapter: str = ""
    adapter_version: int = 0
    finish_reason: str = "stop"
    begun: str = ""

    @property
    def is_truncated(self) -> bool:
        return self.finish_reason == "length"

    @property
    def policy(self) -> str:
        """Who wrote it: `adapter@version`, the version being its number of updates."""
        return f"{self.adapter or 'base'}@{self.adapter_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A prompt and one completion of it, not judged yet."""

    prompt: Prompt
    completion: Completion

    @property
    def text(self) -> str:
        """The answer from its beginning: what was put into the model's mouth, and what it said after that."""
        return self.completion.begun + self.prompt.prefill + self.completion.text


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingRequest:
    """What to sample, and which random numbers to use for it.

    Attributes:
        role: whose adapter answers; None for the base model.
        num_samples: completions per prompt.
        max_tokens: completion budget, tokens.
        temperature: 0 is greedy.
        stream: names the random numbers, `f"{step}/{purpose}"`. Sample (i, j) of a stream draws the same
            uniforms whatever else is in the request.
        origins: of a part of a larger request, the (i, j) that each prompt's first sample has there.
    """

    role: Role | None
    prompts: tuple[Prompt, ...]
    num_samples: int
    max_tokens: int
    stream: str
    temperature: float = 1.0
    origins: tuple[tuple[int, int], ...] = ()

    def origin(self, prompt: int) -> tuple[int, int]:
        """The numbers (i, j) in the stream of the first sample of the prompt at this place."""
        return self.origins[prompt] if self.origins else (prompt, 0)


class Sampler(Protocol):
    """A source of completions from the current policy: the built-in engine, vLLM, or a script in a test."""

    def sample(self, request: SamplingRequest) -> list[list[Completion]]:
        """One list per prompt, in order, of `num_samples` completions each."""
        ...

    def fits(self, prompt: Prompt) -> bool:
        """Whether the prompt is short enough to be asked."""
        ...


@runtime_checkable
class Resident(Protocol):
    """What a sampler is as well that holds a process, or memory beside the policy's."""

    def sleep(self) -> None:
        """Give the memory back until the next request."""
        ...

    def close(self) -> None:
        """End it for good."""
        ...


class Runner(Protocol):
    """Runs untrusted programs; `tinyzero.execution.Executor` is the real one."""

    def run_jobs(self, jobs: Sequence[Job]) -> list[list[Execution]]:
        """One list per job, in order, of one execution per input."""
        ...


class Comparer(Protocol):
    """Says which short answers mean the same: `tinyzero.games.r_zero.equivalence.comparer.AnswerComparer`."""

    def same(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """One verdict per pair."""
        ...


class Stage(StrEnum):
    """The funnel a proposal goes through, in order. The value is the metric key."""

    PARSED = "parsed"
    ALLOWED = "allowed"
    RAN = "ran"
    DETERMINISTIC = "deterministic"
    NONTRIVIAL = "nontrivial"
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a proposer wrote, parsed but not verified; it cannot reach a solver.

    Attributes:
        program: source that defines `f`.
        inputs: sources of argument lists.
        message: hint for the solver (induction only).
        parents: ids of the tasks it was shown or builds on.
    """

    kind: str
    program: str
    inputs: tuple[str, ...]
    message: str = ""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a proposal is no task: the funnel stage that it failed.

    Attributes:
        shape: of a program that was sound and no news, see `Task`; else empty.
    """

    stage: Stage
    detail: str = ""
    shape: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A verified task: running `program` on `inputs[i]` gave `outputs[i]`, deterministically.

    Attributes:
        id: content hash of kind, program, inputs and message.
        shape: hash of the program with names and constants normalised; equal for near-duplicates.
        inputs: canonical sources of argument lists; outputs: canonical literals. One each but for induction.
        step: the step that created it, -1 for a seed.
        author: the policy that proposed it, `adapter@version`; empty for a seed.
        truth: of a question about a program whose output is a vote, what the program returned; None where
            nobody knows. It is measured with, and no reward depends on it.
    """

    id: str
    kind: str
    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: str = ""
    shape: str = ""
    parents: tuple[str, ...] = ()
    step: int = -1
    author: str = ""
    truth: str | None = None


class VerdictStatus(StrEnum):
    """What we think of one answer. The value is the metric key."""

    CORRECT = "correct"
    WRONG = "wrong"
    MALFORMED = "malformed"
    """No answer could be read from the completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Our judgement of one answer. A wrong answer is data, not an error.

    Attributes:
        answer: what was read from the completion, as text, empty where nothing was.
        detail: why, in a few words.
    """

    status: VerdictStatus
    answer: str = ""
    detail: str = ""

    @property
    def is_correct(self) -> bool:
        return self.status is VerdictStatus.CORRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardBreakdown:
    """Named reward terms of one rollout, kept apart so that every view can show each."""

    terms: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.terms.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoredAnswer:
    """An answer, and what it earned."""

    answer: Answer
    reward: RewardBreakdown

    @property
    def prompt(self) -> Prompt:
        return self.answer.prompt

    @property
    def completion(self) -> Completion:
        return self.answer.completion


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRollout(_ScoredAnswer):
    """A proposal, and what it earned.

    Attributes:
        outcome: the task that it became, or why it is none.
    """

    role: ClassVar[Role] = Role.PROPOSER
    outcome: Task | Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRollout(_ScoredAnswer):
    """An attempt at a task, and what it earned."""

    role: ClassVar[Role] = Role.SOLVER
    task_id: str
    verdict: Verdict


Rollout: TypeAlias = ProposalRollout | AttemptRollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a game played in one step: everything that learns, and everything worth recording.

    Attributes:
        rollouts: all that trains, proposals first; advantages: one per rollout, aligned with it.
        untrained: attempts that only measured how difficult the new tasks are.
        new_tasks: verified in this round, in the order proposed; in the first one, those of the start too.
        replayed_tasks: earlier ones that were attempted in this round.
        metrics: `role/kind/measure` -> value, computed from what happened.
        seconds: phase -> wall seconds (`propose`, `verify`, `solve`, `judge`).
    """

    rollouts: Sequence[Rollout]
    advantages: Sequence[float]
    new_tasks: Sequence[Task]
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]
    untrained: Sequence[AttemptRollout] = ()
    replayed_tasks: Sequence[Task] = ()


Preparable = Literal["tasks", "questions"]
"""What a game prepares before it can play a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How far a game has come with what has to be there before its next step.

    Attributes:
        what: seed tasks of the pool, or questions for a solver's turn.
        done, total: how many of these are there, and how many there shall be.
    """

    what: Preparable
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What observers get after each step.

    Attributes:
        step: 1 for the first. metrics: the whole line of metrics.jsonl. round: what was played.
    """

    step: int
    metrics: Mapping[str, float]
    round: Round


_CLAIM = re.compile(r"(heldout|greedy)([+-])([0-9]{1,3}(?:\.[0-9]{1,6})?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What training is expected to do to accuracy on held-out tasks, written down before the first step.

    Attributes:
        metric: `heldout`, the sampled accuracy, or `greedy`; means over the kinds.
        direction: `+` for a rise, `-` for a fall.
        points: percentage points of the rise or fall, or more; 0 to 100.
    """

    metric: str
    direction: str
    points: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a claim such as `heldout+3`. Raises ValueError."""
        match = _CLAIM.fullmatch(text.replace(" ", ""))
        if match is None or float(match[3]) > 100:
            raise ValueError(
                f"{text[:60]!r} is no claim; write heldout+3 (sampled accuracy rises by 3 points or more), "
                "heldout-2 (it falls) or greedy+3 (greedy accuracy), with at most 100 points"
            )
        return cls(metric=match[1], direction=match[2], points=float(match[3]))

    def __str__(self) -> str:
        return f"{self.metric}{self.direction}{self.points:g}"
