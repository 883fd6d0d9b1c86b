"""Tests that need a card: skipped, and counted as skipped, where there is none."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    import torch

    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs CUDA"))


@pytest.fixture
def make_cuda_policy(tiny_model_folder):
    """The tiny model on the card, with adapters whose weights matter."""
    import torch
    from settled import CARD, model_section

    from tinyzero.config import PolicyConfig
    from tinyzero.policy.loading import load_policy

    def make(*, adapters="shared", rank=16, base=tiny_model_folder, **model):
        policy = load_policy(
            model_section(CARD, base=str(base), **model),
            PolicyConfig(adapters=adapters, rank=rank, alpha=2 * rank),
            device="cuda",
            temperature=1.0,
        )
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for adapter in policy.adapters:
                for parameter in policy.trainable_parameters(adapter):
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        return policy

    return make
