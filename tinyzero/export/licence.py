"""The base model's licence, which trained models inherit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyzero.foreign import BadContent, read_card

_PERMISSIVE = {
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "bsd", "cc0-1.0", "cc-by-4.0", "isc", "unlicense",
}  # fmt: skip
_NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial|\bresearch\b", re.IGNORECASE)
_LICENCE_FILE = re.compile(r"(LICEN[CS]E|NOTICE|COPYING|USE_POLICY)([-._].*)?", re.IGNORECASE)
_MAX_CARD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """The licence in the base model's card.

    Attributes:
        id: the Hub's identifier; None if the card has none. name, link: of the owner's custom licence.
    """

    id: str | None = None
    name: str | None = None
    link: str | None = None

    @property
    def in_words(self) -> str:
        return self.name or self.id or "unknown"

    @property
    def warning(self) -> str | None:
        """A warning for users of the model; None for a permissive licence."""
        if self.id is None:
            return "the licence of the base model is unknown: find it out before you give this to anybody"
        if _NON_COMMERCIAL.search(f"{self.id.replace('-', ' ')} {self.id} {self.name or ''}"):
            return f"NON-COMMERCIAL: the base model's licence ({self.in_words}) forbids commercial use"
        if self.id not in _PERMISSIVE:
            return (
                f"the base model's licence ({self.in_words}) has conditions: read it before you pass this on"
            )
        return None

    @property
    def metadata(self) -> dict[str, str]:
        """The licence fields of a card."""
        fields = {"license": self.id, "license_name": self.name, "license_link": self.link}
        return {key: value for key, value in fields.items() if value is not None}


def licence_of(folder: Path) -> Licence:
    """The licence in the card of a model's folder; unknown without a readable card."""
    metadata = _card_metadata(folder / "README.md")
    link = _text(metadata.get("license_link"))
    return Licence(
        id=_text(metadata.get("license")),
        name=_text(metadata.get("license_name")),
        link=link if link and link.startswith(("https://", "http://")) else None,
    )


def licence_files(folder: Path) -> list[Path]:
    """Licence texts and notices that must be distributed with the weights."""
    return sorted(path for path in folder.iterdir() if path.is_file() and _LICENCE_FILE.fullmatch(path.name))


def _card_metadata(card: Path) -> Mapping[str, Any]:
    try:
        return read_card(card) if card.stat().st_size <= _MAX_CARD_BYTES else {}
    except (OSError, BadContent):
        return {}


def _text(value: object) -> str | None:
    """One short line, or None, since the card is untrusted."""
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        return None
    return value.strip()
