"""The command line of TinyZero on a pretended card: python -m pretend.walking CARD train --preset ..."""

import sys

from pretend.card import Card

CARDS = {
    "4090": Card,
    "t4": lambda: Card(name="Tesla T4", memory_gib=14.7, capability=(7, 5), multiprocessors=40),
    "8gb": lambda: Card(name="NVIDIA GeForce RTX 4060", memory_gib=7.8, multiprocessors=24),
}


def new_card(name: str = "4090") -> Card:
    """A card, once everything that looks for one at import is imported; TRL's head computes in torch."""
    import bitsandbytes  # noqa: F401
    import peft  # noqa: F401
    import transformers  # noqa: F401
    import trl.kernels.chunked_logprob as kernels

    from tinyzero.machine import usage

    kernels._TRITON_AVAILABLE = False
    usage._NVIDIA = ("/dev/null",)  # a file of a driver
    return CARDS[name]()


def main() -> int:
    from tinyzero.cli import run

    with new_card(sys.argv[1]) as card:
        code = run(sys.argv[2:])
    print(f"graphs: {card.graphs['recorded']} recorded, {card.graphs['replayed']} replayed", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
