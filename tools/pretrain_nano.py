"""Make nano, the base model that ships with the package, from a seed: data, tokenizer, model, exam and card.

    python tools/pretrain_nano.py --work DIR

writes tinyzero/nano/. One core is enough, a second one prepares the lessons; the card says how long it took
and what came out. Interrupted, it goes on from what DIR holds.
"""

import argparse
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

# A library that looks for updates or samples would make the result depend on the day.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from nano.card import write_card
from nano.exam import Examiner
from nano.heldout import held_out_tasks, ladder_tasks, write_held_out, write_ladder
from nano.recipe import recipe
from nano.results import Result, examine
from nano.tasks import Habits, lessons
from nano.training import Trainer, new_model
from nano.vocabulary import train_tokenizer
from transformers import GenerationConfig, PreTrainedTokenizerBase, Qwen3ForCausalLM

from tinyzero.execution import Executor

FOLDER = Path(__file__).parent.parent / "tinyzero" / "nano"
VOCABULARY = 512
TOKENIZER_LESSONS = 3000


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    plan = recipe(arguments.seed, arguments.thinking_steps, arguments.habit_steps)
    tokenizer = train_tokenizer(tokenizer_texts(plan.seed), vocab_size=VOCABULARY)
    model = new_model(
        len(tokenizer), pad_id=tokenizer.pad_token_id, eos_id=tokenizer.eos_token_id, seed=plan.seed
    )
    trainer = Trainer(model=model, tokenizer=tokenizer, recipe=plan, folder=arguments.work, report=say)
    trainer.train()
    save(model, tokenizer, arguments.output)
    say("examining")
    result = measure(model, tokenizer, arguments.output)
    write_card(arguments.output, model, plan, result, tokens=trainer.tokens, minutes=trainer.seconds / 60)
    say((arguments.output / "README.md").read_text())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make nano, the base model that ships with the package.")
    parser.add_argument("--thinking-steps", type=int, default=1900, help="of about 5700 tokens")
    parser.add_argument("--habit-steps", type=int, default=130)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch; another number rounds otherwise")
    parser.add_argument("--work", type=Path, required=True, help="keeps the state: started again, it goes on")
    parser.add_argument("--output", type=Path, default=FOLDER)
    return parser.parse_args()


def tokenizer_texts(seed: int) -> Iterator[str]:
    habits = Habits(thinking=0.5, wrong=0.0)
    for lesson in islice(lessons(f"{seed}/tokenizer", 0, habits), TOKENIZER_LESSONS):
        yield lesson.prompt.text
        yield lesson.answer


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def measure(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Result:
    """Write both sets of held-out tasks, and examine the model on them."""
    tasks, ladder = list(held_out_tasks()), list(ladder_tasks())
    write_held_out(folder / "heldout.jsonl", tasks)
    write_ladder(folder / "ladder.jsonl", ladder)
    torch.manual_seed(0)
    with Executor() as executor:
        examiner = Examiner(model=model.eval(), tokenizer=tokenizer, executor=executor)
        return examine(examiner, tasks, ladder, report=say)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
