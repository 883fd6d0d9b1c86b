"""One rank of a world that meets, talks and loses its last rank. Prints what it has heard, as JSON."""

import json
import os
import signal
import sys

import torch

from tinyzero.errors import RankLost
from tinyzero.ranks.place import place_of
from tinyzero.ranks.world import joined


def main():
    place = place_of(os.environ)
    heard = {}
    try:
        with joined(place) as world:
            heard["gathered"] = world.gather({"rank": world.rank})
            heard["shared"] = world.share(lambda: f"from {world.rank}")
            if world.is_leader:
                world.tell("play", 7)
            else:
                heard["order"] = world.hear()
            tensors = [torch.full((size,), 10.0**world.rank) for size in (1, 5, 2)]
            world.sum([tensor.view(1, -1) for tensor in tensors])
            heard["sums"] = [tensor.tolist() for tensor in tensors]
            numbers = torch.randn(1001, generator=torch.Generator().manual_seed(world.rank))
            world.sum([numbers])
            heard["bits"] = world.gather(numbers.view(torch.int32).tolist())
            heard["bits"] = [own == heard["bits"][0] for own in heard["bits"]]
            expected = sum(
                torch.randn(1001, generator=torch.Generator().manual_seed(rank)) for rank in range(world.size)
            )
            heard["in order"] = bool(numbers.equal(expected))
            world.agree("state", "equal")
            world.run = "runs/here"
            if world.rank == world.size - 1:
                tell(heard)
                os.kill(os.getpid(), signal.SIGKILL)
            world.gather("more")
    except RankLost as error:
        heard["lost"] = str(error)
    except SystemExit as error:
        heard["silent"] = error.code
    tell(heard)


def tell(heard):
    sys.stdout.write(json.dumps(heard) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
