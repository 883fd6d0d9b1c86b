from collections.abc import Iterator

import pytest

from tinyzero.execution import Executor


@pytest.fixture(scope="session")
def executor() -> Iterator[Executor]:
    with Executor() as executor:
        yield executor
