"""A sampler of one's own: you. Play a round of Absolute Zero as the model would, and see what it earns.

    python examples/custom_sampler.py

Whatever turns prompts into completions is a sampler: a server elsewhere, a bigger model, or a person.
"""

import sys
from collections.abc import Callable

from tinyzero import Executor, load_config
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.tasks import KINDS
from tinyzero.types import AttemptRollout, Completion, Prompt, Round, SamplingRequest, Task

SETTINGS = (
    "selfplay.proposals_per_step=2",
    "selfplay.attempts=2",
    'selfplay.kinds=["deduction", "abduction"]',
)


class Person:
    """Shows prompts, and reads answers up to an empty line."""

    def __init__(self, show: Callable[[str], object], read_line: Callable[[], str]) -> None:
        self._show = show
        self._read_line = read_line

    def sample(self, request: SamplingRequest) -> list[list[Completion]]:
        return [
            [self._answer(prompt, request.role or "base model") for _ in range(request.num_samples)]
            for prompt in request.prompts
        ]

    def fits(self, prompt: Prompt) -> bool:
        return True

    def _answer(self, prompt: Prompt, speaker: str) -> Completion:
        self._show(f"\n--- {speaker}, {prompt.kind}\n{prompt.text}\n--- your answer, then an empty line:")
        lines = list(iter(lambda: self._read_line().rstrip("\n"), ""))
        return Completion(text="\n".join(lines), adapter="you")


def play(person: Person) -> Round:
    """One round, verified and judged as in any run."""
    with Executor() as executor:
        game = AbsoluteZero(load_config("nano-cpu", SETTINGS), sampler=person, executor=executor, kinds=KINDS)
        return game.play(0)


def main() -> None:
    for rollout in play(Person(print, sys.stdin.readline)).rollouts:
        outcome = rollout.verdict if isinstance(rollout, AttemptRollout) else rollout.outcome
        words = "a task" if isinstance(outcome, Task) else outcome
        print(f"{rollout.role:8} {rollout.prompt.kind:9} {rollout.reward.total:+.2f}  {words}")


if __name__ == "__main__":
    main()
