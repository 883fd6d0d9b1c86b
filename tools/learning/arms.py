"""What is compared: every arm is the preset `nano-cpu` with as little changed as can be."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One setting.

    Attributes:
        is_own_majority: whether a solver earns 1 where it says what most attempts at the task say, right or
            wrong.
        attempts: kind -> attempts at a task of it, in place of `selfplay.attempts`.
        average: whether the average of the adapters over the last third of the run is measured too.
    """

    settings: tuple[str, ...] = ()
    is_own_majority: bool = False
    attempts: Mapping[str, int] = field(default_factory=dict)
    average: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An arm against its control: what having `arm` in place of `control` does."""

    title: str
    arm: str
    control: str


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
