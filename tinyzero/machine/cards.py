"""GPUs by name: memory size, memory bandwidth, and computing speed.

The package's cards.json has the vendor's figures for every card:

    memory_gib      nominal size
    bandwidth_gb_s  memory bandwidth, 10^9 bytes per second
    tflops          dense 16-bit matrix products with float32 accumulation: on GeForce cards twice the float32
                    rate, four times on Turing (NVIDIA's whitepapers on Turing, Ampere GA102, Ada and
                    Blackwell), on the others the data sheet's dense tensor figure
    has_bf16        false before Ampere
    has_inline_ecc  GDDR6 with error correction switched on, as data-centre cards come

The usable memory is smaller. Inline ECC takes one sixteenth, and driver and firmware take about one
fiftieth: torch reports 23.5 to 23.6 GiB of an RTX 4090, 11.76 of an RTX 3060, 14.6 to 14.7 of a T4.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tinyzero.errors import HardwareError
from tinyzero.foreign import read_json

_FILE = Path(__file__).with_name("cards.json")
_VISIBLE = 0.98
_BESIDE_ECC = 15 / 16
_SAME_SIZE = 0.15  # sizes shown by drivers and clouds differ by a few per cent
_VENDOR_WORDS = ("nvidia", "geforce", "quadro", "tesla")
_TOO_EARLY = "it is {}, and torch's builds for CUDA 13 begin with Turing (7.5): an RTX 20 card, a T4 or newer"
# What people call a card that cannot train, without the vendor's words -> why it cannot.
_UNSUPPORTED = {
    r"amd|radeon|instinct|gfx\d|vega|rx\d|mi\d\d|w[5-7]\d00|[67]\d\d0(xtx?|gre)?$|90[67]0(xt|gre)?$": (
        "AMD's cards are not supported: the 4-bit weights and kernels that TinyZero uses are CUDA's"
    ),
    r"apple|mac|mps|metal|m\d(pro|max|ultra)?$": (
        "Apple's GPUs are not supported: the 4-bit weights and kernels that TinyZero uses are CUDA's; "
        "presets for a CPU run there: tinyzero train --preset nano-cpu --allow-weak-sandbox"
    ),
    r"intel|arc|gaudi|a(310|380|580|750|770)m?$|b5[78]0$|tpu|npu|ascend|trainium": (
        "only CUDA cards are supported: the 4-bit weights and kernels that TinyZero uses are CUDA's"
    ),
    r"v100|titanv|gv100|volta": _TOO_EARLY.format("Volta (compute capability 7.0)"),
    r"gtx10\d0|10[1-8]0(ti)?(\d+gb)?$|p100|p40*$|p6$|p\d000|titanxp?$|gp100|pascal": _TOO_EARLY.format(
        "Pascal (compute capability 6)"
    ),
    r"gtx[4-9]\d0|[4-9]\d0(ti)?$|k\d0|m\d0$|maxwell|kepler": _TOO_EARLY.format("older than Pascal"),
}
_SIZE = re.compile(r"\d+gb|sxm\d?|pcie|hbm\d?e?")  # memory size and form factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A GPU with its nominal figures.

    Attributes:
        bandwidth_gb_s, tflops: None for a card that is not in the table; its time cannot be estimated.
    """

    name: str
    memory_gib: float
    bandwidth_gb_s: float | None = None
    tflops: float | None = None
    has_bf16: bool = True
    has_inline_ecc: bool = False

    @property
    def usable_gib(self) -> float:
        """The memory that a process can use. A desktop on the card takes 0.3 to 1.5 GiB of it."""
        return self.memory_gib * _VISIBLE * (_BESIDE_ECC if self.has_inline_ecc else 1)


def cards() -> dict[str, Card]:
    """All cards of the table, by name."""
    return {
        name: Card(name=name, **{key: value for key, value in facts.items() if key != "aliases"})
        for name, facts in _table().items()
    }


def find_card(name: str) -> Card:
    """The card that a user names, such as `4090`, `rtx-4060-ti-16gb` or `NVIDIA GeForce RTX 3060`.

    Raises:
        HardwareError: no card in the table has this name; the message suggests the nearest one, or says why
            the card cannot train.
    """
    spellings = _spellings()
    plain = _plain(name)
    if plain not in spellings:
        if reason := why_unsupported(name):
            raise HardwareError(f"{name} cannot train: {reason}")
        raise HardwareError(f"no card {name!r} in the table{_nearest(plain, spellings)}")
    return spellings[plain]


def why_unsupported(name: str) -> str:
    """Why a card cannot train, whatever its memory; "" where nothing is known against it."""
    plain = _plain(name)
    if plain in _spellings():
        return ""
    return next((reason for names, reason in _UNSUPPORTED.items() if re.match(names, plain)), "")


def card_of(name: str, visible_gib: float) -> Card:
    """The card that a driver reports, by name and memory. Its speed is unknown if it is not in the table."""
    exact = _spellings().get(_plain(name))
    kin = [card for card in cards().values() if _plain(card.name, is_bare=True) == _plain(name, is_bare=True)]
    near = [
        card
        for card in ([exact] if exact else []) + kin
        if abs(card.usable_gib - visible_gib) < _SAME_SIZE * visible_gib
    ]
    return near[0] if near else Card(name=name, memory_gib=visible_gib / _VISIBLE)


def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = read_json(_FILE)
    return table


def _spellings() -> dict[str, Card]:
    known = cards()
    return {
        _plain(spelling): known[name]
        for name, facts in _table().items()
        for spelling in (name, *facts.get("aliases", ()))
    }


def _plain(name: str, *, is_bare: bool = False) -> str:
    """`NVIDIA GeForce RTX 4070 Ti SUPER` and `rtx4070-ti-super` to `4070tisuper`; bare: without its size."""
    words = re.sub(r"[-_ ]+", " ", name.lower().replace("rtx", " ")).replace(" gb", "gb").split()
    kept = [word for word in words if word not in _VENDOR_WORDS]
    return "".join(word for word in kept if not (is_bare and _SIZE.fullmatch(word)))


def _nearest(plain: str, spellings: Mapping[str, Card]) -> str:
    matches = get_close_matches(plain, spellings, n=1, cutoff=0.5)
    return f"; did you mean {spellings[matches[0]].name}?" if matches else "; try one like 3060, 4090 or t4"
