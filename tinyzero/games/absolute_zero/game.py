"""Absolute Zero: a policy proposes tasks about programs, the executor verifies them, the policy solves them.

The attempts that measure a task's difficulty are on-policy solver rollouts, and they train the solver.
Source: arXiv:2505.03335. Its code discards these attempts and samples separate ones for training;
`selfplay.separate_solver_batch` does that too.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from random import Random
from typing import TypeAlias

from tinyzero.config import Config
from tinyzero.errors import CheckpointError, ConfigError, nearest
from tinyzero.foreign import read_json_object
from tinyzero.games import advantages
from tinyzero.games.absolute_zero.briefs import Brief, draw_briefs, kinds_in_turn
from tinyzero.games.absolute_zero.pool_metrics import pool_metrics, replay_metrics
from tinyzero.games.absolute_zero.rewards import (
    BONUSES,
    Admitted,
    Bonus,
    Proposed,
    bonus_terms,
    choose_bonuses,
    score_proposals,
)
from tinyzero.games.attempts import Attempted, Stopwatch, ask, join_attempts, score_attempts
from tinyzero.games.metrics import diversity_metrics, round_metrics, term_metrics
from tinyzero.tasks.base import Kind
from tinyzero.tasks.judging import judge_answers, verify
from tinyzero.tasks.pool.pool import IMPORTS, Pool, read_tasks
from tinyzero.tasks.similarity import novelty
from tinyzero.types import (
    Answer,
    Preparation,
    Proposal,
    Rejection,
    Role,
    Rollout,
    Round,
    Runner,
    Sampler,
    Stage,
    Task,
)

_MAX_RECHECKS = 8
"""Maximum number of tasks checked in a step."""


def _recheck(pool: Pool, kinds: Mapping[str, Kind], runner: Runner, *, share: float, rng: Random) -> int:
    """Send some tasks through the funnel again. Returns how many were dropped.

    Args:
        share: share of the pool to check, in [0, 1].
    """
    tasks = [
        task for task in pool.any(min(_MAX_RECHECKS, ceil(share * len(pool))), rng) if task.kind in kinds
    ]
    outcomes = verify([_proposal_of(task) for task in tasks], kinds=kinds, runner=runner, step=0)
    drifted = [task for task, outcome in zip(tasks, outcomes, strict=True) if _has_drifted(task, outcome)]
    for task in drifted:
        pool.remove(task.id)
    return len(drifted)


def _proposal_of(task: Task) -> Proposal:
    return Proposal(
        kind=task.kind, program=task.program, inputs=task.inputs, message=task.message, parents=task.parents
    )


def _has_drifted(task: Task, outcome: Task | Rejection) -> bool:
    return isinstance(outcome, Rejection) or outcome.outputs != task.outputs


_Funnelled: TypeAlias = Admitted | Rejection
_PROGRESS = "game.json"
SEEDING_ROUNDS = 40
"""Maximum number of seeding rounds. After them training starts, even with fewer than `pool.seed_tasks`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The proposer's answer, with the brief behind its prompt."""

    brief: Brief
    answer: Answer


