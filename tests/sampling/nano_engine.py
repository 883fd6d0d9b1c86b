"""A stand-in for vLLM that really samples: a second copy of the policy, given adapters as files only."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from tinyzero.sampling.draw import draw, uniforms
from tinyzero.sampling.vllm.engine import Drawn


class NanoEngine:
    """Engine over a policy of its own, whose adapter weights come from the folders that are handed over.

    Attributes:
        calls: what was asked of it, in words. faults: names of what it does wrong.
    """

    def __init__(self, policy, *, context_tokens=512, faults=()):
        self.policy, self.context_tokens, self.faults = policy, context_tokens, set(faults)
        self.calls, self.served = [], {}

    def load(self, adapter):
        assert adapter.number not in {one.number for one in self.served.values()}
        self.served[adapter.name] = adapter
        self.calls.append(f"load {adapter.name.split('-', 2)[2]}")

    def unload(self, adapter):
        del self.served[adapter.name]
        self.calls.append(f"unload {adapter.name.split('-', 2)[2]}")

    def generate(self, asked, *, adapter, temperature, stop_ids):
        self.calls.append("base" if adapter is None else adapter.name.split("-", 2)[2])
        if adapter is None or "no adapter" in self.faults:
            self.policy.wear("")
        else:
            self.wear(self.served[adapter.name].folder)
        return [self.complete(one, temperature, stop_ids) for one in asked]

    def sleep(self):
        self.calls.append("sleep")

    def close(self):
        self.calls.append("close")

    def wear(self, folder: Path):
        """Read the weights that peft wrote, and nothing else."""
        name = self.policy.adapters[0]
        self.policy.wear(name)
        mine = dict(self.policy.model.named_parameters())
        with torch.no_grad():
            for key, tensor in load_file(folder / "adapter_model.safetensors").items():
                mine[key.replace(".weight", f".{name}.weight")].copy_(tensor)

    @torch.no_grad()
    def complete(self, asked, temperature, stop_ids):
        tokens, logprobs = [], []
        for number in uniforms(asked.seed, "engine", prompt=0, sample=0, count=asked.max_tokens):
            ids = torch.tensor([[*asked.prompt_ids, *tokens]])
            logits = self.policy.model(input_ids=ids).logits[:, -1]
            token, logprob = draw(logits, torch.tensor([number], dtype=torch.float64), temperature)
            if "untempered" in self.faults:
                logprob = logits.float().log_softmax(-1)[:, int(token)]
            tokens.append(int(token))
            logprobs.append(float(logprob))
            if tokens[-1] in stop_ids and "deaf to ends" not in self.faults:
                break
        if "cut short" in self.faults:
            tokens, logprobs = tokens[:1], logprobs[:1]
        if "short of logprobs" in self.faults:
            logprobs = logprobs[1:]
        return Drawn(token_ids=tuple(tokens), logprobs=tuple(logprobs))
