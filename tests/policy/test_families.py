"""Sampler, learner, rows that share a prompt, and the plain forward pass are one policy, family by family."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from families import PEFT_WARNINGS, PLAIN_ROWS, REFUSED, RIGHT, make_family
from settled import defaults, model_section

from tinyzero.config import Config, PolicyConfig, load_config
from tinyzero.errors import ExportError, ModelLoadError, SamplerBroken
from tinyzero.export.exportable import check_exportable
from tinyzero.learning.scoring import score_completions
from tinyzero.policy.loading import load_policy
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.canary import check_policy
from tinyzero.sampling.trial import lengths_to_try, text_of
from tinyzero.types import Prompt, Role, SamplingRequest

pytestmark = PEFT_WARNINGS
DOCS = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
QUICK = {"llama", "mistral with a window", "phi3 with longrope", "biogpt", "mpt", "stablelm", "deepseek_v3"}
"""One of each kind of trouble; the others are slow, all together."""


def families(names):
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


def load(name, table, folder):
    base = make_family(folder / "model", *table[name])
    return load_policy(
        model_section(base=str(base)), PolicyConfig(rank=4, alpha=8), device="cpu", temperature=1.0
    )


def canary(policy):
    sampler = BuiltinSampler(policy, defaults().sampling, seed=0)
    score = partial(score_completions, policy)
    return check_policy(policy, sampler, score, engine="builtin", temperature=1.0, max_tokens=150)


def randomize(policy):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.trainable_parameters("shared"):
            parameter.normal_(0, 0.1, generator=generator)


def answers(policy):
    """Four at each length at which the model may change, beside some to a short prompt."""
    policy.stop_ids = frozenset()
    sampler = BuiltinSampler(policy, defaults().sampling, seed=0).reaching(policy.context_tokens - 1)
    texts = [text_of(policy, length - 8) for length in lengths_to_try(policy, 150)]
    request = SamplingRequest(
        role=Role.SOLVER,
        prompts=tuple(Prompt(kind="", text=text) for text in ("2+2", *texts)),
        num_samples=3,
        max_tokens=16,
        stream="s",
    )
    return [completion for samples in sampler.sample(request) for completion in samples]


@torch.no_grad()
def naive(policy, completion):
    policy.wear(completion.adapter)
    ids = torch.tensor([[*completion.prompt_ids, *completion.token_ids]])
    logprobs = policy.model(input_ids=ids).logits[0].float().log_softmax(-1)
    start = len(completion.prompt_ids) - 1
    return [float(logprobs[start + place, token]) for place, token in enumerate(completion.token_ids)]


def distance(scores, others):
    return max(
        abs(a - b) for row, other in zip(scores, others, strict=True) for a, b in zip(row, other, strict=True)
    )


@pytest.mark.parametrize("name", families(RIGHT))
def test_all_that_computes_the_policy_computes_the_same(name, tmp_path):
    policy = load(name, RIGHT, tmp_path)
    verdict = canary(policy)
    assert verdict.shares_prompts == (name not in PLAIN_ROWS)
    randomize(policy)
    completions = answers(policy)
    expected = [naive(policy, completion) for completion in completions]
    assert distance([completion.sampler_logprobs for completion in completions], expected) < 5e-5
    score = partial(score_completions, policy, completions, is_training=True)
    assert distance(score(), expected) < 5e-5
    if verdict.shares_prompts:
        assert distance(score(shares_prompts=True), expected) < 5e-5
    assert is_exportable(tmp_path / "model", policy) == (rows("Right")[name] == "yes")


def is_exportable(base, policy):
    tree = load_config("nano-cpu").model_dump()
    tree["model"] |= {"base": str(base), "quantization": "none"}
    tree["policy"]["adapters"] = "shared"
    try:
        check_exportable(Config.model_validate(tree), policy.save)
    except ExportError:
        return False
    return True


@pytest.mark.parametrize("name", families(REFUSED))
def test_what_would_be_wrong_is_refused_in_one_line(name, tmp_path):
    with pytest.raises((ModelLoadError, SamplerBroken)) as caught:
        canary(load(name, REFUSED, tmp_path))
    said = str(caught.value)
    assert "\n" not in said
    assert "CUDA" not in said
    assert refused()[name] in said


def rows(title):
    section = DOCS.partition(f"## {title}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| (.+?) \|", section, re.MULTILINE)
    return {name.strip("`"): text.strip() for name, text in found if name not in ("Family", "---")}


def refused():
    return {name: text.strip("`") for name, text in rows("Refused").items()}


def test_the_tables_name_the_families_that_are_tested():
    assert rows("Right").keys() == RIGHT.keys()
    assert refused().keys() == REFUSED.keys()
