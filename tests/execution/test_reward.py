"""docs/executor.md: its code runs, and its reward function works under TRL."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "executor.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
DOUBLE = "```python\nprint(int(input()) * 2)\n```"
TESTS = [["1\n", "2\n"], ["21\n", "42\n"]]


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    names: dict[str, Any] = {}
    exec(BLOCKS[1], names)
    yield names
    names["executor"].close()


def test_the_first_example_runs() -> None:
    exec(BLOCKS[0], {})


def test_the_reward_is_the_share_of_tests_that_pass(page: dict[str, Any]) -> None:
    completions = [DOUBLE, "```\nprint(2)\n```", "no program", [{"role": "assistant", "content": DOUBLE}]]
    assert page["passes_tests"](completions, tests=[TESTS] * 4) == [1.0, 0.5, 0.0, 1.0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trl_trains_with_it(page: dict[str, Any], tiny_model_folder: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    given: list[list[float]] = []

    def passes_tests(completions: list[str], tests: list[Any], **columns: Any) -> list[float]:
        given.append(page["passes_tests"]([DOUBLE, *completions[1:]], tests, **columns))
        return given[-1]

    trainer = GRPOTrainer(
        model=str(tiny_model_folder),
        reward_funcs=passes_tests,
        train_dataset=Dataset.from_dict({"prompt": ["Double it."] * 4, "tests": [TESTS] * 4}),
        args=GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=8,
            report_to=[],
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        ),
    )
    trainer.train()
    assert given == [[1.0, 0.0, 0.0, 0.0]]
    [metrics] = [line for line in trainer.state.log_history if "reward" in line]
    assert metrics["reward"] == pytest.approx(0.25)
