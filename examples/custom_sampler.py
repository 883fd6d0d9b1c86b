"""A sampler of one's own: the built-in one, which also keeps a diary of all that the model reads and writes.

    tinyzero train nano-cpu --plugin examples/custom_sampler.py --set sampling.engine=diary

Whatever turns prompts into completions of the policy is a sampler. The learner needs their token ids and
logprobs, and compares some with its own before the first step.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.config import Settled
from tinyzero.plugins import Registry
from tinyzero.sampling.choice import builtin_sampler
from tinyzero.types import Completion, Prompt, Sampler, SamplingRequest

if TYPE_CHECKING:
    from tinyzero.policy.policy import Policy

DIARY = Path("diary.jsonl")


class Diary:
    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def sample(self, request: SamplingRequest) -> list[list[Completion]]:
        groups = self.sampler.sample(request)
        with DIARY.open("a", encoding="utf-8") as file:
            for prompt, group in zip(request.prompts, groups, strict=True):
                answers = [completion.text for completion in group]
                file.write(
                    f"{json.dumps({'role': request.role, 'prompt': prompt.text, 'answers': answers})}\n"
                )
        return groups

    def fits(self, prompt: Prompt) -> bool:
        return self.sampler.fits(prompt)


def make(policy: "Policy", config: Settled) -> Diary:
    return Diary(builtin_sampler(policy, config))


def register(registry: Registry) -> None:
    registry.sampler("diary", make)
