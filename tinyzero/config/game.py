"""Knobs of the game: proposals, pool, rewards, and alarms."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tinyzero.config.named import Named
from tinyzero.config.section import Section


class SelfPlayConfig(Section):
    """One round of the game."""

    game: Annotated[str, Named("selfplay.game")] = "absolute-zero"
    """The method. absolute-zero: tasks about programs, verified by running them. r-zero: free questions; the
    majority of the attempts replaces the answer; its own knobs are in `r_zero`. Or the game of a plugin."""
    kinds: tuple[str, ...] = Field(default=("deduction", "abduction", "induction"), min_length=1)
    """Task kinds that are proposed, in turn. R-Zero ignores this: its only kind is question."""
    proposals_per_step: int = Field(default=24, ge=1)
    """Proposals per step, divided among the kinds as evenly as possible; in R-Zero, per challenger's
    step."""
    attempts: int = Field(default=8, ge=2)
    """Answers sampled for each task (G). They measure its difficulty and train the solver; in R-Zero they
    only train it."""
    references: int = Field(default=4, ge=0)
    """Earlier tasks shown to the proposer (K)."""
    siblings: int = Field(default=1, ge=1)
    """Proposals sampled from each proposer prompt, with the same references. Above 1, they share a baseline
    of their own, so that easy references are no merit of a proposal; a divisor of proposals_per_step."""
    train_proposer: bool = True
    """Off: the proposer stays at the base model and only the solver learns."""
    separate_solver_batch: bool = False
    """As in the paper: the attempts that measure difficulty do not train, and the solver learns from one
    answer to each of `proposals_per_step` earlier tasks, first those of the previous step. Off: the attempts
    train it."""
    replays_per_step: int = Field(default=0, ge=0)
    """Earlier tasks that are attempted again each step and train the solver. Their last attempts had both
    right and wrong answers. Their solve rates are measured again."""
    proposal_tokens: int = Field(default=512, ge=8)
    """Maximum length of a proposal, tokens."""
    answer_tokens: int = Field(default=512, ge=4)
    """Maximum length of an answer, tokens."""

    @property
    def kinds_played(self) -> tuple[str, ...]:
        """The game's kinds of task."""
        return ("question",) if self.game == "r-zero" else self.kinds


class RZeroConfig(Section):
    """R-Zero: challenger and solver take turns. Used only if selfplay.game is "r-zero"."""

    domain: Literal["words", "programs"] = "words"
    """What a question is. words: a mathematical problem, whose answer nobody knows. programs: a program and a
    call of it; what it returns is known, and measured beside the majority, but never in a reward."""
    gate: Literal["form", "runs", "strict"] = "strict"
    """Which programs are questions (domain "programs" only). form: all that can be read and are allowed.
    runs: those that return a value. strict: those that would be a task of Absolute Zero, too: the same in two
    processes, and dependent on the input."""
    challenger_steps: int = Field(default=5, ge=1)
    """Steps of a challenger's turn, in which it learns to write questions that the solver is unsure of. With
    selfplay.train_proposer off there are none."""
    solver_steps: int = Field(default=15, ge=1)
    """Steps of a solver's turn, in which it learns from the questions written at the turn's start."""
    questions: int = Field(default=256, ge=1)
    """Questions that the challenger writes for a solver's turn; those that pass `max_distance` are kept."""
    questions_per_step: int = Field(default=16, ge=1)
    """Questions per solver's step."""
    label_attempts: int = Field(default=10, ge=2)
    """Answers to a question that are compared (m): the majority is its label, and the majority's share its
    difficulty."""
    max_distance: float = Field(default=0.25, ge=0, le=0.5)
    """A question is kept if the share of its most frequent answer is at most this far from one half."""
    min_margin: float = Field(default=0.0, ge=0, le=1)
    """A question is kept only if the share of its most frequent answer is at least this much above that of
    the second. Any value above 0 drops ties, whose label is decided by which answer came first."""
    min_readable: float = Field(default=0.0, ge=0, le=1)
    """A question with a smaller share of readable answers earns nothing and is not kept. With 0, a trivial
    question whose answers are cut off half of the time is paid like one of which the solver is unsure."""
    weight_by_agreement: bool = False
    """Multiply the advantages of a solver's answers by the share that the label had when it was given, since
    labels of small majorities are wrong more often (ADPO of Agent0, arXiv:2511.16043)."""
    repetition_weight: float = Field(default=1.0, ge=0)
    """Weight of the penalty for repetition within the batch: the share of the batch that is
    similar to the question."""
    min_confidence: float = Field(default=0.0, ge=0, le=1)
    """A question is kept only if the agreeing answers have at least this confidence, exp(mean logprob): with
    unsure answers, the label is a guess."""
    confidence_weight: float = Field(default=0.0, ge=0, le=0.2)
    """Extra reward of a solver for confident answers, times their confidence, if some attempts at a question
    are right and some are not. Such rewards alone are known to ruin a model in about 20 steps; watch
    held-out accuracy."""


class CurriculumConfig(Section):
    """Programs built from earlier ones; off by default. See also `pool.reference_sampling`."""

    composite_share: float = Field(default=0.0, ge=0, le=1)
    """Share of deduction, abduction and error-prediction proposals that must call one or two earlier
    programs, given as g_0 and g_1. The share rises linearly over 100 steps."""
    composite_from_step: int = Field(default=100, ge=0)
    """Steps before the first composite program, since the pool needs simple programs first."""


