"""How a model does on held-out tasks: free to choose, answering at once, or after thinking; its proposals."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import torch
from transformers import PreTrainedTokenizerBase, Qwen3ForCausalLM

from nano.tasks import STYLE, references_of
from nano.thoughts import OPENING
from nano.vocabulary import encode_prompt
from tinyzero.execution import Executor
from tinyzero.tasks import KINDS
from tinyzero.tasks.judging import judge_answers, verify
from tinyzero.tasks.programs import canonical
from tinyzero.types import Prompt, Rejection, Task

Way = Literal["free", "direct", "thinking"]
WAYS: tuple[Way, ...] = ("free", "direct", "thinking")
NUM_PROPOSALS = 128
ATTEMPTS = 2
"""Sampled answers to each task."""
ANSWER_TOKENS = 200
_ROWS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer to a task: whether it is right, whether it reasons, and its length in tokens."""

    task: Task
    is_right: bool
    thinks: bool
    num_tokens: int


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

    def solve(self, tasks: Sequence[Task], way: Way, *, attempts: int) -> list[Answered]:
        """Greedy where `attempts` is 0, otherwise sampled at temperature 1."""
        copies = [task for task in tasks for _ in range(attempts or 1)]
        prompts = [KINDS[task.kind].solve_prompt(task, STYLE) for task in copies]
        written = self._write(prompts, ANSWER_TOKENS, way=way, is_greedy=attempts == 0)
        answers = [[text] for text, _ in written]
        verdicts = judge_answers(copies, answers, kinds=KINDS, runner=self.executor)
        return [
            Answered(
                task=task, is_right=verdict.is_correct, thinks=text.startswith(OPENING), num_tokens=length
            )
            for task, (verdict,), (text, length) in zip(copies, verdicts, written, strict=True)
        ]

    @torch.no_grad()
    def chance_of_thinking(self, tasks: Iterable[Task]) -> float:
        """Mean probability that an answer begins with `<think>`."""
        chances = []
        for task in tasks:
            ids = encode_prompt(self.tokenizer, KINDS[task.kind].solve_prompt(task, STYLE))
            logits = self.model(torch.tensor([ids])).logits[0, -1]
            chances.append(float(logits.softmax(-1)[self._opening_id]))
        return sum(chances) / len(chances)

    def propose(self, kind: str, *, seed: int = 0) -> ProposalScore:
        """Sampled proposals with 0 to K references, sent through the funnel."""
        rngs = [Random(f"{seed}/propose/{kind}/{index}") for index in range(NUM_PROPOSALS)]
        references = [references_of(rng, kind) for rng in rngs]
        prompts = [KINDS[kind].propose_prompt(shown, STYLE) for shown in references]
        written = self._write(prompts, 160, way="free", is_greedy=False)
        results = [
            self._verify(kind, text, shown) for (text, _), shown in zip(written, references, strict=True)
        ]
        tasks = [result for result in results if isinstance(result, Task)]
        stages: dict[str, int] = defaultdict(int)
        for result in results:
            if isinstance(result, Rejection):
                stages[result.stage] += 1
        return ProposalScore(
            valid=len(tasks),
            attempts=NUM_PROPOSALS,
            distinct_tasks=len({(canonical(task.program), task.inputs) for task in tasks}),
            distinct_shapes=len({task.shape for task in tasks}),
            stages=dict(stages),
        )

    @property
    def _opening_id(self) -> int:
        (opening,) = self.tokenizer(OPENING).input_ids
        return int(opening)

    def _write(
        self, prompts: Sequence[Prompt], max_tokens: int, *, way: Way, is_greedy: bool
    ) -> list[tuple[str, int]]:
        """A completion per prompt and its number of tokens; prompts of similar length share a batch."""
        begun = [self._opening_id] if way == "thinking" else []
        ids = [encode_prompt(self.tokenizer, prompt) + begun for prompt in prompts]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        answers = [("", 0)] * len(prompts)
        for start in range(0, len(order), _ROWS):
            chosen = order[start : start + _ROWS]
            settings = {
                "max_new_tokens": max_tokens - len(begun),
                "begin_suppress_tokens": [self._opening_id] if way == "direct" else None,
                **({"do_sample": False} if is_greedy else {"do_sample": True, "top_k": 0, "top_p": 1.0}),
            }
            completions = self._generate([ids[index] for index in chosen], settings)
            for index, completion in zip(chosen, completions, strict=True):
                answers[index] = self._text(begun + completion), len(begun) + len(completion)
        return answers

    @torch.no_grad()
    def _generate(self, rows: list[list[int]], settings: Mapping[str, object]) -> list[list[int]]:
        batch = self.tokenizer.pad({"input_ids": rows}, padding_side="left", return_tensors="pt")
        ids = self.model.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], **settings
        )
        completions = ids[:, batch["input_ids"].shape[1] :].tolist()
        return [[token for token in row if token != self.tokenizer.pad_token_id] for row in completions]

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _verify(self, kind: str, answer: str, references: Sequence[Task]) -> Task | Rejection:
        proposal = KINDS[kind].parse_proposal(answer, references)
        (outcome,) = verify([proposal], kinds=KINDS, runner=self.executor, step=0)
        return outcome
