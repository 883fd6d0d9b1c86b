"""Absolute Zero: a policy proposes tasks about programs, the executor verifies them, the policy solves them.

The attempts that measure a task's difficulty are themselves on-policy solver rollouts, and train the solver.
Source: arXiv:2505.03335, whose code samples separate attempts for training and throws these away.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from tinyzero import advantages
from tinyzero.config import Config
from tinyzero.errors import ConfigError, nearest
from tinyzero.games.metrics import diversity_metrics, round_metrics
from tinyzero.games.stopwatch import Stopwatch
from tinyzero.pool import IMPORTS, Pool, read_tasks
from tinyzero.rewards import proposer_reward, rejection_reward, solver_reward
from tinyzero.tasks import Kind
from tinyzero.tasks.batching import call_flat
from tinyzero.tasks.judging import judge_answers
from tinyzero.types import (
    Answer,
    Execution,
    Prompt,
    Proposal,
    Rejection,
    Rollout,
    Round,
    Runner,
    Sampler,
    SamplingRequest,
    Stage,
    Task,
    Verdict,
)

Funnelled = Task | Rejection


class AbsoluteZero:
    """Plays rounds, and keeps the pool of verified tasks between them."""

    def __init__(
        self, config: Config, *, sampler: Sampler, executor: Runner, kinds: Mapping[str, Kind]
    ) -> None:
        """Start with a pool of the kinds' seeds. Raises ConfigError for a kind that is not in `kinds`."""
        self.config = config
        self.sampler = sampler
        self.executor = executor
        self.kinds = choose_kinds(config.selfplay.kinds, kinds)
        self.pool = Pool(config.pool, (seed for kind in self.kinds.values() for seed in kind.seeds()))

    def play(self, step: int) -> Round:
        """Propose P tasks, verify them, attempt each of the T that survive G times, score everything."""
        watch = Stopwatch()
        with watch("propose"):
            references = self.draw_references(step)  # [P][K]
            answers = self.propose(references, step)  # [P]
        with watch("verify"):
            outcomes = self.verify(answers, references, step)  # [P]
        tasks = [outcome for outcome in outcomes if isinstance(outcome, Task)]  # [T]
        with watch("solve"):
            attempts = self.solve(tasks, step)  # [T][G]
        with watch("judge"):
            verdicts = self.judge(tasks, attempts)  # [T][G]
        rollouts = self.score(answers, outcomes, tasks, attempts, verdicts)
        return Round(
            rollouts=rollouts,
            advantages=advantages.estimate(rollouts, self.config.advantages),
            new_tasks=tasks,
            metrics={
                **round_metrics(rollouts),
                **diversity_metrics(tasks),
                "pool/size": float(len(self.pool)),
            },
            seconds=watch.seconds,
        )

    def draw_references(self, step: int) -> list[list[Task]]:
        """For each of the P proposals, the earlier tasks that it is shown: K, or as many as fit."""
        return [
            self._that_fit(
                self.kinds[kind],
                self.kinds[kind].draw_references(
                    self.pool,
                    self.config.selfplay.references,
                    Random(f"{self.config.run.seed}/{step}/refs/{i}"),
                ),
            )
            for i, kind in enumerate(self.kinds_in_turn(step))
        ]

    def _that_fit(self, kind: Kind, references: Sequence[Task]) -> list[Task]:
        shown = list(references)
        while len(shown) > 1 and not self.sampler.fits(kind.propose_prompt(shown, self.config.prompts.style)):
            shown.pop()
        return shown

    def kinds_in_turn(self, step: int) -> list[str]:
        """The kind of each of the P proposals; a remainder goes round from step to step."""
        names, count = list(self.kinds), self.config.selfplay.proposals_per_step
        return [names[(step * count + i) % len(names)] for i in range(count)]

    def propose(self, references: Sequence[Sequence[Task]], step: int) -> list[Answer]:
        prompts = [
            self.kinds[kind].propose_prompt(shown, self.config.prompts.style)
            for kind, shown in zip(self.kinds_in_turn(step), references, strict=True)
        ]
        budget = self.config.selfplay.proposal_tokens
        groups = self._sample(prompts, num_samples=1, max_tokens=budget, stream=f"{step}/propose")
        return [answer for group in groups for answer in group]

    def verify(
        self, answers: Sequence[Answer], references: Sequence[Sequence[Task]], step: int
    ) -> list[Funnelled]:
        """Send proposals through the funnel; what comes out as a task is in the pool."""
        max_chars = self.config.pool.max_program_chars
        proposals = [
            self.kinds[answer.prompt.kind].parse_proposal(answer.text, shown, max_program_chars=max_chars)
            for answer, shown in zip(answers, references, strict=True)
        ]
        jobs = [
            self.kinds[proposal.kind].proposal_jobs(proposal) if isinstance(proposal, Proposal) else ()
            for proposal in proposals
        ]
        executions = call_flat(self.executor.run_jobs, jobs)  # [P][jobs][inputs]
        return [
            self._admit(proposal, runs, step) if isinstance(proposal, Proposal) else proposal
            for proposal, runs in zip(proposals, executions, strict=True)
        ]

    def _admit(self, proposal: Proposal, executions: Sequence[Sequence[Execution]], step: int) -> Funnelled:
        outcome = self.kinds[proposal.kind].accept(proposal, executions, step)
        if isinstance(outcome, Rejection):
            return outcome
        if not self._can_be_shown(outcome):
            return Rejection(stage=Stage.ALLOWED, detail="too long for sampling.max_prompt_tokens")
        if not self.pool.add(outcome):
            return Rejection(stage=Stage.NEW, detail="the pool holds this task already")
        return outcome

    def _can_be_shown(self, task: Task) -> bool:
        """Whether it fits the solver's prompt and, as the only reference, a proposer's of any kind."""
        style = self.config.prompts.style
        solve = self.kinds[task.kind].solve_prompt(task, style)
        propose = [kind.propose_prompt([task], style) for kind in self.kinds.values()]
        return all(self.sampler.fits(prompt) for prompt in (solve, *propose))

    def solve(self, tasks: Sequence[Task], step: int) -> list[list[Answer]]:
        prompts = [self.kinds[task.kind].solve_prompt(task, self.config.prompts.style) for task in tasks]
        selfplay = self.config.selfplay
        return self._sample(
            prompts,
            num_samples=selfplay.attempts,
            max_tokens=selfplay.answer_tokens,
            stream=f"{step}/solve",
        )

    def judge(self, tasks: Sequence[Task], attempts: Sequence[Sequence[Answer]]) -> list[list[Verdict]]:
        texts = [[answer.text for answer in group] for group in attempts]
        return judge_answers(tasks, texts, kinds=self.kinds, runner=self.executor)

    def score(
        self,
        answers: Sequence[Answer],
        outcomes: Sequence[Funnelled],
        tasks: Sequence[Task],
        attempts: Sequence[Sequence[Answer]],
        verdicts: Sequence[Sequence[Verdict]],
    ) -> list[Rollout]:
        """Reward proposals by what their tasks did to the solver, and attempts by their verdicts."""
        solve_rates = {
            task.id: sum(verdict.is_correct for verdict in group) / len(group)
            for task, group in zip(tasks, verdicts, strict=True)
        }
        proposed = [
            self._score_proposal(answer, outcome, solve_rates)
            for answer, outcome in zip(answers, outcomes, strict=True)
        ]
        attempted = [
            Rollout(
                answer=answer,
                reward=solver_reward(verdict, self.config.rewards),
                task_id=task.id,
                verdict=verdict,
            )
            for task, group, judged in zip(tasks, attempts, verdicts, strict=True)
            for answer, verdict in zip(group, judged, strict=True)
        ]
        return proposed + attempted

    def _score_proposal(
        self, answer: Answer, outcome: Funnelled, solve_rates: Mapping[str, float]
    ) -> Rollout:
        if isinstance(outcome, Rejection):
            reward = rejection_reward(outcome, self.config.rewards)
            return Rollout(answer=answer, reward=reward, rejection=outcome)
        return Rollout(answer=answer, reward=proposer_reward(solve_rates[outcome.id]), task_id=outcome.id)

    def _sample(
        self, prompts: Sequence[Prompt], *, num_samples: int, max_tokens: int, stream: str
    ) -> list[list[Answer]]:
        if not prompts:
            return []
        request = SamplingRequest(
            prompts=tuple(prompts),
            num_samples=num_samples,
            max_tokens=max_tokens,
            temperature=self.config.sampling.temperature,
            stream=stream,
        )
        return [
            [Answer(prompt=prompt, completion=completion) for completion in group]
            for prompt, group in zip(prompts, self.sampler.sample(request), strict=True)
        ]

    def save(self, folder: Path) -> None:
        self.pool.save(folder)

    def load(self, folder: Path) -> None:
        """The saved pool, and what a person imported into it, where that fits this run's prompts."""
        self.pool.load(folder)
        if (folder / IMPORTS).exists():
            for task in read_tasks(folder / IMPORTS):
                if task.kind in self.kinds and self._can_be_shown(task):
                    self.pool.add(task)


def choose_kinds(names: Sequence[str], kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    unknown = next((name for name in names if name not in kinds), None)
    if unknown is not None:
        raise ConfigError(
            f"selfplay.kinds names {unknown!r}, which is none of {', '.join(kinds)}{nearest(unknown, kinds)}"
        )
    return {name: kinds[name] for name in names}
