"""Token batches of lessons, prepared by a process of their own while the trainer computes."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from random import Random

from transformers import PreTrainedTokenizerBase

from nano.recipe import Recipe
from nano.tasks import Lesson, lessons
from nano.vocabulary import encode_answer, encode_prompt, scored_tokens

_POOLS_AHEAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    ids: list[int]
    num_prompt_tokens: int
    answer_weights: list[float]
    """Of each answer token's loss."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where the lessons of a phase have been read up to."""

    pool: int = 0
    batch: int = 0


def batches(
    tokenizer: PreTrainedTokenizerBase, recipe: Recipe, phase: int, start: Place
) -> Generator[tuple[Place, list[Example]]]:
    """Endless batches of a phase from `start` on, each with the place behind it."""
    with ProcessPoolExecutor(1) as worker:
        numbers = count(start.pool)
        ask = partial(worker.submit, pool_of, tokenizer, recipe, phase)
        ahead = deque(map(ask, islice(numbers, _POOLS_AHEAD)))
        place = start
        try:
            while True:
                pool = ahead.popleft().result()
                ahead.append(ask(next(numbers)))
                for batch in pool[place.batch :]:
                    place = Place(place.pool, place.batch + 1)
                    yield place, batch
                place = Place(place.pool + 1)
        finally:
            worker.shutdown(wait=False, cancel_futures=True)


def pool_of(
    tokenizer: PreTrainedTokenizerBase, recipe: Recipe, phase: int, number: int
) -> list[list[Example]]:
    """Batches of at most `batch_tokens` padded tokens, of examples of similar length, in random order."""
    name, habits = recipe.phases[phase].name, recipe.phases[phase].habits
    source = lessons(f"{recipe.seed}/{name}", number * recipe.pool, habits)
    examples = sorted((encode(tokenizer, next(source)) for _ in range(recipe.pool)), key=len)
    pool: list[list[Example]] = [[]]
    for example in examples:
        if (len(pool[-1]) + 1) * len(example) > recipe.batch_tokens:
            pool.append([])
        pool[-1].append(example)
    Random(f"{recipe.seed}/{name}/batches/{number}").shuffle(pool)
    return pool


def encode(tokenizer: PreTrainedTokenizerBase, lesson: Lesson) -> Example:
    prompt, answer = encode_prompt(tokenizer, lesson.prompt), encode_answer(tokenizer, lesson.answer)
    scored = scored_tokens(tokenizer, lesson.answer, lesson.unscored)
    weights = [lesson.weight * is_scored for is_scored in scored]
    return Example(ids=prompt + answer, num_prompt_tokens=len(prompt), answer_weights=weights)
