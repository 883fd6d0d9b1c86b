"""The base model's card: its licence, which trained models inherit, and its origin."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyzero.foreign import BadContent, read_card

_PERMISSIVE = {
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "bsd", "cc0-1.0", "cc-by-4.0", "isc", "unlicense",
}  # fmt: skip
# https://huggingface.co/docs/hub/repositories-licenses; the Hub refuses metadata with another identifier.
_KNOWN = (
    "apache-2.0", "mit", "openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m",
    "bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd",
    "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0",
    "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
    "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0",
    "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl",
    "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "h-research", "intel-research",
    "lppl-1.3c", "ms-pl", "apple-ascl", "apple-amlr", "mpl-2.0", "odc-by", "odbl", "openmdw-1.0", "osl-3.0",
    "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl", "lgpl-lr", "deepfloyd-if-license",
    "fair-noncommercial-research-license", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4",
    "grok2-community", "gemma", "unknown", "other",
)  # fmt: skip
_OTHER = "other"
_NON_COMMERCIAL = re.compile(
    r"\bnc\b|non-?commercial|\bresearch\b|non-?production|\b(mrl|mnpl|c-uda|amlr)\b", re.IGNORECASE
)
_LICENCE_FILE = re.compile(
    r".*(LICEN[CS]E|NOTICE|COPYING|COPYRIGHT|TERMS|POLICY|THIRD[-_. ]?PARTY|LEGAL|PATENTS).*", re.IGNORECASE
)
_OF_WORDS = ("", ".txt", ".md", ".rst", ".pdf", ".html")
_FILLING = re.compile(r"\b(the|gnu|licen[cs]e|version|community|agreement|only|or|later)\b")
_LONG_NAMES = {
    "lesser general public": "lgpl",
    "affero general public": "agpl",
    "general public": "gpl",
    "mozilla public": "mpl",
    "cc0 universal": "cc0",
}
_UNVERSIONED = {"cc0": "cc0-1.0"}
_MOST_IDS = 10
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_MAX_CARD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """The licence in the base model's card.

    Attributes:
        id: the Hub's identifier, or several where the card has a list; None if it has none.
        name, link: of the owner's custom licence; a link may be the name of a file beside the card.
        is_known: whether the Hub knows what the card says; else `name` is what it says.
    """

    id: str | tuple[str, ...] | None = None
    name: str | None = None
    link: str | None = None
    is_known: bool = True

    @property
    def ids(self) -> tuple[str, ...]:
        return (self.id,) if isinstance(self.id, str) else self.id or ()

    @property
    def in_words(self) -> str:
        return self.name or ", ".join(self.ids) or "unknown"

    @property
    def warning(self) -> str | None:
        """A warning for users of the model; None for a permissive licence."""
        if self.id in (None, "unknown"):
            return "the licence of the base model is unknown: find it out before you give this to anybody"
        said = " ".join((*self.ids, self.name or ""))
        if _NON_COMMERCIAL.search(f"{re.sub('[-_.]', ' ', said)} {said}"):
            return f"NON-COMMERCIAL: the base model's licence ({self.in_words}) forbids commercial use"
        if not self.is_known:
            return (
                f"the base model's licence ({self.in_words}) is unknown to the Hub: read it before you pass "
                "this on"
            )
        if not _PERMISSIVE.issuperset(self.ids):
            return (
                f"the base model's licence ({self.in_words}) has conditions: read it before you pass this on"
            )
        return None

    @property
    def metadata(self) -> dict[str, Any]:
        """The licence fields of a card."""
        ids = list(self.id) if isinstance(self.id, tuple) else self.id
        fields = {"license": ids, "license_name": self.name, "license_link": self.link}
        return {key: value for key, value in fields.items() if value is not None}


def licence_of(folder: Path) -> Licence:
    """The licence in the card of a model's folder; unknown without a readable card.

    An identifier that the Hub does not know becomes `other`, with what the card says as its name.
    """
    metadata = _card_metadata(folder / "README.md")
    written = metadata.get("license")
    said = [text for each in (written if isinstance(written, list) else [written]) if (text := _text(each))]
    ids = tuple(dict.fromkeys(map(normalised, said[:_MOST_IDS])))
    unknown = [text for text in said[:_MOST_IDS] if normalised(text) == _OTHER and text.lower() != _OTHER]
    return Licence(
        id=ids if len(ids) > 1 else next(iter(ids), None),
        name=_text(metadata.get("license_name")) or _as_name(unknown),
        link=_link(metadata.get("license_link"), folder),
        is_known=not unknown,
    )


def origin_of(folder: Path) -> str | None:
    """The model on the Hub that a card names as its base, if it names one."""
    named = _text(_card_metadata(folder / "README.md").get("base_model"))
    return named if named and _HUB_ID.fullmatch(named) else None


def normalised(text: str) -> str:
    """The Hub's identifier of a licence, however it is written; `other` for one that it does not know."""
    said = _letters(text)
    spelt = {letters: known for known in reversed(_KNOWN) for letters in _spellings(known)}
    return _UNVERSIONED.get(said) or spelt.get(said, _OTHER)


def _spellings(known: str) -> tuple[str, str]:
    return _letters(known), _letters(known).removesuffix("0")  # apache-2.0 and apache-2


def _letters(text: str) -> str:
    """What is left to compare: `Apache License, Version 2.0` and `apache-2.0` are apache20."""
    plain = re.sub(r"\bv\.? ?(?=\d)|(?<=pl)v(?=\d)", " ", re.sub(r"[_\s-]+", " ", text.lower()))
    for name, short in _LONG_NAMES.items():
        plain = plain.replace(name, short)
    return re.sub(r"[^a-z0-9+]", "", _FILLING.sub("", plain))


def _as_name(unknown: Sequence[str]) -> str | None:
    return re.sub(r"[^a-z0-9.]+", "-", " ".join(unknown).lower()).strip("-") or None


def _link(value: object, folder: Path) -> str | None:
    """A web address, or the name of a licence file that is copied along."""
    link = _text(value)
    if link and link.startswith(("https://", "http://")):
        return link
    return link if link in [path.name for path in licence_files(folder)] else None


def licence_files(folder: Path) -> list[Path]:
    """Licence texts and notices that must be distributed with the weights."""
    return sorted(path for path in folder.iterdir() if path.is_file() and _is_licence(path))


def _is_licence(path: Path) -> bool:
    return bool(path.suffix.lower() in _OF_WORDS and _LICENCE_FILE.fullmatch(path.stem)) or bool(
        re.fullmatch(r"(LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[-._].*", path.name, re.IGNORECASE)
    )


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