class AbsoluteZero:
    """Plays rounds and keeps the pool of verified tasks between rounds."""

    def __init__(
        self,
        config: Config,
        *,
        sampler: Sampler,
        executor: Runner,
        kinds: Mapping[str, Kind],
        bonuses: Mapping[str, Bonus] = BONUSES,
    ) -> None:
        """Start with a pool of all kinds' seeds. Raises ConfigError for an unknown kind or bonus."""
        self.config = config
        self.sampler = sampler
        self.executor = executor
        self.kinds = choose_kinds(config.selfplay.kinds, kinds)
        self.bonuses = choose_bonuses(config.rewards.bonuses, bonuses)
        self.pool = Pool(config.pool, (seed for kind in self.kinds.values() for seed in kind.seeds()))
        self.rounds_prepared = 0

    def prepare(self, step: int) -> Iterator[Preparation]:
        """Before the first step: the model proposes, without learning, until the pool is large enough.

        Yields:
            After every round: how many tasks the pool holds, and the target.
        """
        target = self.config.pool.seed_tasks if step == 0 else 0
        while len(self.pool) < target and self.rounds_prepared < SEEDING_ROUNDS:
            drafts = self.propose(self.rounds_prepared, f"seeding/{self.rounds_prepared}", purpose="seeding/")
            self.verify(drafts, step=0)
            self.rounds_prepared += 1
            yield Preparation(what="tasks", done=len(self.pool), total=target)

    def play(self, step: int) -> Round:
        """Propose P tasks, verify them, attempt each of the T verified tasks G times, score everything."""
        watch, rewards, dropped_before = Stopwatch(), self.config.rewards, self.pool.num_dropped
        seeded = self.pool.grown() if step == 0 else []
        share, rng = self.config.pool.recheck_share, self._rng(f"{step}/_recheck")
        with watch("verify"):
            num_drifted = _recheck(self.pool, self.kinds, self.executor, share=share, rng=rng)
        earlier_tasks = self.draw_earlier(step)  # before this step's tasks enter the pool
        with watch("propose"):
            drafts = self.propose(step, f"{step}/propose")  # [P]
        with watch("verify"):
            outcomes = self.verify(drafts, step)  # [P]
        new_tasks = [outcome.task for outcome in outcomes if isinstance(outcome, Admitted)]  # [T]
        attempted, replayed = self._attempt(new_tasks, earlier_tasks, step, watch)
        proposals = score_proposals([draft.answer for draft in drafts], outcomes, attempted, rewards)
        attempts, replays = score_attempts(attempted, rewards), score_attempts(replayed, rewards)
        num_dropped = self.pool.num_dropped - dropped_before
        is_separate = self.config.selfplay.separate_solver_batch
        rollouts: list[Rollout] = [*proposals, *([] if is_separate else attempts), *replays]
        return Round(
            rollouts=rollouts,
            advantages=advantages.estimate(
                rollouts, self.config.advantages, siblings=self.config.selfplay.siblings
            ),
            untrained=attempts if is_separate else [],
            new_tasks=[*seeded, *new_tasks],
            replayed_tasks=earlier_tasks,
            metrics={
                **round_metrics(proposals, attempts),
                **diversity_metrics(new_tasks, repeated_shapes(outcomes)),
                **term_metrics([*proposals, *attempts]),
                **replay_metrics(replayed, replays),
                **pool_metrics(self.pool, new_tasks, num_dropped=num_dropped, num_drifted=num_drifted),
            },
            seconds=watch.seconds,
        )

    def draw_earlier(self, step: int) -> list[Task]:
        """Earlier tasks to attempt: tasks to replay, or the separate solver batch."""
        selfplay, rng = self.config.selfplay, self._rng(f"{step}/replay")
        if not selfplay.separate_solver_batch:
            return self.pool.mixed(selfplay.replays_per_step, rng, kinds=self.kinds)
        in_turn = Counter(kinds_in_turn(list(self.kinds), step, selfplay.proposals_per_step))
        return [
            task
            for kind, count in in_turn.items()
            for task in self.pool.newest(count, rng, kinds=[kind], since=step - 1)
        ]

    def propose(self, turn: int, stream: str, *, purpose: str = "") -> list[Draft]:
        """P answers of the proposer, not parsed yet; see `draw_briefs` for turn and purpose."""
        briefs = draw_briefs(
            turn, purpose, kinds=self.kinds, pool=self.pool, config=self.config, fits=self.sampler.fits
        )
        groups = ask(
            self.sampler,
            Role.PROPOSER,
            [brief.prompt(self.config.prompts.style) for brief in briefs],
            num_samples=self.config.selfplay.siblings,
            max_tokens=self.config.selfplay.proposal_tokens,
            stream=stream,
            temperature=self.config.sampling.temperature,
        )
        return [
            Draft(brief=brief, answer=answer)
            for brief, siblings in zip(briefs, groups, strict=True)
            for answer in siblings
        ]

    def verify(self, drafts: Sequence[Draft], step: int) -> list[_Funnelled]:
        """Send proposals through the funnel and add the resulting tasks to the pool."""
        max_chars = self.config.pool.max_program_chars
        proposals = [draft.brief.read(draft.answer.text, max_chars) for draft in drafts]
        outcomes = verify(proposals, kinds=self.kinds, runner=self.executor, step=step)  # [P]
        return [
            outcome if isinstance(outcome, Rejection) else self._admit(outcome, draft)
            for outcome, draft in zip(outcomes, drafts, strict=True)
        ]

    def _admit(self, verified: Task, draft: Draft) -> _Funnelled:
        task = replace(verified, author=draft.answer.completion.policy)
        if not self._can_be_shown(task):
            return Rejection(stage=Stage.ALLOWED, detail="too long for sampling.max_prompt_tokens")
        if not self.pool.add(task):
            return Rejection(stage=Stage.NEW, detail="the pool holds a task like it", shape=task.shape)
        return Admitted(task=task, bonuses=self._bonuses(task, draft.brief) if self.bonuses else {})

    def _bonuses(self, task: Task, brief: Brief) -> dict[str, float]:
        references = [reference.program for reference in brief.references if reference.kind == task.kind]
        proposed = Proposed(
            task=task,
            novelty=min(self.pool.entry(task.id).novelty, novelty(task.program, references)),
            references=brief.references,
            peers=[peer for peer in self.pool.tasks(task.kind) if peer.id != task.id],
        )
        return bonus_terms(proposed, self.bonuses)

    def _can_be_shown(self, task: Task) -> bool:
        """Whether a task fits a solver prompt and, as the only reference, every kind's proposer prompt."""
        style = self.config.prompts.style
        solve = self.kinds[task.kind].solve_prompt(task, style)
        propose = [kind.propose_prompt([task], style) for kind in self.kinds.values()]
        return all(self.sampler.fits(prompt) for prompt in (solve, *propose))

    def _attempt(
        self, new_tasks: Sequence[Task], earlier_tasks: Sequence[Task], step: int, watch: Stopwatch
    ) -> tuple[list[Attempted], list[Attempted]]:
        """Attempt the new and the earlier tasks, judge the answers, and record the results in the pool."""
        selfplay = self.config.selfplay
        with watch("solve"):
            answers = self.solve(new_tasks, selfplay.attempts, f"{step}/solve")  # [T][G]
            replays = 1 if selfplay.separate_solver_batch else selfplay.attempts
            answers += self.solve(earlier_tasks, replays, f"{step}/replay")
        tasks = [*new_tasks, *earlier_tasks]
        with watch("judge"):
            texts = [[answer.text for answer in group] for group in answers]
            verdicts = judge_answers(tasks, texts, kinds=self.kinds, runner=self.executor)
        attempted = join_attempts(tasks, answers, verdicts)
        for item in attempted:
            correct, attempts = item.num_correct, len(item.verdicts)
            self.pool.note_attempts(item.task.id, step=step, correct=correct, attempts=attempts)
        return attempted[: len(new_tasks)], attempted[len(new_tasks) :]

    def solve(self, tasks: Sequence[Task], attempts: int, stream: str) -> list[list[Answer]]:
        """Sample `attempts` answers to each task."""
        return ask(
            self.sampler,
            Role.SOLVER,
            [self.kinds[task.kind].solve_prompt(task, self.config.prompts.style) for task in tasks],
            num_samples=attempts,
            max_tokens=self.config.selfplay.answer_tokens,
            stream=stream,
            temperature=self.config.sampling.temperature,
        )

    def _rng(self, purpose: str) -> Random:
        return Random(f"{self.config.run.seed}/{purpose}")

    def save(self, folder: Path) -> None:
        self.pool.save(folder)
        (folder / _PROGRESS).write_text(json.dumps({"rounds_prepared": self.rounds_prepared}))

    def load(self, folder: Path) -> None:
        """Load the saved pool, and add the imported tasks that fit this run's prompts."""
        self.pool.load(folder)
        self.rounds_prepared = _read_progress(folder / _PROGRESS)
        if (folder / IMPORTS).exists():
            for task in read_tasks(folder / IMPORTS):
                if task.kind in self.kinds and self._can_be_shown(task):
                    self.pool.add(task)


def repeated_shapes(outcomes: Sequence[_Funnelled]) -> list[str]:
    """Shapes of valid programs that were rejected because the pool already holds a task like them."""
    return [outcome.shape for outcome in outcomes if isinstance(outcome, Rejection) and outcome.shape]


def _read_progress(path: Path) -> int:
    """Number of rounds that a saved game had prepared; 0 without a file. Raises CheckpointError."""
    if not path.exists():
        return 0
    try:
        return int(read_json_object(path)["rounds_prepared"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"cannot read the game's progress in {path}: {error}") from error


def choose_kinds(names: Sequence[str], kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    unknown = next((name for name in names if name not in kinds), None)
    if unknown is not None:
        raise ConfigError(
            f"selfplay.kinds names {unknown!r}, which is none of {', '.join(kinds)}{nearest(unknown, kinds)}"
        )
    return {name: kinds[name] for name in names}
