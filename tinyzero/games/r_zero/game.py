"""R-Zero: a challenger writes questions that the solver is unsure of; the solver learns from its majority.

They take turns on one frozen base model. In its turn, the challenger is rewarded for questions whose most
frequent answer has a share near one half. Then it writes a set of questions; those of medium difficulty are
kept, with that answer as label. In its own turn, the solver learns from them.
Source: arXiv:2508.05004, which trains two full models on eight cards. Its code differs from it in places:
docs/r-zero.md.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from tinyzero.config import Config
from tinyzero.games import advantages
from tinyzero.games.attempts import Stopwatch, ask, join_attempts
from tinyzero.games.metrics import length_metrics, solver_metrics, term_metrics
from tinyzero.games.r_zero.question import QUESTION
from tinyzero.games.r_zero.question_set import QuestionSet, labelled
from tinyzero.games.r_zero.reading import QuestionReader, check_readable
from tinyzero.games.r_zero.scoring import (
    ROUNDING,
    challenge_metrics,
    repetition,
    score_answers,
    score_questions,
    set_metrics,
    weighted,
)
from tinyzero.games.r_zero.survey import Survey, against_labels, survey, survey_metrics
from tinyzero.games.r_zero.truth import answer_metrics, fresh_metrics
from tinyzero.tasks.pool.pool import IMPORTS, read_tasks
from tinyzero.types import (
    Answer,
    AttemptRollout,
    Comparer,
    Preparation,
    Rejection,
    RewardBreakdown,
    Role,
    Round,
    Runner,
    Sampler,
    Task,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The position of a step.

    Attributes:
        turn: number of solver turns before this one. step_of_turn: index of the step in its turn, from 0.
    """

    is_challenger: bool
    turn: int
    step_of_turn: int


