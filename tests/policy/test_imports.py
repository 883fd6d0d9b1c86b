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
print(import_stack({wanted!r}, has_cuda=True, num_adapters={num_adapters}))
import unsloth
import transformers, trl, peft
print(unsloth.EARLY)
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


@pytest.mark.parametrize("wanted", ["auto", "unsloth"])
def test_unsloth_comes_before_what_it_rewrites_and_prints_nothing(run_beside_unsloth, wanted):
    assert run_beside_unsloth(PROGRAM.format(wanted=wanted, num_adapters=1)) == ["('unsloth', '')", "[]"]


def test_two_adapters_are_left_to_transformers_unless_unsloth_is_asked_for(run_beside_unsloth):
    program = (
        "import sys\n"
        "from tinyzero.policy.imports import import_stack\n"
        "print(import_stack('auto', has_cuda=True, num_adapters=2), 'unsloth' in sys.modules)\n"
        "print(import_stack('unsloth', has_cuda=True, num_adapters=2), 'unsloth' in sys.modules)\n"
    )
    assert run_beside_unsloth(program) == [
        f"('transformers', 'transformers instead of unsloth: {TWO_ADAPTERS}') False",
        f"('unsloth', '{TWO_ADAPTERS}') True",
    ]


def test_an_unsloth_that_cannot_be_imported_is_explained(run_beside_unsloth):
    program = (
        "from tinyzero.errors import ModelLoadError\n"
        "from tinyzero.policy.imports import import_stack\n"
        "print(import_stack('auto', has_cuda=True, num_adapters=1)[1])\n"
        "try:\n"
        "    import_stack('unsloth', has_cuda=True, num_adapters=1)\n"
        "except ModelLoadError as error:\n"
        "    print(error)\n"
    )
    said = run_beside_unsloth(program, "raise NotImplementedError('You need a GPU.\\nReally.')")
    reason = "it cannot be imported (You need a GPU)"
    assert said == [
        f"transformers instead of unsloth: {reason}",
        f"model.loader is unsloth, but {reason}; pip install 'tinyzero[unsloth]' in an environment of its "
        "own, or set model.loader to transformers",
    ]


def test_unsloth_is_not_imported_late(run_beside_unsloth):
    program = (
        "import sys, peft\n"
        "from tinyzero.policy.imports import import_stack\n"
        "print(import_stack('auto', has_cuda=True, num_adapters=1), 'unsloth' in sys.modules)\n"
    )
    (said,) = run_beside_unsloth(program)
    assert said.startswith("('transformers', 'transformers instead of unsloth: transformers was imported ")
    assert said.endswith(" False")


def test_without_cuda_or_without_unsloth_auto_means_transformers():
    assert import_stack("auto", has_cuda=False, num_adapters=1) == ("transformers", "")
    assert import_stack("auto", has_cuda=True, num_adapters=1) == ("transformers", "")
    assert import_stack("transformers", has_cuda=True, num_adapters=1) == ("transformers", "")


def test_asking_for_unsloth_in_vain_names_the_way_out():
    with pytest.raises(HardwareError, match=r"needs a CUDA device; .* set model.loader to transformers"):
        import_stack("unsloth", has_cuda=False, num_adapters=1)
    with pytest.raises(ModelLoadError, match=r"pip install 'tinyzero\[unsloth\]'"):
        import_stack("unsloth", has_cuda=True, num_adapters=1)
