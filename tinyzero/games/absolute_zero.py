"""Absolute Zero: a policy proposes tasks about programs, the executor verifies them, the policy solves them.

The attempts that measure a task's difficulty are themselves on-policy solver rollouts, and train the solver.
Source: arXiv:2505.03335, whose code samples separate attempts for training and throws these away;
`selfplay.separate_solver_batch` does that too.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from tinyzero import advantages
from tinyzero.config import Config
from tinyzero.errors import CheckpointError, ConfigError, nearest
from tinyzero.games.asking import ask
from tinyzero.games.briefs import Brief, draw_briefs, kinds_in_turn
from tinyzero.games.metrics import diversity_metrics, round_metrics
from tinyzero.games.pool_metrics import pool_metrics, replay_metrics, term_metrics
from tinyzero.games.recheck import recheck
from tinyzero.games.scoring import Admitted, Attempted, score_attempts, score_proposals
from tinyzero.games.stopwatch import Stopwatch
from tinyzero.pool import IMPORTS, Pool, read_tasks
from tinyzero.rewards import BONUSES, Bonus, Proposed, bonus_terms, choose_bonuses
from tinyzero.tasks import Kind
from tinyzero.tasks.judging import judge_answers, verify
from tinyzero.tasks.similarity import novelty
from tinyzero.types import (
    Answer,
    Prompt,
    Rejection,
    Round,
    Runner,
    Sampler,
    Stage,
    Task,
)

Funnelled = Admitted | Rejection
_PROGRESS = "game.json"
SEEDING_ROUNDS = 40
"""Rounds of proposing without learning; a pool still short of `pool.seed_tasks` after them has to do."""


class AbsoluteZero:
    """Plays rounds, and keeps the pool of verified tasks between them."""

    def __init__(
        self,
        config: Config,
        *,
        sampler: Sampler,
        executor: Runner,
        kinds: Mapping[str, Kind],
        bonuses: Mapping[str, Bonus] = BONUSES,
    ) -> None:
        """Start with a pool of the kinds' seeds. Raises ConfigError for an unknown kind or bonus."""
        self.config = config
        self.sampler = sampler
        self.executor = executor
        self.kinds = choose_kinds(config.selfplay.kinds, kinds)
        self.bonuses = choose_bonuses(config.rewards.bonuses, bonuses)
        self.pool = Pool(config.pool, (seed for kind in self.kinds.values() for seed in kind.seeds()))
        self.rounds_prepared = 0

    def prepare(self, step: int) -> Iterator[tuple[int, int]]:
        """Before the first step: let the model propose, and learn nothing, until the pool is large enough.

        Yields:
            After every round, how many tasks the pool holds and how many it should.
        """
        wanted = self.config.pool.seed_tasks if step == 0 else 0
        while len(self.pool) < wanted and self.rounds_prepared < SEEDING_ROUNDS:
            briefs = self.draw_briefs(self.rounds_prepared, purpose="seeding/")
            answers = self.propose(briefs, f"seeding/{self.rounds_prepared}")
            self.verify(answers, briefs, step=0)
            self.rounds_prepared += 1
            yield len(self.pool), wanted

    def play(self, step: int) -> Round:
        """Propose P tasks, verify them, attempt each of the T that survive G times, score everything."""
        watch, num_dropped = Stopwatch(), self.pool.num_dropped
        seeded = self.pool.grown() if step == 0 else []
        with watch("verify"):
            drifted = self._recheck(step)
        old = self.draw_old(step)  # before new ones come in
        with watch("propose"):
            briefs = self.draw_briefs(step)  # [P]
            answers = self.propose(briefs, f"{step}/propose")  # [P]
        with watch("verify"):
            outcomes = self.verify(answers, briefs, step)  # [P]
        new = [outcome.task for outcome in outcomes if isinstance(outcome, Admitted)]  # [T]
        with watch("solve"):
            answers_to_new = self.solve(new, self.config.selfplay.attempts, f"{step}/solve")  # [T][G]
            answers_to_old = self.solve(old, self._attempts_at_old, f"{step}/replay")
        with watch("judge"):
            attempted = self.judge([*new, *old], [*answers_to_new, *answers_to_old])
        self._remember(attempted, step)
        at_new, at_old = attempted[: len(new)], attempted[len(new) :]
        played = self._score(answers, outcomes, at_new, at_old)
        dropped = self.pool.num_dropped - num_dropped
        counted = pool_metrics(self.pool, new, dropped=dropped, drifted=drifted)
        return replace(
            played,
            new_tasks=[*seeded, *new],
            metrics={**played.metrics, **counted},
            seconds=watch.seconds,
        )

    def draw_old(self, step: int) -> list[Task]:
        """Earlier tasks to attempt: those to replay, or a solver batch of its own."""
        selfplay, rng = self.config.selfplay, self._rng(f"{step}/replay")
        if not selfplay.separate_solver_batch:
            return self.pool.mixed(selfplay.replays_per_step, rng, kinds=self.kinds)
        in_turn = Counter(kinds_in_turn(list(self.kinds), step, selfplay.proposals_per_step))
        return [
            task
            for kind, count in in_turn.items()
            for task in self.pool.newest(count, rng, kinds=[kind], since=step - 1)
        ]

    @property
    def _attempts_at_old(self) -> int:
        return 1 if self.config.selfplay.separate_solver_batch else self.config.selfplay.attempts

    def draw_briefs(self, turn: int, purpose: str = "") -> list[Brief]:
        """What each of the P proposers is given."""
        return draw_briefs(
            turn, purpose, kinds=self.kinds, pool=self.pool, config=self.config, fits=self.sampler.fits
        )

    def propose(self, briefs: Sequence[Brief], stream: str) -> list[Answer]:
        prompts = [brief.prompt(self.config.prompts.style) for brief in briefs]
        budget = self.config.selfplay.proposal_tokens
        groups = self._sample(prompts, num_samples=1, max_tokens=budget, stream=stream)
        return [answer for group in groups for answer in group]

    def verify(self, answers: Sequence[Answer], briefs: Sequence[Brief], step: int) -> list[Funnelled]:
        """Send proposals through the funnel; what comes out as a task is in the pool."""
        max_chars = self.config.pool.max_program_chars
        proposals = [
            brief.read(answer.text, max_chars) for answer, brief in zip(answers, briefs, strict=True)
        ]
        outcomes = verify(proposals, kinds=self.kinds, runner=self.executor, step=step)  # [P]
        return [
            outcome if isinstance(outcome, Rejection) else self._admit(outcome, answer, brief)
            for outcome, answer, brief in zip(outcomes, answers, briefs, strict=True)
        ]

    def _admit(self, verified: Task, answer: Answer, brief: Brief) -> Funnelled:
        task = replace(verified, author=answer.completion.policy)
        if not self._can_be_shown(task):
            return Rejection(stage=Stage.ALLOWED, detail="too long for sampling.max_prompt_tokens")
        if not self.pool.add(task):
            return Rejection(stage=Stage.NEW, detail="the pool holds a task like it", shape=task.shape)
        return Admitted(task=task, bonuses=self._bonuses(task, brief) if self.bonuses else {})

    def _bonuses(self, task: Task, brief: Brief) -> dict[str, float]:
        shown = [reference.program for reference in brief.references if reference.kind == task.kind]
        proposed = Proposed(
            task=task,
            novelty=min(self.pool.entry(task.id).novelty, novelty(task.program, shown)),
            references=brief.references,
            peers=[peer for peer in self.pool.tasks(task.kind) if peer.id != task.id],
        )
        return bonus_terms(proposed, self.bonuses)

    def _can_be_shown(self, task: Task) -> bool:
        """Whether it fits the solver's prompt and, as the only reference, a proposer's of any kind."""
        style = self.config.prompts.style
        solve = self.kinds[task.kind].solve_prompt(task, style)
        propose = [kind.propose_prompt([task], style) for kind in self.kinds.values()]
        return all(self.sampler.fits(prompt) for prompt in (solve, *propose))

    def _recheck(self, step: int) -> int:
        share, rng = self.config.pool.recheck_share, self._rng(f"{step}/recheck")
        return recheck(self.pool, self.kinds, self.executor, share=share, rng=rng)

    def solve(self, tasks: Sequence[Task], attempts: int, stream: str) -> list[list[Answer]]:
        prompts = [self.kinds[task.kind].solve_prompt(task, self.config.prompts.style) for task in tasks]
        budget = self.config.selfplay.answer_tokens
        return self._sample(prompts, num_samples=attempts, max_tokens=budget, stream=stream)

    def judge(self, tasks: Sequence[Task], answers: Sequence[Sequence[Answer]]) -> list[Attempted]:
        texts = [[answer.text for answer in group] for group in answers]
        verdicts = judge_answers(tasks, texts, kinds=self.kinds, runner=self.executor)
        return [
            Attempted(task=task, answers=group, verdicts=judged)
            for task, group, judged in zip(tasks, answers, verdicts, strict=True)
        ]

    def _remember(self, attempted: Sequence[Attempted], step: int) -> None:
        for one in attempted:
            self.pool.note_attempts(
                one.task.id, step=step, correct=one.num_correct, attempts=len(one.verdicts)
            )

    def _score(
        self,
        answers: Sequence[Answer],
        outcomes: Sequence[Funnelled],
        at_new: Sequence[Attempted],
        at_old: Sequence[Attempted],
    ) -> Round:
        rewards = self.config.rewards
        proposed = score_proposals(answers, outcomes, at_new, rewards)
        on_new, on_old = score_attempts(at_new, rewards), score_attempts(at_old, rewards)
        is_separate = self.config.selfplay.separate_solver_batch
        rollouts = [*proposed, *([] if is_separate else on_new), *on_old]
        return Round(
            rollouts=rollouts,
            advantages=advantages.estimate(rollouts, self.config.advantages),
            untrained=on_new if is_separate else [],
            new_tasks=[one.task for one in at_new],
            replayed_tasks=[one.task for one in at_old],
            metrics={
                **round_metrics([*proposed, *on_new]),
                **diversity_metrics([one.task for one in at_new], repeated_shapes(outcomes)),
                **term_metrics([*proposed, *on_new]),
                **replay_metrics(at_old, on_old),
            },
            seconds={},
        )

    def _sample(
        self, prompts: Sequence[Prompt], *, num_samples: int, max_tokens: int, stream: str
    ) -> list[list[Answer]]:
        return ask(
            self.sampler,
            prompts,
            num_samples=num_samples,
            max_tokens=max_tokens,
            stream=stream,
            temperature=self.config.sampling.temperature,
        )

    def _rng(self, purpose: str) -> Random:
        return Random(f"{self.config.run.seed}/{purpose}")

    def save(self, folder: Path) -> None:
        self.pool.save(folder)
        (folder / _PROGRESS).write_text(json.dumps({"rounds_prepared": self.rounds_prepared}))

    def load(self, folder: Path) -> None:
        """The saved pool, and what a person imported into it, where that fits this run's prompts."""
        self.pool.load(folder)
        self.rounds_prepared = _read_progress(folder / _PROGRESS)
        if (folder / IMPORTS).exists():
            for task in read_tasks(folder / IMPORTS):
                if task.kind in self.kinds and self._can_be_shown(task):
                    self.pool.add(task)


def repeated_shapes(outcomes: Sequence[Funnelled]) -> list[str]:
    """Shapes of the programs that were sound, and no news."""
    return [outcome.shape for outcome in outcomes if isinstance(outcome, Rejection) and outcome.shape]


def _read_progress(path: Path) -> int:
    """Rounds that a saved game had prepared; none where it left no word. Raises CheckpointError."""
    if not path.exists():
        return 0
    try:
        return int(json.loads(path.read_text())["rounds_prepared"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"cannot read the game's progress in {path}: {error}") from error


def choose_kinds(names: Sequence[str], kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    unknown = next((name for name in names if name not in kinds), None)
    if unknown is not None:
        raise ConfigError(
            f"selfplay.kinds names {unknown!r}, which is none of {', '.join(kinds)}{nearest(unknown, kinds)}"
        )
    return {name: kinds[name] for name in names}
