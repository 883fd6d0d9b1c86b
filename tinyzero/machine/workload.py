"""The workload of one round, in prompts and tokens. Pure arithmetic on a configuration."""

import math
from dataclasses import dataclass

from tinyzero.config import Config

# Assumptions about a round.
VALID_SHARE = 0.5  # share of proposals that become tasks
FILLED_SHARE = 0.5  # mean share of the token budgets that prompts and completions use


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The counts of a round.

    Attributes:
        proposals, proposer_prompts: completions of the proposer, and its distinct prompts.
        tasks, answers: all tasks for the solver, and all its answers.
        trained_prompts, trained_proposals, trained_answers: those of them that train.
    """

    proposals: int
    proposer_prompts: int
    tasks: int
    answers: int
    trained_prompts: int
    trained_proposals: int
    trained_answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One round; for a game with turns, the mean round. Token numbers are per completion or prompt."""

    counts: Counts
    proposal_tokens: int
    answer_tokens: int
    prompt_tokens: int

    @property
    def trained_tokens(self) -> int:
        """Completion tokens that train."""
        counts = self.counts
        return counts.trained_proposals * self.proposal_tokens + counts.trained_answers * self.answer_tokens


def workload(config: Config) -> Workload:
    """The expected workload of a round."""
    is_r_zero = config.selfplay.game == "r-zero"
    return Workload(
        counts=_r_zero(config) if is_r_zero else _absolute_zero(config),
        proposal_tokens=round(FILLED_SHARE * config.selfplay.proposal_tokens),
        answer_tokens=round(FILLED_SHARE * config.selfplay.answer_tokens),
        prompt_tokens=round(FILLED_SHARE * config.sampling.max_prompt_tokens),
    )


def measured_answers(config: Config, num_tasks: int) -> tuple[tuple[int, int], ...]:
    """(how often, answers) of the measurements at the ends of a run, and of those on the way."""
    evaluation, steps = config.evaluation, config.run.max_steps
    few = min(evaluation.sampled_tasks or num_tasks, num_tasks)
    between = evaluation.attempts_between or evaluation.attempts
    on_the_way = (steps - 1) // evaluation.every_steps if evaluation.every_steps else 0
    return (2, num_tasks + few * evaluation.attempts), (on_the_way, few * (1 + between))


def _absolute_zero(config: Config) -> Counts:
    selfplay = config.selfplay
    num_new = max(1, round(VALID_SHARE * selfplay.proposals_per_step))
    is_separate = selfplay.separate_solver_batch
    num_earlier = selfplay.proposals_per_step if is_separate else selfplay.replays_per_step
    answers_to_earlier = num_earlier if is_separate else num_earlier * selfplay.attempts
    trained_proposals = selfplay.proposals_per_step if selfplay.train_proposer else 0
    return Counts(
        proposals=selfplay.proposals_per_step,
        proposer_prompts=selfplay.proposals_per_step // selfplay.siblings,
        tasks=num_new + num_earlier,
        answers=num_new * selfplay.attempts + answers_to_earlier,
        trained_prompts=trained_proposals + (num_earlier if is_separate else num_new + num_earlier),
        trained_proposals=trained_proposals,
        trained_answers=answers_to_earlier + (0 if is_separate else num_new * selfplay.attempts),
    )


def _r_zero(config: Config) -> Counts:
    """Means per step over a challenger's turn, the writing of a question set, and a solver's turn."""
    selfplay, r_zero = config.selfplay, config.r_zero
    challenges = r_zero.challenger_steps if selfplay.train_proposer else 0
    steps = challenges + r_zero.solver_steps
    challenged = challenges * selfplay.proposals_per_step
    rounds = challenges + math.ceil(r_zero.questions / selfplay.proposals_per_step)
    surveyed = max(1, round(VALID_SHARE * (challenged + r_zero.questions)))
    solved = r_zero.solver_steps * r_zero.questions_per_step
    return Counts(
        proposals=_mean(challenged + r_zero.questions, steps),
        proposer_prompts=_mean(rounds, steps),
        tasks=_mean(surveyed + solved, steps),
        answers=_mean(surveyed * r_zero.label_attempts + solved * selfplay.attempts, steps),
        trained_prompts=_mean(challenges + solved, steps),
        trained_proposals=_mean(challenged, steps),
        trained_answers=_mean(solved * selfplay.attempts, steps),
    )


def _mean(total: int, steps: int) -> int:
    return math.ceil(total / steps)
