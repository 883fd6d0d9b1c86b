"""What one round holds, in prompts and tokens; pure arithmetic on a configuration."""

import math
from dataclasses import dataclass

from tinyzero.config import Config

# What a round is taken to be like.
VALID_SHARE = 0.5  # of the proposals that become tasks
FILLED_SHARE = 0.5  # of the budgets of prompts and completions, in the mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many of what.

    Attributes:
        proposals, proposer_prompts: completions of the proposer, and different prompts to it.
        tasks, answers: all that the solver is asked, and says.
        trained_prompts, trained_proposals, trained_answers: of these, what is learned from.
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
    """One round; the mean round of a game that takes turns. Tokens are those of one completion or prompt."""

    counts: Counts
    proposal_tokens: int
    answer_tokens: int
    prompt_tokens: int

    @property
    def trained_tokens(self) -> int:
        """Completion tokens that are learned from."""
        counts = self.counts
        return counts.trained_proposals * self.proposal_tokens + counts.trained_answers * self.answer_tokens


def workload(config: Config) -> Workload:
    """What a round of this configuration is expected to hold."""
    is_r_zero = config.selfplay.game == "r-zero"
    return Workload(
        counts=_r_zero(config) if is_r_zero else _absolute_zero(config),
        proposal_tokens=round(FILLED_SHARE * config.selfplay.proposal_tokens),
        answer_tokens=round(FILLED_SHARE * config.selfplay.answer_tokens),
        prompt_tokens=round(FILLED_SHARE * config.sampling.max_prompt_tokens),
    )


def _absolute_zero(config: Config) -> Counts:
    selfplay = config.selfplay
    new = max(1, round(VALID_SHARE * selfplay.proposals_per_step))
    is_separate = selfplay.separate_solver_batch
    old = selfplay.proposals_per_step if is_separate else selfplay.replays_per_step
    answers_to_old = old if is_separate else old * selfplay.attempts
    trained_proposals = selfplay.proposals_per_step if selfplay.train_proposer else 0
    return Counts(
        proposals=selfplay.proposals_per_step,
        proposer_prompts=selfplay.proposals_per_step,
        tasks=new + old,
        answers=new * selfplay.attempts + answers_to_old,
        trained_prompts=trained_proposals + (old if is_separate else new + old),
        trained_proposals=trained_proposals,
        trained_answers=answers_to_old + (0 if is_separate else new * selfplay.attempts),
    )


def _r_zero(config: Config) -> Counts:
    """Per step, over a challenger's turn, the writing of a set of questions, and a solver's turn."""
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
