"""Write tinyzero/evaluation/sets/gsm8k.jsonl: 200 problems of the test set of GSM8K, drawn with a fixed seed.

    python tools/heldout_gsm8k.py test.jsonl

test.jsonl is grade_school_math/data/test.jsonl of github.com/openai/grade-school-math (MIT licence).
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from random import Random

from tinyzero.types import Task

TARGET = Path(__file__).parents[1] / "tinyzero" / "evaluation" / "sets" / "gsm8k.jsonl"
NUM_PROBLEMS = 200


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    places = sorted(Random("gsm8k").sample(range(len(lines)), NUM_PROBLEMS))
    tasks = [task(place, json.loads(lines[place])) for place in places]
    TARGET.write_text("".join(json.dumps(asdict(one)) + "\n" for one in tasks), encoding="utf-8")
    print(f"{len(tasks)} problems in {TARGET}")


def task(place: int, problem: dict[str, str]) -> Task:
    return Task(
        id=f"gsm8k-test-{place:04d}",
        kind="question",
        program="",
        inputs=(),
        outputs=(problem["answer"].rpartition("####")[2].strip(),),
        message=" ".join(problem["question"].split()),
    )


if __name__ == "__main__":
    main()
