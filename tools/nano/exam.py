"""The held-out set, and how a model does on it: solve rates by kind and program length, and its proposals."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from transformers import PreTrainedTokenizerBase, Qwen3ForCausalLM

from nano.examples import random_sample
from nano.grammar import MAX_LINES
from nano.tasks import STYLE, TAUGHT, references_of, task_of
from nano.vocabulary import encode_prompt
from tinyzero.execution import Executor
from tinyzero.execution.values import parse_literal
from tinyzero.tasks import KINDS
from tinyzero.tasks.funnel import make_task
from tinyzero.tasks.judging import judge_answers, verify
from tinyzero.tasks.programs import canonical
from tinyzero.types import Prompt, Proposal, Rejection, Task, Verdict

HELD_OUT_SEED = 1
TASKS_PER_LENGTH = 25
LONGER = MAX_LINES + 1
"""Stands for this many body lines and more: longer than any program in pretraining."""
NUM_PROPOSALS = 128
ATTEMPTS = 4
"""Sampled answers to each task."""
ROWS = 64


def held_out_tasks() -> Iterator[Task]:
    """The fixed set: per kind and length the same number of tasks, each program shape once."""
    for kind in TAUGHT:
        seen: set[str] = set()
        for length in range(1, LONGER + 1):
            rng = Random(f"{HELD_OUT_SEED}/{kind}/{length}")
            yield from islice(_tasks(rng, kind, length, seen), TASKS_PER_LENGTH)


def _tasks(rng: Random, kind: str, length: int, seen: set[str]) -> Iterator[Task]:
    while True:
        num_lines = rng.randint(LONGER, LONGER + 2) if length == LONGER else length
        sample = random_sample(rng, held_out=True, num_lines=num_lines)
        if sample.shape in seen:
            continue
        seen.add(sample.shape)
        draft = task_of(rng, kind, sample)
        proposal = Proposal(kind=kind, program=draft.program, inputs=draft.inputs, message=draft.message)
        yield make_task(proposal, [parse_literal(output) for output in draft.outputs], step=-1)


def length_of(task: Task) -> int:
    """Lines of the body, all that are longer than in pretraining counted as one."""
    return min(task.program.count("\n"), LONGER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Right answers among attempts."""

    right: int
    attempts: int

    @property
    def rate(self) -> float:
        return self.right / self.attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalScore:
    """Of sampled proposals: how many pass the funnel, and how many different ones are among those."""

    valid: int
    attempts: int
    distinct_tasks: int
    distinct_shapes: int
    stages: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """A model that writes answers, and the sandbox that runs them."""

    model: Qwen3ForCausalLM
    tokenizer: PreTrainedTokenizerBase
    executor: Executor

    def solve(self, tasks: Sequence[Task], *, attempts: int) -> dict[tuple[str, int], Score]:
        """Score by kind and length; greedy where `attempts` is 0, otherwise sampled at temperature 1."""
        copies = [task for task in tasks for _ in range(attempts or 1)]
        prompts = [KINDS[task.kind].solve_prompt(task, STYLE) for task in copies]
        answers = self.write(prompts, max_tokens=96, is_greedy=attempts == 0)
        verdicts = self._judge(copies, answers)
        rows: dict[tuple[str, int], list[bool]] = defaultdict(list)
        for task, verdict in zip(copies, verdicts, strict=True):
            rows[task.kind, length_of(task)].append(verdict.is_correct)
        return {key: Score(right=sum(row), attempts=len(row)) for key, row in rows.items()}

    def propose(self, kind: str, *, seed: int = 0) -> tuple[ProposalScore, list[Task]]:
        """Sampled proposals with 0 to K references, sent through the funnel."""
        rngs = [Random(f"{seed}/propose/{kind}/{index}") for index in range(NUM_PROPOSALS)]
        references = [references_of(rng, kind) for rng in rngs]
        prompts = [KINDS[kind].propose_prompt(shown, STYLE) for shown in references]
        answers = self.write(prompts, max_tokens=160)
        results = [
            self._verify(kind, answer, shown) for answer, shown in zip(answers, references, strict=True)
        ]
        tasks = [result for result in results if isinstance(result, Task)]
        stages: dict[str, int] = defaultdict(int)
        for result in results:
            if isinstance(result, Rejection):
                stages[result.stage] += 1
        score = ProposalScore(
            valid=len(tasks),
            attempts=NUM_PROPOSALS,
            distinct_tasks=len({(canonical(task.program), task.inputs) for task in tasks}),
            distinct_shapes=len({task.shape for task in tasks}),
            stages=dict(stages),
        )
        return score, tasks

    def write(self, prompts: Sequence[Prompt], *, max_tokens: int, is_greedy: bool = False) -> list[str]:
        """One completion per prompt; prompts of similar length share a batch."""
        ids = [encode_prompt(self.tokenizer, prompt) for prompt in prompts]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), ROWS):
            chosen = order[start : start + ROWS]
            written = self._generate([ids[index] for index in chosen], max_tokens, is_greedy=is_greedy)
            for index, text in zip(chosen, written, strict=True):
                answers[index] = text
        return answers

    @torch.no_grad()
    def _generate(self, rows: list[list[int]], max_tokens: int, *, is_greedy: bool) -> list[str]:
        batch = self.tokenizer.pad({"input_ids": rows}, padding_side="left", return_tensors="pt")
        sampling = {"do_sample": False} if is_greedy else {"do_sample": True, "top_k": 0, "top_p": 1.0}
        ids = self.model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=max_tokens,
            **sampling,
        )
        completions = ids[:, batch["input_ids"].shape[1] :]
        return list(self.tokenizer.batch_decode(completions, skip_special_tokens=True))

    def _judge(self, tasks: Sequence[Task], answers: Sequence[str]) -> list[Verdict]:
        groups = [[answer] for answer in answers]
        return [verdict for (verdict,) in judge_answers(tasks, groups, kinds=KINDS, runner=self.executor)]

    def _verify(self, kind: str, answer: str, references: Sequence[Task]) -> Task | Rejection:
        proposal = KINDS[kind].parse_proposal(answer, references)
        (outcome,) = verify([proposal], kinds=KINDS, runner=self.executor, step=0)
        return outcome