class PoolConfig(Section):
    """Verified tasks kept as references and for replay."""

    seed_tasks: int = Field(default=0, ge=0)
    """Before the first step, the untrained model proposes, without learning, until the pool holds this
    many tasks (256 in Absolute Zero). 0: the pool starts with the identity program only."""
    capacity: int = Field(default=4096, ge=16)
    """Maximum number of tasks; above it the oldest is dropped, never a seed or the newest."""
    dedup: Literal["shape", "program"] = "shape"
    """What counts as a duplicate: a program that differs from one in the pool only in names and constants, or
    only in names, with the same inputs. Induction, whose program is given, always uses the latter."""
    reference_sampling: Literal["uniform", "recent", "novel", "learnable"] = "uniform"
    """Which earlier tasks a proposer sees: any; newer ones with higher probability; novel ones; or those that
    about half of the attempts solved, which steers the difficulty of its proposals."""
    recheck_share: float = Field(default=0.01, ge=0, le=1)
    """Share of the pool, at most 8 tasks, that is verified again each step. A task with changed results is
    dropped."""
    max_program_chars: int = Field(default=2000, ge=40)
    """Longer programs are refused as proposals; R-Zero: longer questions."""


class BonusConfig(Section):
    """An optional reward term: coefficient x value, with a value in [0, 1] and at most `cap`."""

    coefficient: float = Field(default=0.5, ge=0)
    """Weight of the term; the reward that it is added to has 1."""
    cap: float = Field(default=0.5, ge=0, le=1)
    """Maximum of the term; minus this is the minimum of a solver's."""


class RewardsConfig(Section):
    """The rewards of outcomes."""

    solver: Literal["graded", "binary"] = "graded"
    """graded: right 1, wrong -0.5, no readable answer -1 (Absolute Zero). binary: right 1, else 0."""
    proposer: Annotated[str, Named("rewards.proposer")] = "learnability"
    """Reward for a task solved sometimes: learnability is 1 - solve rate (Absolute Zero), highest for rare
    success; uncertainty is 1 - 2 |solve rate - 1/2|, highest if half of the attempts succeed; variance is
    4 p (1 - p), p the solve rate: the same highest point, and flat around it, as the signal of p is. Or the
    name of a function of a plugin."""
    malformed_proposal: float = Field(default=-1.0, le=0)
    """Penalty for a proposal that cannot be parsed. The failed funnel stage decides the penalty."""
    failing_proposal: float = Field(default=-0.5, le=0)
    """Penalty for one that uses something forbidden, fails, is not deterministic, or ignores or echoes
    its input."""
    duplicate_proposal: float = Field(default=-0.5, le=0)
    """Penalty for one that the pool holds already."""
    bonuses: dict[str, BonusConfig] = Field(default_factory=dict)
    """Optional terms for proposals with a learnability above 0, by name: novelty, complexity, edit_distance,
    answer_diversity, or a plugin's. `--set rewards.bonuses.novelty.coefficient=0.5` switches one on."""
    solver_terms: dict[str, BonusConfig] = Field(default_factory=dict)
    """Optional terms for attempts, by name; all come from plugins. Their values are in [-1, 1]."""
    control: Literal["none", "shuffled"] = "none"
    """shuffled: a control run, in which the rewards of a step are dealt out at random among the rollouts of a
    role. What such a run gains does not come from the rewards."""


class AdvantagesConfig(Section):
    """How advantages are computed from rewards."""

    estimator: Annotated[str, Named("advantages.estimator")] = "task-relative"
    """task-relative: one baseline per role and kind (TRR++). group: per task, for the solver (GRPO).
    leave-one-out: like group, with the mean of the other attempts (RLOO). Or the name of a plugin's."""
    scale: Literal["std", "mean", "none"] = "std"
    """Divide by the baseline group's standard deviation (GRPO), or not (Dr. GRPO). mean: divide the solver's
    by the mean reward, which weights rarely solved tasks most (MaxRL); needs rewards.solver = "binary"."""


AlarmName = Literal[
    "skipped_updates",
    "huge_numbers",
    "unreadable",
    "without_graphs",
    "nothing_to_learn",
    "duplicates",
    "few_shapes",
    "one_kind",
    "trivial",
    "unanimous",
    "short_answers",
    "long_answers",
    "low_entropy",
    "no_entropy",
    "truncated",
    "sampler_gap",
    "false_confidence",
    "easier_programs",
]

Reaction = Literal["lower_lr", "stop"]


class WatchConfig(Section):
    """Alarms for known ways in which self-play collapses. They are shown and logged; `react` lets them act.

    Figures are means over `window_steps`, except those of the first four alarms. The thresholds are far
    from the figures of healthy nano runs.
    """

    window_steps: int = Field(default=10, ge=1)
    """Number of newest steps in a mean, and of first steps that it is compared with. With fewer steps, alarms
    come earlier but are less reliable. No other alarm than the first four is
    raised before this many steps."""
    silent: tuple[AlarmName, ...] = ()
    """Alarms that are not raised; docs/watching.md lists all, with their thresholds."""
    react: dict[AlarmName, Reaction] = Field(default_factory=dict)
    """What a run does by itself when an alarm begins; nothing by default. lower_lr: halve the learning rate
    for the rest of the run. stop: end the run with a checkpoint; `tinyzero train --resume` goes on. Each
    reaction is an event. `--set watch.react.low_entropy=stop` sets one."""

    @model_validator(mode="after")
    def _check_react(self) -> Self:
        mute = next((name for name in self.react if name in self.silent), None)
        if mute is not None:
            raise ValueError(
                f"watch.react has {mute}, which watch.silent never raises; leave out one of the two"
            )
        return self
