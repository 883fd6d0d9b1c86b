"""A sampler that says what a script wants, with the true probabilities of saying so under the policy."""

from dataclasses import replace

from settled import settled

from tinyzero.learning.scoring import score_completions
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.types import Completion, Role

SETTINGS = [
    'selfplay.game="r-zero"',
    'policy.adapters="per-role"',
    "selfplay.proposals_per_step=4",
    "selfplay.attempts=4",
    "r_zero.challenger_steps=1",
    "r_zero.solver_steps=2",
    "r_zero.questions=8",
    "r_zero.questions_per_step=2",
    "r_zero.label_attempts=4",
    'advantages.estimator="group"',
    'rewards.solver="binary"',
    "sampling.max_prompt_tokens=128",
    "run.max_steps=4",
    "run.checkpoint_every_steps=1",
    "hardware.threads=1",
]


def r_zero_config(*more):
    return settled("nano-cpu", [*SETTINGS, *more])


def script(request, prompt, index):
    """Questions that differ from round to round; answers that are split in a way that depends on both."""
    if prompt.kind != "question":
        return None
    if prompt.text.startswith("propose deduction"):
        return f"def f(a):\n    return a + {index}\nin: {sum(map(ord, request.stream)) % 7}"
    if prompt.text.startswith("solve deduction"):
        return ("1", "[", "1", "2")[index]
    if request.role is Role.PROPOSER:
        number = sum(map(ord, request.stream)) % 7 + index
        return "no idea" if index == 3 else f"<question>What is {number} x {number}?</question>\\boxed{{1}}"
    number = len(prompt.text) + index
    thought = "<think>even or odd?</think>" if index == 0 else ""
    return f"{thought}\\boxed{{{number % 2}}}" if index < 3 else ""


class ForcedSampler:
    """Lines by role and by what is asked, in turn; whatever the script has no line for is sampled."""

    def __init__(self, policy, config, script):
        """`script(request, prompt, index)` gives the text of the index-th answer, or None."""
        self.policy = policy
        self.script = script
        self.builtin = BuiltinSampler(policy, config.sampling, config.run.seed)
        self.fits = self.builtin.fits

    def sample(self, request):
        if self.script(request, request.prompts[0], 0) is None:
            return self.builtin.sample(request)
        groups = [
            [self.say(prompt, self.script(request, prompt, i), request) for i in range(request.num_samples)]
            for prompt in request.prompts
        ]
        logprobs = iter(score_completions(self.policy, [one for group in groups for one in group]))
        return [[replace(one, sampler_logprobs=tuple(next(logprobs))) for one in group] for group in groups]

    def say(self, prompt, text, request):
        adapter = self.policy.adapter_of(request.role)
        token_ids = tuple(self.policy.tokenizer(text, add_special_tokens=False).input_ids)
        return Completion(
            text=text,
            prompt_ids=tuple(self.policy.encode(prompt)),
            token_ids=(*token_ids, min(self.policy.stop_ids)),
            temperature=request.temperature,
            adapter=adapter,
            adapter_version=self.policy.versions.get(adapter, 0),
        )
