"""Make nano, the base model that ships with the package, from a seed: data, tokenizer, model, exam and card.

    python tools/pretrain_nano.py --steps 2000

writes tinyzero/nano/. Two cores are enough; the card says how long it took and what came out.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

# A library that looks for updates or samples would make the result depend on the day.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from nano.card import Result, write_card
from nano.exam import ATTEMPTS, LONGER, Examiner, held_out_tasks, length_of
from nano.tasks import TAUGHT, lessons
from nano.training import Example, Recipe, new_model, train
from nano.vocabulary import encode_answer, encode_prompt, train_tokenizer
from transformers import GenerationConfig, PreTrainedTokenizerBase, Qwen3ForCausalLM

from tinyzero.execution import Executor
from tinyzero.tasks.records import to_record
from tinyzero.types import Task

FOLDER = Path(__file__).parent.parent / "tinyzero" / "nano"
VOCABULARY = 512
TOKENIZER_LESSONS = 6000


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    recipe = Recipe(steps=arguments.steps, seed=arguments.seed)
    arguments.output.mkdir(parents=True, exist_ok=True)
    tasks = list(held_out_tasks())
    write_tasks(arguments.output / "heldout.jsonl", tasks)
    started = time.perf_counter()
    tokenizer = train_tokenizer(tokenizer_texts(recipe.seed), vocab_size=VOCABULARY)
    model = new_model(
        len(tokenizer), pad_id=tokenizer.pad_token_id, eos_id=tokenizer.eos_token_id, seed=recipe.seed
    )
    tokens = train(model, recipe, Lessons(tokenizer, recipe), report=say)
    minutes = (time.perf_counter() - started) / 60
    save(model, tokenizer, arguments.output)
    result = examine(model, tokenizer, tasks)
    write_card(arguments.output, model, recipe, result, tokens=tokens, minutes=minutes)
    say((arguments.output / "README.md").read_text())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make nano, the base model that ships with the package.")
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps of about 3000 tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch; another number rounds otherwise")
    parser.add_argument("--output", type=Path, default=FOLDER)
    return parser.parse_args()


class Lessons:
    """Endless token examples for `train`, numbered through, so that the data follow from the seed alone."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
        self._tokenizer = tokenizer
        self._recipe = recipe
        self._number = 0

    def __call__(self, progress: float) -> Iterator[Example]:
        wrong_share = self._recipe.wrong_share if progress >= self._recipe.wrong_from else 0.0
        for lesson in lessons(self._recipe.seed, self._number, wrong_share):
            self._number += 1
            yield Example(
                prompt_ids=encode_prompt(self._tokenizer, lesson.prompt),
                answer_ids=encode_answer(self._tokenizer, lesson.answer),
                weight=lesson.weight,
            )


def tokenizer_texts(seed: int) -> Iterator[str]:
    for lesson in islice(lessons(seed, 0, 0.0), TOKENIZER_LESSONS):
        yield lesson.prompt.text
        yield lesson.answer


def write_tasks(path: Path, tasks: list[Task]) -> None:
    """The held-out set; tasks longer than any in pretraining count in a row of their own."""
    lines = [
        to_record(task) | ({"stratum": "longer programs"} if length_of(task) == LONGER else {})
        for task in tasks
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def examine(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, tasks: list[Task]) -> Result:
    torch.manual_seed(0)
    with Executor() as executor:
        examiner = Examiner(model=model.eval(), tokenizer=tokenizer, executor=executor)
        return Result(
            greedy=examiner.solve(tasks, attempts=0),
            sampled=examiner.solve(tasks, attempts=ATTEMPTS),
            proposals={kind: examiner.propose(kind)[0] for kind in TAUGHT},
        )


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
