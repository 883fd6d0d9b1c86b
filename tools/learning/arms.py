"""What is compared: every arm is the preset `nano-cpu`, or `r-zero-nano-cpu`, with little changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One setting.

    Attributes:
        is_own_majority: whether a solver earns 1 where it says what most attempts at the task say, right or
            wrong.
        attempts: kind -> attempts at a task of it, in place of `selfplay.attempts`.
        average: whether the average of the adapters over the last third of the run is measured too.
        preset: what is changed.
        labels: of R-Zero's questions: the solver's majority; `truth`, what the program returned; or `random`,
            one of the different answers given, whichever.
    """

    settings: tuple[str, ...] = ()
    is_own_majority: bool = False
    attempts: Mapping[str, int] = field(default_factory=dict)
    average: bool = False
    preset: str = "nano-cpu"
    labels: Literal["majority", "truth", "random"] = "majority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An arm against its control: what having `arm` in place of `control` does."""

    title: str
    arm: str
    control: str


def _r_zero(*settings: str, labels: Literal["majority", "truth", "random"] = "majority") -> Arm:
    return Arm(preset="r-zero-nano-cpu", settings=settings, labels=labels)


_FORM = "r_zero.gate=form"
TASK_RELATIVE = "advantages.estimator=task-relative"

ARMS: Mapping[str, Arm] = {
    "trained": Arm(average=True),
    "shuffled": Arm(settings=("rewards.control=shuffled",)),
    "own majority": Arm(is_own_majority=True),
    "frozen proposer": Arm(settings=("selfplay.train_proposer=false",)),
    "task-relative": Arm(settings=(TASK_RELATIVE,)),
    # One answer to a task leaves no siblings to compare with, so what it is compared with is task-relative as
    # well. It samples about a tenth more tokens a step, so it has a tenth fewer steps.
    "separate batch": Arm(
        settings=("selfplay.separate_solver_batch=true", TASK_RELATIVE, "run.max_steps=27")
    ),
    "novelty": Arm(settings=("rewards.bonuses.novelty.coefficient=0.5",)),
    "shared adapter": Arm(settings=("policy.adapters=shared",)),
    "no references": Arm(settings=("selfplay.references=0",)),
    "deduction only": Arm(settings=('selfplay.kinds=["deduction"]',)),
    "uncertainty": Arm(settings=("rewards.proposer=uncertainty",)),
    "divided by the mean": Arm(settings=("advantages.scale=mean",)),
    "divided by the deviation": Arm(settings=("advantages.scale=std",)),
    "replays": Arm(settings=("selfplay.replays_per_step=8",)),
    "two updates": Arm(settings=("learner.updates_per_round=2",)),
    "attempts at induction": Arm(attempts={"induction": 24}),
    "half the rate": Arm(settings=("learner.lr=1e-3",)),
    "twice the steps": Arm(settings=("run.max_steps=60",)),
    "variance": Arm(settings=("rewards.proposer=variance",)),
    "siblings": Arm(settings=("selfplay.siblings=4",)),
    "r-zero": _r_zero(),
    "r-zero truth": _r_zero(labels="truth"),
    "r-zero random labels": _r_zero(labels="random"),
    "r-zero form": _r_zero(_FORM),
    "r-zero form truth": _r_zero(_FORM, labels="truth"),
    "r-zero form random labels": _r_zero(_FORM, labels="random"),
    # Shares from some .5 to .9: fewer labels, and more of them right.
    "r-zero sure": _r_zero("r_zero.max_distance=0.4", "r_zero.min_margin=0.3"),
    "r-zero weighted": _r_zero("r_zero.weight_by_agreement=true"),
    "r-zero ties": _r_zero("r_zero.min_margin=0", "r_zero.min_readable=0"),
}
LEARNING = ("trained", "shuffled", "own majority", "frozen proposer")
"""Arms of the question whether self-play works at all."""

ABLATIONS = (
    Question(title="reuse of attempts, not a separate batch", arm="task-relative", control="separate batch"),
    Question(title="novelty bonus, not none", arm="novelty", control="trained"),
    Question(title="adapters per role, not shared", arm="trained", control="shared adapter"),
    Question(title="proposer trained, not frozen", arm="trained", control="frozen proposer"),
    Question(title="references shown, not none", arm="trained", control="no references"),
    Question(title="all kinds, not deduction only", arm="trained", control="deduction only"),
    Question(title="group baselines, not task-relative", arm="trained", control="task-relative"),
    Question(title="proposer paid by uncertainty, not learnability", arm="uncertainty", control="trained"),
    Question(title="advantages divided by the mean, not as is", arm="divided by the mean", control="trained"),
    Question(
        title="advantages divided by the deviation, not as is",
        arm="divided by the deviation",
        control="trained",
    ),
    Question(title="eight replays a step, not none", arm="replays", control="trained"),
    Question(title="two updates a round, not one", arm="two updates", control="trained"),
    Question(title="24 attempts at induction, not 8", arm="attempts at induction", control="trained"),
    Question(title="half the learning rate", arm="half the rate", control="trained"),
    Question(title="sixty steps, not thirty", arm="twice the steps", control="trained"),
)
