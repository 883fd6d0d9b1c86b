"""Everything that the weights follow from."""

from dataclasses import dataclass

from nano.tasks import Habits


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the training with its own lessons and learning rate."""

    name: str
    steps: int
    lr: float
    warmup_steps: int
    decay_from: float
    """Share of the steps after which the rate falls, linearly, to a twentieth."""
    habits: Habits

    def rate(self, step: int) -> float:
        """The learning rate of the phase's step 1, 2, ..."""
        warm = min(1.0, step / max(1, self.warmup_steps))
        start = self.decay_from * self.steps
        done = max(0.0, (step - start) / (self.steps - start))
        return self.lr * warm * (1 - 0.95 * done)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The seed of weights and lessons, the phases, and how a step looks."""

    seed: int = 0
    phases: tuple[Phase, ...]
    pool: int = 1024
    """Lessons that are sorted by length together."""
    passes: int = 3
    """Batches whose gradients one step adds up."""
    batch_tokens: int = 2048
    """Of a pass, padding included."""
    weight_decay: float = 0.05
    prompt_weight: float = 0.05
    """Weight of a prompt token's loss; those of answer tokens come with the lessons."""

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)


def recipe(seed: int, thinking_steps: int, habit_steps: int) -> Recipe:
    """First the ability, in most of the steps; last the habit of answering at once, which hides it."""
    thinking = Phase(
        name="thinking",
        steps=thinking_steps,
        lr=3e-3,
        warmup_steps=min(100, thinking_steps // 10),
        decay_from=0.5,
        habits=Habits(thinking=0.9, wrong=0.0),
    )
    habit = Phase(
        name="habit",
        steps=habit_steps,
        lr=6e-4,
        warmup_steps=min(10, habit_steps // 10),
        decay_from=0.2,
        habits=Habits(thinking=0.16, wrong=0.25),
    )
    return Recipe(seed=seed, phases=(thinking, habit))
