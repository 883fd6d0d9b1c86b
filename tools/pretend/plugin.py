"""pytest -p pretend.plugin tests/gpu: the tests that need a card, on the pretended one."""

from collections.abc import Iterator

import pytest

from pretend.walking import new_card


def pytest_configure(config: pytest.Config) -> None:
    card = new_card()
    card.__enter__()
    config.add_cleanup(card.__exit__)


@pytest.fixture(autouse=True)
def _all_memory() -> Iterator[None]:
    """A test that limits the card's memory limits it for itself."""
    import torch

    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
