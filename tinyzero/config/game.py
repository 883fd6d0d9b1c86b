"""Knobs of the game: what is proposed, kept, paid, and watched."""

from typing import Literal

from pydantic import Field

from tinyzero.config.section import Section


class SelfPlayConfig(Section):
    """One round of the game."""

    game: Literal["absolute-zero", "r-zero"] = "absolute-zero"
    """The method. absolute-zero: tasks about programs, verified by running them. r-zero: free questions, and
    what most attempts say stands for the answer; its own knobs are in `r_zero`."""
    kinds: tuple[str, ...] = Field(default=("deduction", "abduction", "induction"), min_length=1)
    """Task kinds that are proposed, in turn; R-Zero has one, question, whatever this says."""
    proposals_per_step: int = Field(default=24, ge=1)
    """Proposals written each step, shared among the kinds as evenly as possible; in R-Zero, of a challenger's
    step."""
    attempts: int = Field(default=8, ge=2)
    """Answers sampled for each task (G). They measure its difficulty and train the solver; in R-Zero they
    only train it."""
    references: int = Field(default=4, ge=0)
    """Earlier tasks shown to the proposer (K)."""
    train_proposer: bool = True
    """Off: the proposer stays at the base model and only the solver learns."""
    separate_solver_batch: bool = False
    """The paper's way: the attempts that measure difficulty train nothing, and the solver learns from one
    answer to each of `proposals_per_step` earlier tasks, those of the step before first. Off: the attempts
    train it."""
    replays_per_step: int = Field(default=0, ge=0)
    """Earlier tasks, solved sometimes and failed sometimes when last attempted, that are attempted again each
    step and train the solver; they are measured anew on the way."""
    proposal_tokens: int = Field(default=512, ge=8)
    """Completion budget of a proposal, tokens."""
    answer_tokens: int = Field(default=512, ge=4)
    """Completion budget of an answer, tokens."""

    @property
    def kinds_played(self) -> tuple[str, ...]:
        """The kinds of task that the game has."""
        return ("question",) if self.game == "r-zero" else self.kinds


class RZeroConfig(Section):
    """R-Zero: challenger and solver take turns. Only where selfplay.game is "r-zero"."""

    challenger_steps: int = Field(default=5, ge=1)
    """Steps of a challenger's turn: it learns to write questions of which the solver is unsure. With
    selfplay.train_proposer off there are none."""
    solver_steps: int = Field(default=15, ge=1)
    """Steps of a solver's turn: it learns from the questions that were written at its beginning."""
    questions: int = Field(default=256, ge=1)
    """Questions that the challenger writes for a solver's turn; those that pass `max_distance` are kept."""
    questions_per_step: int = Field(default=16, ge=1)
    """Questions that a solver's step learns from."""
    label_attempts: int = Field(default=10, ge=2)
    """Answers to a question that are compared (m): what most of them say is its label, and how many, its
    difficulty."""
    max_distance: float = Field(default=0.25, ge=0, le=0.5)
    """A question is kept where the share of its most frequent answer is at most so far from one half."""
    repetition_weight: float = Field(default=1.0, ge=0)
    """Weight of the penalty for writing what others of the batch have written: the share of the batch that is
    like the question."""
    min_confidence: float = Field(default=0.0, ge=0, le=1)
    """A question is kept only where the answers that agree are at least so sure, exp(mean logprob): with a
    vote of unsure answers, the label is a guess."""
    confidence_weight: float = Field(default=0.0, ge=0, le=0.2)
    """Extra reward of a solver for sure answers, times their confidence, where some attempts at the question
    are right and some are not. Such rewards alone are known to ruin a model in some twenty steps; watch
    held-out accuracy."""


