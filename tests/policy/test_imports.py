"""Which loader is taken, and that unsloth, where it is, comes before what it rewrites."""

import subprocess
import sys

import pytest

from tinyzero.errors import HardwareError, ModelLoadError
from tinyzero.policy.imports import import_stack

FAKE = """
import sys
print("a banner")
EARLY = sorted({"transformers", "trl", "peft"} & set(sys.modules))
"""
PROGRAM = """
import sys, tinyzero.policy, tinyzero.learning.learner, tinyzero.sampling.builtin, tinyzero.trainer
from tinyzero.policy.imports import import_stack
print(import_stack('unsloth', has_cuda=True, num_adapters=1))
import unsloth
import transformers, trl, peft
print(unsloth.EARLY)
"""
REFUSED = """
from tinyzero.errors import ModelLoadError
from tinyzero.policy.imports import import_stack
try:
    import_stack('unsloth', has_cuda=True, num_adapters=1)
except ModelLoadError as error:
    print(error)
"""
TWO_ADAPTERS = "two adapters under unsloth were never seen to keep their gradients apart on a GPU"


@pytest.fixture
def run_beside_unsloth(tmp_path, monkeypatch):
    """Runs a program in a fresh interpreter that has a package named unsloth."""

    def run(program, source=FAKE):
        (tmp_path / "unsloth").mkdir()
        (tmp_path / "unsloth" / "__init__.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(filter(None, sys.path))}")
        found = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=1200
        )
        return found.stdout.splitlines()

    return run


@pytest.mark.slow
def test_unsloth_comes_before_what_it_rewrites_and_prints_nothing(run_beside_unsloth):
    assert run_beside_unsloth(PROGRAM) == ["", "[]"]


def test_two_adapters_under_unsloth_are_doubted(run_beside_unsloth):
    program = (
        "import sys\n"
        "from tinyzero.policy.imports import import_stack\n"
        "print(import_stack('unsloth', has_cuda=True, num_adapters=2), 'unsloth' in sys.modules)\n"
    )
    assert run_beside_unsloth(program) == [f"{TWO_ADAPTERS} True"]


def test_an_unsloth_that_cannot_be_imported_is_explained(run_beside_unsloth):
    said = run_beside_unsloth(REFUSED, "raise NotImplementedError('You need a GPU.\\nReally.')")
    assert said == [
        "model.loader is unsloth, but it cannot be imported (You need a GPU); pip install -e "
        "'.[unsloth]' in TinyZero's folder, in an environment of its own, or set model.loader to "
        "transformers",
    ]


@pytest.mark.slow
def test_unsloth_is_not_imported_late(run_beside_unsloth):
    (said,) = run_beside_unsloth(f"import peft\n{REFUSED}")
    assert said.startswith("model.loader is unsloth, but transformers was imported before it; ")


def test_transformers_needs_nothing():
    assert import_stack("transformers", has_cuda=True, num_adapters=2) == ""


def test_asking_for_unsloth_in_vain_names_the_way_out():
    with pytest.raises(HardwareError, match=r"needs a CUDA device; .* set model.loader to transformers"):
        import_stack("unsloth", has_cuda=False, num_adapters=1)
    with pytest.raises(ModelLoadError, match=r"pip install -e '\.\[unsloth\]'"):
        import_stack("unsloth", has_cuda=True, num_adapters=1)