class RZero:
    """Plays steps, and keeps the questions of the solver's turn between steps."""

    def __init__(
        self, config: Config, *, sampler: Sampler, comparer: Comparer, runner: Runner | None = None
    ) -> None:
        """Start without questions.

        Args:
            runner: runs the programs of `r_zero.domain = "programs"`, which needs one.
        """
        self.config = config
        self.sampler = sampler
        self.comparer = comparer
        self.choose_label: Callable[[Survey], str] = attrgetter("label")
        """The label of a question that is kept, from the answers to it; empty for none."""
        self.questions = QuestionSet()
        self._reader = QuestionReader(config, sampler=sampler, runner=runner)
        self._num_undecided = 0

    def place_of(self, step: int) -> Place:
        """Whose turn the step is in: first the challenger's, then the solver's, and so on."""
        r_zero = self.config.r_zero
        first = r_zero.challenger_steps if self.config.selfplay.train_proposer else 0
        turn, place_in_turn = divmod(step, first + r_zero.solver_steps)
        is_challenger = place_in_turn < first
        return Place(
            is_challenger=is_challenger,
            turn=turn,
            step_of_turn=place_in_turn if is_challenger else place_in_turn - first,
        )

    def prepare(self, step: int) -> Iterator[Preparation]:
        """Before a solver's step: the challenger writes questions until the turn has its set.

        If the set holds too few questions for the batch of one step, every step writes one more round.

        Yields:
            Before and after every round: how many questions are written, and the target.
        """
        place = self.place_of(step)
        if place.is_challenger:
            return
        self.questions.begin(place.turn)
        if self.questions.num_written < self.config.r_zero.questions:
            yield from self._write(step, self.config.r_zero.questions)
        is_short = len(self.questions.kept) < self.config.r_zero.questions_per_step
        if is_short and self.questions.extended_at != step:
            yield from self._write(
                step, self.questions.num_written + self.config.selfplay.proposals_per_step, is_extra=True
            )

    def _write(self, step: int, total: int, *, is_extra: bool = False) -> Iterator[Preparation]:
        yield Preparation(what="questions", done=self.questions.num_written, total=total)
        while self.questions.num_written < total:
            if is_extra:
                self.questions.extended_at = step
            self._write_round(step, total - self.questions.num_written)
            yield Preparation(what="questions", done=self.questions.num_written, total=total)

    def _write_round(self, step: int, max_count: int) -> None:
        """Write questions, label them, and keep those that the solver can learn from."""
        stream = f"questions/{self.questions.turn}/{self.questions.rounds}"
        count = min(self.config.selfplay.proposals_per_step, max_count)
        outcomes = self._reader.read(self.write(count, stream), step)
        surveys = self.survey(_distinct(outcomes), f"{stream}/label")
        check_readable(self.questions.seen, outcomes, surveys, self.config, step=step)
        self.questions.tally.add(surveys)
        labels = {
            survey.task.id: (labelled(survey.task, label), survey.share)
            for survey in surveys
            if self.teaches(survey) and (label := self.choose_label(survey))
        }
        self.questions.add(labels, num_written=count)

    def play(self, step: int) -> Round:
        """Play the challenger's or the solver's step, by turn; the challenger's while no question is kept."""
        place = self.place_of(step)
        if place.is_challenger or not self.questions.kept:
            return self.challenge(step)
        return self.solve(step, place)

    def challenge(self, step: int) -> Round:
        """Write P questions, answer each m times, and reward the questions that the solver is unsure of."""
        watch = Stopwatch()
        with watch("propose"):
            answers = self.write(self.config.selfplay.proposals_per_step, f"{step}/propose")  # [P]
            outcomes = self._reader.read(answers, step)  # [P]
        with watch("solve"):
            tasks = _distinct(outcomes)
            attempts = self.ask_solver(tasks, self.config.r_zero.label_attempts, f"{step}/survey")
        with watch("judge"):
            surveys = survey(tasks, attempts, self.comparer)
            penalties = repetition(outcomes)
        check_readable(self.questions.seen, outcomes, surveys, self.config, step=step)
        r_zero = self.config.r_zero
        proposed = score_questions(
            answers,
            outcomes,
            surveys,
            penalties,
            weight=r_zero.repetition_weight,
            min_readable=r_zero.min_readable,
        )
        measured, tasks_answered = _attempts(surveys), answered(surveys)
        new_tasks = self.questions.unreported(tasks_answered)
        return Round(
            rollouts=proposed,
            advantages=advantages.estimate(proposed, self.config.advantages),
            untrained=measured,
            new_tasks=new_tasks,
            replayed_tasks=[task for task in tasks_answered if task not in new_tasks],
            metrics={
                **challenge_metrics(proposed, outcomes, penalties),
                **survey_metrics(Role.PROPOSER, surveys),
                **fresh_metrics(surveys),
                "questions/undecided": self._newly_undecided(),
                **length_metrics(Role.SOLVER, measured),
                **term_metrics(proposed),
            },
            seconds=watch.seconds,
        )

    def solve(self, step: int, place: Place) -> Round:
        """Answer some of the turn's questions G times; an answer is right if it is the same as the label."""
        watch = Stopwatch()
        tasks = self.questions.draw(
            self.config.r_zero.questions_per_step, place.step_of_turn, self.config.run.seed
        )
        with watch("solve"):
            answers = self.ask_solver(tasks, self.config.selfplay.attempts, f"{step}/solve")
        with watch("judge"):
            verdicts = against_labels(tasks, answers, self.comparer)
            attempted = join_attempts(tasks, answers, verdicts)
            surveys = survey(tasks, answers, self.comparer)
        rollouts = score_answers(
            attempted, surveys, self.config.rewards, confidence_weight=self.config.r_zero.confidence_weight
        )
        new_tasks = self.questions.unreported(tasks)
        estimated = advantages.estimate(rollouts, self.config.advantages)
        shares = self.questions.shares if self.config.r_zero.weight_by_agreement else {}
        return Round(
            rollouts=rollouts,
            advantages=weighted(estimated, rollouts, shares),
            new_tasks=new_tasks,
            replayed_tasks=[task for task in tasks if task not in new_tasks],
            metrics={
                **solver_metrics(rollouts),
                **survey_metrics(Role.SOLVER, surveys),
                **answer_metrics(surveys, rollouts),
                "questions/undecided": self._newly_undecided(),
                **set_metrics(self.questions),
                **length_metrics(Role.SOLVER, rollouts),
                **term_metrics(rollouts),
            },
            seconds=watch.seconds,
        )

    def write(self, count: int, stream: str) -> list[Answer]:
        """Sample `count` questions of the challenger, all from the same prompt."""
        prompt = self._reader.prompt()
        (answers,) = ask(
            self.sampler,
            Role.PROPOSER,
            [prompt],
            num_samples=count,
            max_tokens=self.config.selfplay.proposal_tokens,
            stream=stream,
            temperature=self.config.sampling.temperature,
        )
        return answers

    def survey(self, tasks: Sequence[Task], stream: str) -> list[Survey]:
        """Answer each question m times and compare the answers."""
        answers = self.ask_solver(tasks, self.config.r_zero.label_attempts, stream)
        return survey(tasks, answers, self.comparer)

    def ask_solver(self, tasks: Sequence[Task], attempts: int, stream: str) -> list[list[Answer]]:
        return ask(
            self.sampler,
            Role.SOLVER,
            [QUESTION.solve_prompt(task, self.config.prompts.style) for task in tasks],
            num_samples=attempts,
            max_tokens=self.config.selfplay.answer_tokens,
            stream=stream,
            temperature=self.config.sampling.temperature,
        )

    def teaches(self, survey: Survey) -> bool:
        """Whether a question is neither too easy nor too hard, and its label is more than a guess."""
        r_zero = self.config.r_zero
        return (
            bool(survey.label)
            and abs(survey.share - 0.5) <= r_zero.max_distance + ROUNDING
            and survey.margin >= r_zero.min_margin - ROUNDING
            and survey.readable_share >= r_zero.min_readable - ROUNDING
            and survey.confidence >= r_zero.min_confidence
        )

    def _newly_undecided(self) -> float:
        """Pairs of answers that could not be compared in time, since the last call."""
        counts = (getattr(self.comparer, name, 0) for name in ("num_undecided", "num_skipped"))
        before, self._num_undecided = self._num_undecided, sum(counts)
        return float(self._num_undecided - before)

    def save(self, folder: Path) -> None:
        self.questions.save(folder)

    def load(self, folder: Path) -> None:
        """Load the saved questions, and add the imported ones that fit. Raises CheckpointError."""
        self.questions.load(folder)
        if (folder / IMPORTS).exists():
            style = self.config.prompts.style
            imports = read_tasks(folder / IMPORTS)
            self.questions.take(
                task for task in imports if self.sampler.fits(QUESTION.solve_prompt(task, style))
            )


def answered(surveys: Sequence[Survey]) -> list[Task]:
    """The questions that have a majority answer, with that answer as label."""
    return [labelled(survey.task, survey.label) for survey in surveys if survey.label]


def _distinct(outcomes: Sequence[Task | Rejection]) -> list[Task]:
    """Each question once, in the order of writing."""
    return list({outcome.id: outcome for outcome in outcomes if isinstance(outcome, Task)}.values())


def _attempts(surveys: Sequence[Survey]) -> list[AttemptRollout]:
    """Answers that only measure difficulty. They have no reward, since nothing learns from them."""
    return [
        AttemptRollout(answer=answer, reward=RewardBreakdown(), task_id=survey.task.id, verdict=verdict)
        for survey in surveys
        for answer, verdict in zip(survey.answers, survey.verdicts, strict=True)
    ]