class CurriculumConfig(Section):
    """Programs built from earlier ones; off by default. See also `pool.reference_sampling`."""

    composite_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the deduction, abduction and error-prediction proposals that must call one or two earlier
    programs, given to them as g_0 and g_1. It is reached evenly, in a hundred steps."""
    composite_from_step: int = Field(default=100, ge=0)
    """Steps before the first of them: a pool of simple programs has to be there."""


class PoolConfig(Section):
    """Verified tasks kept as references and for replay."""

    seed_tasks: int = Field(default=0, ge=0)
    """Before the first step the untrained model proposes, and nothing is learned, until the pool holds this
    many tasks (256 in Absolute Zero). 0: the pool grows from the identity program alone as the run goes."""
    capacity: int = Field(default=4096, ge=16)
    """Tasks kept; beyond it the oldest is dropped, never a seed and never the newest."""
    dedup: Literal["shape", "program"] = "shape"
    """What is no news: a program that differs from a kept one of its kind in names and constants only, or
    only in names, with the same inputs. Induction, whose program is given, is always held to the latter."""
    reference_sampling: Literal["uniform", "recent", "novel", "learnable"] = "uniform"
    """Which earlier tasks a proposer is shown: any; newer ones likelier; those unlike others; or those that
    about half of the attempts solved, which steers the difficulty of what it writes."""
    recheck_share: float = Field(default=0.01, ge=0, le=1)
    """Share of the pool, at most 8 tasks, that is run again each step; what no longer gives the same is
    dropped."""
    max_program_chars: int = Field(default=2000, ge=40)
    """Longer programs are refused as proposals; R-Zero: longer questions."""


class BonusConfig(Section):
    """An optional reward term of a proposer: min(coefficient x value, cap), with a value in [0, 1]."""

    coefficient: float = Field(default=0.5, ge=0)
    """Weight of the term; learnability has 1."""
    cap: float = Field(default=0.5, ge=0, le=1)
    """Most that the term may add."""


class RewardsConfig(Section):
    """What an outcome is worth."""

    solver: Literal["graded", "binary"] = "graded"
    """graded: right 1, wrong -0.5, no readable answer -1 (Absolute Zero). binary: right 1, else 0."""
    proposer: Literal["learnability", "uncertainty"] = "learnability"
    """Of a task solved sometimes: learnability pays 1 - solve rate (Absolute Zero), most for what hardly ever
    succeeds; uncertainty pays 1 - 2 |solve rate - 1/2|, most for what succeeds half of the time."""
    malformed_proposal: float = Field(default=-1.0, le=0)
    """A proposal that could not be parsed: the funnel stage that a proposal fails decides its penalty."""
    failing_proposal: float = Field(default=-0.5, le=0)
    """One that uses what it may not, does not run to its end, differs from run to run, or ignores or echoes
    its input."""
    duplicate_proposal: float = Field(default=-0.5, le=0)
    """One that the pool holds already."""
    bonuses: dict[str, BonusConfig] = Field(default_factory=dict)
    """Optional terms of proposals that are learnable at all, by name: novelty, complexity, edit_distance,
    answer_diversity, or one of your own. `--set rewards.bonuses.novelty.coefficient=0.5` switches one on."""


class AdvantagesConfig(Section):
    """From rewards to advantages."""

    estimator: Literal["task-relative", "group", "leave-one-out"] = "task-relative"
    """task-relative: one baseline per role and kind (TRR++). group: per task, for the solver (GRPO).
    leave-one-out: the same with the mean of the other attempts (RLOO)."""
    scale: Literal["std", "mean", "none"] = "std"
    """Divide by the baseline group's standard deviation (GRPO), or not (Dr. GRPO). mean: the solver's by its
    mean reward, which weighs seldom solved tasks most (MaxRL); needs rewards.solver = "binary"."""


class WatchConfig(Section):
    """Alarms for the ways in which self-play collapses. They are shown and logged, and change nothing.

    Every alarm has the name of its threshold here, and "none" switches it off. Figures are means over
    `window_steps`. The defaults are far from what healthy runs of nano measure, so that they mean something.
    """

    window_steps: int = Field(default=10, ge=1)
    """Newest steps that a figure is the mean of, and first steps of the run that it is compared with. Fewer
    are faster to tell, and to be wrong; no alarm is raised before so many steps."""
    nothing_to_learn: float | None = Field(default=0.01, ge=0, le=1)
    """Share of rollouts that have an advantage, below which next to nothing is learned."""
    duplicates: float | None = Field(default=0.5, ge=0, le=1)
    """Share of sound proposals that the pool holds already, above which the proposer repeats itself."""
    few_shapes: float | None = Field(default=0.5, ge=0, le=1)
    """Program shapes per new task, names and constants aside, below which tasks are near-duplicates."""
    one_kind: float | None = Field(default=0.5, ge=0, le=1)
    """Entropy of the kinds of new tasks (1: all as often), below which one has taken over; two of three kinds
    alone give 0.63."""
    trivial: float | None = Field(default=0.5, ge=0, le=1)
    """Share of deterministic programs that ignore or echo their input, above which that is the habit."""
    unanimous: float | None = Field(default=0.9, ge=0, le=1)
    """Share of tasks whose attempts all give one answer, right or wrong, above which they teach nothing."""
    short_answers: float | None = Field(default=0.5, gt=0)
    """Solver's mean length as a share of that of the first window, below which it may only guess."""
    long_answers: float | None = Field(default=2.0, gt=0)
    """The same, above which answers have grown out of hand; no alarm where sampled accuracy on held-out tasks
    has risen beyond noise. Needs evaluation.every_steps."""
    low_entropy: float | None = Field(default=0.3, gt=0)
    """Policy entropy as a share of that of the first window, below which exploration ends; of the adapter
    that has lost most."""
    no_entropy: float | None = Field(default=0.02, ge=0)
    """Policy entropy, nats a token, below which there is no exploration whatever it was before."""
    truncated: float | None = Field(default=0.5, ge=0, le=1)
    """Share of a role's completions that run out of budget, above which the budget is too small."""
    false_confidence: float | None = Field(default=0.05, ge=0, le=1)
    """Fall of the held-out accuracy since the first window, above which answers that have become surer or
    more alike (R-Zero) are so without being better. Needs evaluation.every_steps within a window."""
    easier_programs: float | None = Field(default=0.7, gt=0)
    """Mean size of new programs (nodes of the syntax tree) as a share of that of the first window, below
    which a solver that wins more often does so because tasks have become easy."""
